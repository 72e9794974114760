package machines

import (
	"github.com/postern-dev/postern/internal/core/access"
)

// Guest is a principal as a tenant sees it.
type Guest struct {
	Tenant    access.TenantID
	Principal access.PrincipalID
}
