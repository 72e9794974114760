package rbac

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Directory is a compiled, immutable snapshot of Data: who is in which group, and who has which role where. It is
// safe for concurrent use.
type Directory struct {
	revision    int64
	definitions map[DefinitionID]Definition // by folded id
	assignments []Assignment                // by id
	denials     map[string][]denial         // by folded scope
	denyList    []DenyAssignment            // by id
	nodes       []node
	index       map[access.PrincipalID]int32
	people      sync.Map // of group to its people, as far as they were asked for
	tenants     map[access.TenantID]string
	owners      map[string]access.TenantID              // of subscriptions, by folded id
	owned       map[access.TenantID][]access.ResourceID // the scopes of a tenant's subscriptions
	hands       hands
}

// node is one principal that Data names.
type node struct {
	id       access.PrincipalID
	disabled bool
	person   bool
	held     []held  // assigned to the principal itself
	reach    []reach // the enabled groups that it is in, nearest first
	members  []int32 // direct ones
}

// reach is a group that a principal is in, and the step before it on the shortest way there.
type reach struct {
	group int32
	from  int32 // index in the same slice; -1: the principal itself is a member
}

// held is one assignment, ready to be checked.
type held struct {
	assignment int32
	scope      string // folded
	above      bool   // it lies above subscriptions, such as the root: of those below it, the tenant's own count
	tenant     access.TenantID
	role       *role
	start, end time.Time
	why        string
}

// role is a compiled Definition; roles are numbered from 0, so that a check can remember what it has found.
type role struct {
	number int
	rules  []rule
}

// Compile makes a snapshot of d. An assignment that cannot be understood gives nothing: one without a role definition,
// with a malformed scope, or with one that is not of its tenant; nor does a guest's outside of subscriptions.
func Compile(d Data) *Directory {
	dir := &Directory{
		revision: d.Revision, definitions: make(map[DefinitionID]Definition, len(d.Definitions)),
		index: make(map[access.PrincipalID]int32),
	}
	dir.divide(d.Tenants, d.Subscriptions)
	dir.hands = handsOf(d.Makers)
	roles := make(map[DefinitionID]*role, len(d.Definitions))
	for i, definition := range d.Definitions {
		id := foldID(definition.ID)
		dir.definitions[id] = definition
		roles[id] = &role{number: i, rules: compileRules(definition.Permissions)}
	}
	for _, id := range d.Disabled {
		dir.nodes[dir.node(id)].disabled = true
	}
	for _, id := range d.People {
		dir.nodes[dir.node(id)].person = true
	}
	dir.assignments = slices.SortedFunc(slices.Values(d.Assignments),
		func(a, b Assignment) int { return cmp.Compare(a.ID, b.ID) })
	for i, a := range dir.assignments {
		definition, ok := dir.definitions[foldID(a.Definition)]
		scope, err := access.ParseResourceID(string(a.Scope))
		if !ok || err != nil || !dir.assignable(a, scope) {
			continue
		}
		n := dir.node(a.Principal)
		dir.nodes[n].held = append(dir.nodes[n].held, held{
			assignment: int32(i),
			scope:      scope.Fold(), above: scope.InSubscription() == "", tenant: a.Tenant,
			role: roles[foldID(a.Definition)], start: a.Start, end: a.End,
			why: "role " + definition.Name + " assigned at " + string(scope),
		})
	}
	dir.deny(d.Denials)
	dir.connect(d.Memberships)
	dir.withdraw()
	return dir
}

// withdraw leaves out what its holder has by a group that it is not in any more: an activated role ends with the
// membership, and not when its grant is found.
func (d *Directory) withdraw() {
	for i := range d.nodes {
		n := &d.nodes[i]
		n.held = slices.DeleteFunc(n.held, func(h held) bool {
			through := d.assignments[h.assignment].Through
			return through != "" && !d.InGroup(n.id, through)
		})
	}
}

// node gives the index of id, making a node for it where there is none.
func (d *Directory) node(id access.PrincipalID) int32 {
	n, ok := d.index[id]
	if !ok {
		n = int32(len(d.nodes)) //nolint:gosec // a directory holds far fewer than 2^31 principals
		d.nodes = append(d.nodes, node{id: id})
		d.index[id] = n
	}
	return n
}

// connect fills in members and reach. A disabled group is never entered, so what lies behind it is not reached
// through it.
func (d *Directory) connect(memberships []Membership) {
	groups := make(map[int32][]int32) // member to its direct groups
	for _, m := range memberships {
		group, member := d.node(m.Group), d.node(m.Member)
		groups[member] = append(groups[member], group)
		d.nodes[group].members = append(d.nodes[group].members, member)
	}
	byName := func(a, b int32) int { return cmp.Compare(d.nodes[a].id, d.nodes[b].id) }
	for _, direct := range groups {
		slices.SortFunc(direct, byName) // so that the way that is named does not depend on the order of Data
	}
	seen := make([]int32, len(d.nodes)) // the last principal, plus one, from which a node was reached
	for i := range d.nodes {
		n := &d.nodes[i]
		slices.SortFunc(n.members, byName)
		me := int32(i)
		seen[i] = me + 1
		enter := func(of, from int32) {
			for _, g := range groups[of] {
				if seen[g] != me+1 && !d.nodes[g].disabled {
					seen[g] = me + 1
					n.reach = append(n.reach, reach{group: g, from: from})
				}
			}
		}
		enter(me, -1)
		for next := 0; next < len(n.reach); next++ { //nolint:intrange // it grows meanwhile
			enter(n.reach[next].group, int32(next))
		}
	}
}

