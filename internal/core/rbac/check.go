package rbac

import (
	"bytes"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Decision is the answer to a check, and why.
type Decision struct {
	Allowed    bool
	Assignment AssignmentID // the one that allows it; empty where none does
	Definition DefinitionID // its role
	// the groups from the principal's own to the one that holds the assignment; empty where it is the principal's
	Via    []access.PrincipalID
	Denied DenyID // the deny assignment that takes what a role gives; empty where none does
	Reason string // in words, for logs and answers
}

// Why a check is refused.
const (
	whyDisabled  = "the principal is disabled"
	whyMalformed = "the scope is not a resource id"
	whyNothing   = "no role is assigned here to the principal, or to a group of it"
	whyNotNow    = "a role that has the action is assigned here, but not for now"
	whyLacking   = "no role that is assigned here has the action"
)

// Check tells whether principal may do action at scope now: whether an assignment to it or to a group it is in, at
// scope or above and in force, has a role with the action, and no deny assignment takes it. Nothing is allowed without.
// The root is that of the principal's own tenant, and above that tenant's subscriptions alone.
func (d *Directory) Check(principal access.PrincipalID, action string,
	scope access.ResourceID, now time.Time,
) Decision {
	return d.check(control, principal, action, scope, now)
}

// CheckData is Check for a data action.
func (d *Directory) CheckData(principal access.PrincipalID, action string, scope access.ResourceID,
	now time.Time,
) Decision {
	return d.check(data, principal, action, scope, now)
}

func (d *Directory) check(in plane, principal access.PrincipalID, action string, scope access.ResourceID,
	now time.Time,
) Decision {
	i, ok := d.index[principal]
	switch {
	case !ok:
		return Decision{Reason: whyNothing}
	case d.nodes[i].disabled:
		return Decision{Reason: whyDisabled}
	case scope == "" || scope[0] != '/':
		return Decision{Reason: whyMalformed}
	}
	// Long enough for what is usual, and on the stack.
	var actionBuf, scopeBuf [256]byte
	q := query{plane: in, action: fold(actionBuf[:0], action), scope: fold(scopeBuf[:0], string(scope)), now: now}
	q.locate(d)

	n := &d.nodes[i]
	worst := whyNothing
	if h := q.find(n.held, &worst); h != nil {
		return d.allowed(&q, i, h, nil)
	}
	for step := range n.reach {
		if h := q.find(d.nodes[n.reach[step].group].held, &worst); h != nil {
			return d.allowed(&q, i, h, d.path(n, step))
		}
	}
	return Decision{Reason: worst}
}

func (d *Directory) allowed(q *query, me int32, h *held, via []access.PrincipalID) Decision {
	if len(d.denials) > 0 {
		if denial := d.denied(q, me); denial != nil {
			return Decision{Denied: denial.id, Reason: denial.why}
		}
	}
	a := &d.assignments[h.assignment]
	return Decision{Allowed: true, Assignment: a.ID, Definition: a.Definition, Via: via, Reason: h.why}
}

// path gives the groups from n's own to the one at step.
func (d *Directory) path(n *node, step int) []access.PrincipalID {
	length := 0
	for s := step; s >= 0; s = int(n.reach[s].from) {
		length++
	}
	path := make([]access.PrincipalID, length)
	for s := step; s >= 0; s = int(n.reach[s].from) {
		length--
		path[length] = d.nodes[n.reach[s].group].id
	}
	return path
}

const subscriptions = "/subscriptions/"

// query is one check, folded.
type query struct {
	plane  plane
	action []byte
	scope  []byte
	inside bool            // the scope lies in a subscription,
	owner  access.TenantID // which is of this tenant; empty where there is none
	now    time.Time
	known  [64]answer // by role, for the first ones: many assignments are of few roles
}

type answer uint8

const (
	unknown answer = iota
	gives
	lacks
)

// locate finds out whose the scope is.
func (q *query) locate(d *Directory) {
	if q.inside = len(q.scope) > len(subscriptions) &&
		string(q.scope[:len(subscriptions)]) == subscriptions; !q.inside {
		return
	}
	name := q.scope[len(subscriptions):]
	if end := bytes.IndexByte(name, '/'); end >= 0 {
		name = name[:end]
	}
	q.owner = d.owners[string(name)]
}

// covered tells whether an assignment counts at the scope.
func (q *query) covered(h *held) bool {
	return within(q.scope, h.scope) && (!h.above || !q.inside || q.owner == h.tenant)
}

// find gives the first of the assignments that allows the query. Where none does, why says how near they came.
func (q *query) find(assignments []held, why *string) *held {
	for i := range assignments {
		h := &assignments[i]
		switch {
		case !q.covered(h):
		case !q.given(h.role):
			if *why == whyNothing {
				*why = whyLacking
			}
		case !h.inForce(q.now):
			*why = whyNotNow
		default:
			return h
		}
	}
	return nil
}

// given tells whether r has the action.
func (q *query) given(r *role) bool {
	if r.number < len(q.known) && q.known[r.number] != unknown {
		return q.known[r.number] == gives
	}
	found := lacks
	for i := range r.rules {
		if r.rules[i].gives(q.plane, q.action) {
			found = gives
			break
		}
	}
	if r.number < len(q.known) {
		q.known[r.number] = found
	}
	return found == gives
}

// inForce tells whether start <= now < end, where a zero bound bounds nothing.
func (h *held) inForce(now time.Time) bool {
	return (h.start.IsZero() || !now.Before(h.start)) && (h.end.IsZero() || now.Before(h.end))
}

// within tells whether scope is outer or lies below it, at a segment boundary; both are folded.
func within(scope []byte, outer string) bool {
	if outer == "/" {
		return true
	}
	return len(scope) >= len(outer) && string(
		scope[:len(outer)]) == outer && (len(scope) == len(outer) || scope[len(outer)] == '/')
}

// Until gives how long principal may do action at scope, from at on and without a gap; zero where no end is set. It
// gives at itself where principal may not do it then.
func (d *Directory) Until(principal access.PrincipalID, action string,
	scope access.ResourceID, at time.Time,
) time.Time {
	q := query{plane: control, action: fold(nil, action), scope: fold(nil, string(scope))}
	q.locate(d)
	end := at
	for {
		further := end
		if !d.Check(principal, action, scope, end).Allowed {
			return end
		}
		open := false
		d.eachHeld(principal, func(h *held) {
			if !h.inForce(end) || !q.covered(h) || !q.given(h.role) {
				return
			}
			open = open || h.end.IsZero()
			if h.end.After(further) {
				further = h.end
			}
		})
		switch {
		case open:
			return time.Time{}
		case !further.After(end):
			return end
		}
		end = further
	}
}

// Scopes gives the scopes at and below which a role of principal gives action now, without those that lie within
// another of them, sorted; a list shows what Reaches says of them, and not what lies within one of Denied.
func (d *Directory) Scopes(principal access.PrincipalID, action string, now time.Time) []access.ResourceID {
	q := query{plane: control, action: fold(nil, action), now: now}
	return d.outermost(principal, func(h *held) bool { return h.inForce(now) && q.given(h.role) })
}
