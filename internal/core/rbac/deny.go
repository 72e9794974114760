package rbac

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// denial is one deny assignment, ready to be checked.
type denial struct {
	id         DenyID
	scope      access.ResourceID
	rules      []rule
	principals []int32 // none: everybody
	exclude    []int32
	why        string
}

// deny compiles deny assignments. One whose scope is malformed would deny nothing where it should: it denies
// everywhere.
func (d *Directory) deny(assignments []DenyAssignment) {
	if len(assignments) == 0 {
		return
	}
	d.denyList = slices.SortedFunc(slices.Values(assignments),
		func(a, b DenyAssignment) int { return cmp.Compare(a.ID, b.ID) })
	d.denials = make(map[string][]denial, len(assignments))
	for _, a := range d.denyList {
		scope, err := access.ParseResourceID(string(a.Scope))
		if err != nil {
			scope = access.Root
		}
		compiled := denial{
			id: a.ID, scope: scope, rules: compileRules(a.Permissions),
			why: "denied at " + string(scope) + " by " + a.Name,
		}
		for _, p := range a.Principals {
			compiled.principals = append(compiled.principals, d.node(p))
		}
		for _, p := range a.Exclude {
			compiled.exclude = append(compiled.exclude, d.node(p))
		}
		d.denials[scope.Fold()] = append(d.denials[scope.Fold()], compiled)
	}
}

// denied gives the deny assignment, at the scope of the query or above, that takes its action from the principal.
func (d *Directory) denied(q *query, me int32) *denial {
	if found := d.first(d.denials["/"], q, me); found != nil {
		return found
	}
	for at := 1; at <= len(q.scope); {
		next := bytes.IndexByte(q.scope[at:], '/')
		if next < 0 {
			next = len(q.scope) - at
		}
		at += next
		if found := d.first(d.denials[string(q.scope[:at])], q, me); found != nil {
			return found
		}
		at++
	}
	return nil
}

// first gives the first of the list that takes the action from the principal.
func (d *Directory) first(list []denial, q *query, me int32) *denial {
	for i := range list {
		if x := &list[i]; x.takes(q) && d.concerns(x, me) {
			return x
		}
	}
	return nil
}

func (x *denial) takes(q *query) bool {
	for i := range x.rules {
		if x.rules[i].gives(q.plane, q.action) {
			return true
		}
	}
	return false
}

// concerns tells whether the denial is for the principal.
func (d *Directory) concerns(x *denial, me int32) bool {
	return (len(x.principals) == 0 || d.among(me, x.principals)) && !d.among(me, x.exclude)
}

// among tells whether the principal is one of the list, or in one of it.
func (d *Directory) among(me int32, list []int32) bool {
	return slices.Contains(list, me) ||
		slices.ContainsFunc(d.nodes[me].reach, func(r reach) bool { return slices.Contains(list, r.group) })
}

// Denied gives the scopes at and below which deny assignments take action from principal, sorted.
func (d *Directory) Denied(principal access.PrincipalID, action string) []access.ResourceID {
	me, ok := d.index[principal]
	if !ok || len(d.denials) == 0 {
		return nil
	}
	q := query{plane: control, action: fold(nil, action)}
	var scopes []access.ResourceID
	for _, list := range d.denials {
		for i := range list {
			if x := &list[i]; x.takes(&q) && d.concerns(x, me) {
				scopes = append(scopes, x.scope)
				break
			}
		}
	}
	slices.SortFunc(scopes, func(a, b access.ResourceID) int { return cmp.Compare(a.Fold(), b.Fold()) })
	return scopes
}

// Denials gives the deny assignments, by id. The slice is shared: nobody may change it.
func (d *Directory) Denials() []DenyAssignment { return d.denyList }
