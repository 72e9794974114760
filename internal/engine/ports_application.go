package engine

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// ApplicationReader is the part of a Reader that managed applications need. What is not found is access.KindNotFound.
type ApplicationReader interface {
	ApplicationDefinition(ctx context.Context, id access.ResourceID) (app.Definition, error)
	// by resource id
	ApplicationDefinitions(ctx context.Context, f ApplicationFilter, p Page) (Listed[app.Definition], error)
	// at or below the scope
	CountApplicationDefinitions(ctx context.Context, scope access.ResourceID) (int, error)
	// ApplicationDefinitionRevisions gives the revisions of a definition, newest first; at most 100.
	ApplicationDefinitionRevisions(ctx context.Context, id access.ResourceID) ([]app.Definition, error)

	Application(ctx context.Context, id access.ResourceID) (app.Application, error)
	ApplicationOfGroup(ctx context.Context, managed access.ResourceID) (app.Application, error)
	Applications(ctx context.Context, f ApplicationFilter, p Page) (Listed[app.Application], error) // by resource id
}

// ApplicationWriter writes them. The Save methods compare and swap as those of Tx do; the Delete methods are a conflict
// where the stored revision is not was.
type ApplicationWriter interface {
	SaveApplicationDefinition(ctx context.Context, d app.Definition, was int64) error
	DeleteApplicationDefinition(ctx context.Context, id access.ResourceID, was int64) error
	// conflict if another one has its managed group
	SaveApplication(ctx context.Context, a app.Application, was int64) error
	DeleteApplication(ctx context.Context, id access.ResourceID, was int64) error

	SaveDenyAssignment(ctx context.Context, d rbac.DenyAssignment) error // inserts; bumps the directory
	// DeleteMadeFor deletes the deny assignments and the role assignments that were made for a resource, and bumps the
	// directory.
	DeleteMadeFor(ctx context.Context, origin access.ResourceID) error
	// DeleteResourceGroup deletes a group, and the enrollment tokens for it that wait.
	DeleteResourceGroup(ctx context.Context, subscription access.SubscriptionID, name string) error
}

// ApplicationFilter narrows a list of definitions or applications; zero fields do not narrow.
type ApplicationFilter struct {
	Tenant     access.TenantID   // of a definition its publisher, of an application its customer
	Publisher  access.TenantID   // of an application
	Definition access.ResourceID // of an application
	Scope      access.ResourceID // at or below
}
