package engine

import (
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
)

// TenantSettings are what the administrators of a tenant decided for all of it. The zero value of each is what holds
// until they do. A further setting is a field here, and nothing more in the store: it is written with the others.
type TenantSettings struct {
	Tenant   access.TenantID
	Alerts   []alert.Setting // of rules that are not as they come, one for each
	Revision int64           // 0: nobody has decided anything
}
