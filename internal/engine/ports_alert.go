package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
)

// AlertReader is the part of a Reader that alerts need. What is not found is access.KindNotFound.
type AlertReader interface {
	// AlertCursor gives the number of the first event that no rule has looked at.
	AlertCursor(ctx context.Context) (int64, error)
	Alert(ctx context.Context, id alert.ID) (alert.Alert, error)
	// newest first, by when they were first seen
	Alerts(ctx context.Context, f AlertFilter, p Page) (Listed[alert.Alert], error)
	// AlertOf gives the alert of a key that is not closed.
	AlertOf(ctx context.Context, k alert.Key) (alert.Alert, error)
	AlertWatch(ctx context.Context, k alert.Key) (alert.Watch, error)

	// The next four give what alerts stand for, in the order of the ids of agents or machines, behind after; at most
	// limit. Since an alert closes where its cause is not found, they are read to the end.

	// SilentAgents gives agents of a tenant in service that were last seen before since and guard a machine with a
	// grant in force at now, with one such machine each.
	SilentAgents(ctx context.Context, tenant access.TenantID, since, now time.Time, after access.AgentID,
		limit int) ([]AgentOn, error)
	// SkewedAgents gives agents of a tenant in service whose clock is off by beyond or more.
	SkewedAgents(ctx context.Context, tenant access.TenantID, beyond time.Duration, after access.AgentID,
		limit int) ([]access.Agent, error)
	// ForeignAgents gives agents of a tenant in service that found foreign rules.
	ForeignAgents(ctx context.Context, tenant access.TenantID, after access.AgentID, limit int) ([]access.Agent, error)
	// UnprovenGrants gives, of each machine of a tenant that an agent guards, the grant that ended first, at before or
	// earlier, and was not seen gone.
	UnprovenGrants(ctx context.Context, tenant access.TenantID, before time.Time, after access.MachineID,
		limit int) ([]access.Grant, error)
}

// AlertWriter is the part of a Tx that alerts need.
type AlertWriter interface {
	AdvanceAlertCursor(ctx context.Context, was, to int64) error // conflict unless it is at was
	// SaveAlert compares and swaps; conflict too where it is not closed and another of its key is not either.
	SaveAlert(ctx context.Context, a alert.Alert, was int64) error
	SaveAlertWatch(ctx context.Context, w alert.Watch) error // inserts or replaces
	DeleteAlertWatch(ctx context.Context, k alert.Key) error // does nothing where there is none
	DeleteAlertWatchesBefore(ctx context.Context, t time.Time) error
}

// AlertFilter narrows a list of alerts; zero fields do not narrow.
type AlertFilter struct {
	Tenant access.TenantID
	Beside []access.TenantID // further tenants, beside Tenant
	State  alert.State
	Rule   alert.RuleID
}

// AgentOn is an agent and one machine that it guards.
type AgentOn struct {
	Agent   access.Agent
	Machine access.MachineID
}

// CodeUse is the opening of a machine with a code while the server was out of reach. Nothing but its time closes it.
type CodeUse struct {
	Request access.Request // which records it: of one machine
	Opened  time.Time      // by the clock of the host, and not after the server was told
	Over    time.Time
}

// Held is access that somebody had: by a grant, or by a code.
type Held struct {
	Grant access.Grant
	Use   CodeUse
}

// ByCode reports whether it was by a code.
func (h Held) ByCode() bool { return h.Grant.ID == "" }

// NotClosedFilter narrows a list of what was not seen closed; zero fields but Now do not narrow.
type NotClosedFilter struct {
	Tenant    access.TenantID
	Beside    []access.TenantID // further tenants, beside Tenant
	Machine   access.MachineID
	Principal access.PrincipalID
	Now       time.Time
}

// InsightReader is the part of a Reader that looks back.
type InsightReader interface {
	// HeldAt gives the grants on a machine that may have been in force at an instant, seen open by then, or by their
	// window where no agent said, and not seen closed before; and the codes by which it was open then. The newest
	// first.
	HeldAt(ctx context.Context, machine access.MachineID, at time.Time, p Page) (Listed[Held], error)
	// NotClosed gives the grants that ended, and that nobody has seen closed though somebody might, or whose end is
	// still to come; and the codes by which a machine is open. What ended last, or is to end, first.
	NotClosed(ctx context.Context, f NotClosedFilter, p Page) (Listed[Held], error)
	// NotClosedOn gives the same of machines, in no order; at most 100 grants and 100 codes of each machine.
	NotClosedOn(ctx context.Context, machines []access.MachineID, now time.Time) ([]Held, error)
	// NeverUsedGrants gives grants of a tenant that ended since then after they were in force, with no packet counted;
	// newest first.
	NeverUsedGrants(ctx context.Context, tenant access.TenantID, since time.Time, p Page) (Listed[access.Grant], error)
	// LastRequests gives for each principal of a tenant when they last asked for something, of those who did since
	// then.
	LastRequests(ctx context.Context, tenant access.TenantID, since time.Time) (map[access.PrincipalID]time.Time, error)
	// LastActivations gives for each principal when they last had a grant by an eligibility, of those who did since
	// then.
	LastActivations(ctx context.Context, id access.EligibilityID,
		since time.Time) (map[access.PrincipalID]time.Time, error)
}