// foldID makes GUIDs comparable, which Azure's clients write in either case.
func foldID(id DefinitionID) DefinitionID { return DefinitionID(strings.ToLower(string(id))) }

// Revision gives the revision of the Data.
func (d *Directory) Revision() int64 { return d.revision }

// Definition gives the role definition with that id.
func (d *Directory) Definition(id DefinitionID) (Definition, bool) {
	definition, ok := d.definitions[foldID(id)]
	return definition, ok
}

// Assignment gives the role assignment with that id.
func (d *Directory) Assignment(id AssignmentID) (Assignment, bool) {
	i, ok := slices.BinarySearchFunc(d.assignments, id,
		func(a Assignment, id AssignmentID) int { return cmp.Compare(a.ID, id) })
	if !ok {
		return Assignment{}, false
	}
	return d.assignments[i], true
}

// AssignmentsWithin gives the role assignments at one of the scopes or below it, by id.
func (d *Directory) AssignmentsWithin(scopes ...access.ResourceID) (within []Assignment) {
	for _, a := range d.assignments {
		if slices.ContainsFunc(scopes, a.Scope.Within) {
			within = append(within, a)
		}
	}
	return within
}

// GroupsOf gives the groups that principal is in, directly or through groups, nearest first; none where it is
// disabled, and none that is disabled.
func (d *Directory) GroupsOf(principal access.PrincipalID) []access.PrincipalID {
	n, ok := d.enabled(principal)
	if !ok {
		return nil
	}
	groups := make([]access.PrincipalID, len(n.reach))
	for i, r := range n.reach {
		groups[i] = d.nodes[r.group].id
	}
	return groups
}

// Members gives who is in group, directly or through groups, in the order of their ids: everybody enabled who has no
// members. Those are people and service principals, and groups that are empty: whoever counts people looks at the
// kind. Nobody is in a disabled group.
func (d *Directory) Members(group access.PrincipalID) []access.PrincipalID {
	start, ok := d.index[group]
	if !ok {
		return nil
	}
	var members []access.PrincipalID
	seen := map[int32]bool{start: true}
	for queue := []int32{start}; len(queue) > 0; queue = queue[1:] {
		n := &d.nodes[queue[0]]
		switch {
		case n.disabled:
		case len(n.members) > 0:
			for _, m := range n.members {
				if !seen[m] {
					seen[m] = true
					queue = append(queue, m)
				}
			}
		case queue[0] != start:
			members = append(members, n.id)
		}
	}
	slices.Sort(members)
	return members
}

// Disabled tells whether a principal is disabled.
func (d *Directory) Disabled(principal access.PrincipalID) bool {
	n, ok := d.index[principal]
	return ok && d.nodes[n].disabled
}

// IsPerson tells whether principal is a user that is not disabled.
func (d *Directory) IsPerson(principal access.PrincipalID) bool {
	n, ok := d.enabled(principal)
	return ok && n.person
}

// People gives the users among the Members of group. The slice is shared: nobody may change it.
func (d *Directory) People(group access.PrincipalID) []access.PrincipalID {
	if known, ok := d.people.Load(group); ok {
		return known.([]access.PrincipalID) //nolint:forcetypeassert // nothing else is kept there
	}
	people := slices.DeleteFunc(d.Members(group), func(m access.PrincipalID) bool { return !d.IsPerson(m) })
	d.people.Store(group, people)
	return people
}

// InGroup tells whether principal is in group, directly or through groups; what is disabled is in none.
func (d *Directory) InGroup(principal, group access.PrincipalID) bool {
	n, ok := d.enabled(principal)
	g, named := d.index[group]
	return ok && named && slices.ContainsFunc(n.reach, func(r reach) bool { return r.group == g })
}

// NextEnd gives the earliest end of an assignment after now; zero where none ends.
func (d *Directory) NextEnd(now time.Time) time.Time {
	var next time.Time
	for _, a := range d.assignments {
		if a.End.After(now) && (next.IsZero() || a.End.Before(next)) {
			next = a.End
		}
	}
	return next
}

// enabled gives the node of principal; not ok where Data does not name it, or it is disabled.
func (d *Directory) enabled(principal access.PrincipalID) (*node, bool) {
	n, ok := d.index[principal]
	if !ok || d.nodes[n].disabled {
		return nil, false
	}
	return &d.nodes[n], true
}
