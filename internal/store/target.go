package store

import (
	"errors"

	"github.com/postern-dev/postern/internal/core/access"
)

// targetRow is a target as rows hold it: those of a port have a machine, and those of a role an eligibility.
type targetRow struct {
	access.PortTarget

	Role access.RoleTarget
}

func rowOf(t access.Target) targetRow {
	return access.Match(t,
		func(p access.PortTarget) targetRow { return targetRow{PortTarget: p} },
		func(r access.RoleTarget) targetRow { return targetRow{Role: r} })
}

// errTarget says that a row is for something that is neither a port nor a role: a newer version wrote it, or it is
// damaged. It is never taken for the next best.
var errTarget = errors.New("the row is for a target of a kind that this version does not know: run the version that " +
	"wrote it, or a newer one")

func (r targetRow) target() (access.Target, error) {
	isPort, isRole := r.Machine != "", r.Role.Eligibility != ""
	switch {
	case isPort && r.Role == access.RoleTarget{}:
		return r.PortTarget, nil
	case isRole && !isPort && r.Ports == access.PortRange{}:
		return r.Role, nil
	}
	return nil, errTarget
}
