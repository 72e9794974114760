package rbac

import (
	"iter"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Holders gives everybody who may do action at scope now, in no order. A group stands for its members, and an empty one
// for those whom it will have.
func (d *Directory) Holders(action string, scope access.ResourceID, now time.Time) iter.Seq[access.PrincipalID] {
	return func(yield func(access.PrincipalID) bool) {
		for i := range d.nodes {
			n := &d.nodes[i]
			if len(n.members) == 0 && d.Check(n.id, action, scope, now).Allowed && !yield(n.id) {
				return
			}
		}
	}
}
