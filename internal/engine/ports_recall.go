package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// RecallReader is the part of a Reader that ending many grants needs. What is not found is access.KindNotFound.
type RecallReader interface {
	Recall(ctx context.Context, id access.RecallID) (access.Recall, error)
	Recalls(ctx context.Context) ([]access.Recall, error) // the oldest first; at most 10,000

	// Standing gives grants that have not ended, the first to begin first, so that what is open stands before what is
	// scheduled; at most limit (1 to 1,000).
	Standing(ctx context.Context, f StandingFilter, limit int) ([]access.Grant, error)
	// NewestStanding gives when the newest of them was made; zero where there is none.
	NewestStanding(ctx context.Context, f StandingFilter) (time.Time, error)
	// SitesHeld gives, each once, where the grants of a principal that have not ended take effect: id, resource and
	// tenant of the machine, all empty where it was deleted, or the scope of a role as the resource.
	SitesHeld(ctx context.Context, principal access.PrincipalID) ([]access.Machine, error)
	// AgentsOpenFor gives the agents of the machines on which something is or should be open for a principal.
	AgentsOpenFor(ctx context.Context, principal access.PrincipalID) ([]access.AgentID, error)
}

// RecallWriter writes them.
type RecallWriter interface {
	SaveRecall(ctx context.Context, c access.Recall, was int64) error
	DeleteRecall(ctx context.Context, id access.RecallID, was int64) error

	// DeleteActivation takes away the role assignment that enforces a grant, if there is one. Those below do that for
	// every grant of a principal, or by an eligibility, that has not ended. All of them bump the directory.
	DeleteActivation(ctx context.Context, id access.GrantID) error
	DeleteActivationsOf(ctx context.Context, principal access.PrincipalID) error
	DeleteActivationsBy(ctx context.Context, eligibility access.EligibilityID) error
	// DeleteActivationsBeyond does it for those by an eligibility that are longer than most, begin before start, or end
	// after end; the latter two where they are not zero.
	DeleteActivationsBeyond(ctx context.Context, eligibility access.EligibilityID, most time.Duration,
		start, end time.Time) error
}

// StandingFilter says whose grants, or which of those on a machine, by an eligibility, or on the machines of a tenant;
// exactly one of the first four, and Within with the last.
type StandingFilter struct {
	Principal   access.PrincipalID
	Machine     access.MachineID
	Eligibility access.EligibilityID
	Tenant      access.TenantID
	Within      access.ResourceID // of a tenant only what is on machines within a resource group or a subscription

	Made       time.Time // only what was made until then; zero: all
	AfterStart time.Time // only what comes after this place in the order
	AfterGrant access.GrantID
}
