package engine

import "github.com/postern-dev/postern/internal/core/access"

// GrantDetail is a grant with the name of its machine.
type GrantDetail struct {
	Grant       access.Grant
	MachineName string
}
