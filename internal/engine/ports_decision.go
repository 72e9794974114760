package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// DecisionReader reads what deciding left.
type DecisionReader interface {
	// Decisions gives the decisions on a request, in the order they were made.
	Decisions(ctx context.Context, request access.RequestID) ([]access.Decision, error)

	Review(ctx context.Context, id access.ReviewID) (access.Review, error)
	Reviews(ctx context.Context, f ReviewFilter, p Page) (Listed[access.Review], error) // newest first
	// OpenReviews gives the open debts of a person; at most 100.
	OpenReviews(ctx context.Context, person access.PrincipalID) ([]access.Review, error)
}

// DecisionWriter writes it. SaveReview compares and swaps as the methods of Tx do.
type DecisionWriter interface {
	// AddDecision adds a decision as number position of its request, from 0; conflict if there is one already.
	AddDecision(ctx context.Context, position int, d access.Decision) error
	SaveReview(ctx context.Context, v access.Review, was int64) error
	SaveCodeUse(ctx context.Context, u CodeUse) error // with its request, once
}

// ReviewFilter narrows a list of reviews; zero fields do not narrow.
type ReviewFilter struct {
	Tenant access.TenantID
	Beside []access.TenantID // further tenants, beside Tenant
	Person access.PrincipalID
	Open   bool // only debts that nobody has closed
}

// DescribeRules gives what an entry asks of requests as an event records it.
func DescribeRules(p access.MachinePolicy) string {
	var b strings.Builder
	for i, c := range p.Approval.Cases {
		fmt.Fprintf(&b, "; case %d", i+1)
		if c.Name != "" {
			fmt.Fprintf(&b, " %q", Clip(c.Name))
		}
		if c.When != "" {
			fmt.Fprintf(&b, " when %s", Clip(c.When))
		}
		if !c.Hours.Always() {
			fmt.Fprintf(&b, " in certain hours of %s", c.Hours.Zone)
		}
		if len(c.Stages) == 0 {
			b.WriteString(": automatic")
		}
		for k, s := range c.Stages {
			fmt.Fprintf(&b, ", stage %d: all of %v, any of %v", k+1, s.AllOf, s.AnyOf)
		}
	}
	if p.Justification.Pattern != "" {
		fmt.Fprintf(&b, "; justification like %s", Clip(p.Justification.Pattern))
	}
	if p.Ticket != (access.TicketRule{}) {
		fmt.Fprintf(&b, "; ticket required %t, like %q, checked %t", p.Ticket.Required, Clip(p.Ticket.Pattern),
			p.Ticket.Checked)
	}
	if p.BreakGlass != nil {
		fmt.Fprintf(&b, "; glass broken for %s by %v %v", p.BreakGlass.Max, p.BreakGlass.Groups, p.BreakGlass.People)
	}
	return b.String()
}

// TicketQuery asks whether a ticket is good for a request.
type TicketQuery struct {
	Ticket        string
	Tenant        access.TenantID
	Requester     string // name
	Machines      []string
	Justification string
}

// TicketChecker asks the system that keeps the tickets. nil says that the ticket is good; an *access.Error of
// access.KindInvalid that it is not, and why; anything else that there was no answer, and then nothing is opened.
type TicketChecker interface {
	CheckTicket(ctx context.Context, q TicketQuery) error
}
