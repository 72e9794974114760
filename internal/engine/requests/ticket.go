package requests

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
)

// same tells whether an answer to one question answers the other.
func same(q engine.TicketQuery, other engine.TicketQuery) bool {
	return q.Ticket == other.Ticket && q.Tenant == other.Tenant && q.Requester == other.Requester &&
		q.Justification == other.Justification &&
		slices.Equal(q.Machines, other.Machines)
}

const (
	ticketTimeout = 5 * time.Second // how long the system that keeps the tickets may take
	// How often it is asked for one call, where what the ticket is for changes meanwhile.
	ticketAsked = 3
)

// ticketCheck is a ticket that a policy wants checked, and what came of it. The answer is asked for between two
// transactions: none waits for somebody else's system.
type ticketCheck struct { //nolint:errname // it is a question before it is an error
	query  engine.TicketQuery
	answer error
}

// Error says that the transaction cannot go on without an answer.
func (*ticketCheck) Error() string { return "the ticket is not checked yet" }

// withTicket runs do, and where that finds a ticket to be checked, checks it and runs do again with the answer. That
// counts for what was asked alone: labels, policies and groups may have changed while somebody else's system took its
// time.
func (e *Service) withTicket(ctx context.Context, do func(*ticketCheck) error) error {
	var checked *ticketCheck
	for asked := 0; ; asked++ {
		err := do(checked)
		open, wanted := errors.AsType[*ticketCheck](err)
		switch {
		case !wanted:
			return err
		case asked == ticketAsked:
			return access.Fault(access.KindConflict, "ticketMoved",
				"the request kept changing while its ticket was checked, so nothing was opened: try again")
		}
		open.answer = e.askTicket(ctx, open.query)
		checked = open
	}
}

// asking runs a use case that asks for access, with its ticket checked; a refusal is recorded as the attempt.
func (e *Service) asking(ctx context.Context, c engine.Caller, a engine.Attempt,
	use func(engine.Tx, engine.Rights, *ticketCheck) (RequestDetail, error),
) (d RequestDetail, err error) {
	err = e.withTicket(ctx, func(checked *ticketCheck) error {
		return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
			d, err = use(tx, may, checked)
			return err
		})
	})
	if err != nil {
		return RequestDetail{}, err
	}
	return d, nil
}

func (e *Service) askTicket(ctx context.Context, q engine.TicketQuery) error {
	unavailable := access.Fault(access.KindUnavailable, "ticketUnchecked",
		"the ticket could not be checked, so nothing was opened: try again, or tell an administrator")
	if e.tickets == nil {
		unavailable.Message = "the policy wants tickets checked and the server has no ticket webhook, so nothing is " +
			"opened: tell an administrator"
		return unavailable
	}
	ctx, cancel := context.WithTimeout(ctx, ticketTimeout)
	defer cancel()
	err := e.tickets.CheckTicket(ctx, q)
	if err == nil || engine.IsKind(err, access.KindInvalid) {
		return err
	}
	e.kernel.Log.WarnContext(ctx, "check ticket", "ticket", q.Ticket, "error", err)
	unavailable.Err = err
	return unavailable
}

// judge tells whether what is asked for lies within its policies, and its ticket is good where one of them wants that
// asked. It fails with a *ticketCheck where it needs an answer first.
func (*Service) judge(asked policy.Input, checked *ticketCheck, may engine.Rights) (policy.Verdict, error) {
	verdict := policy.Evaluate(asked, may.Now)
	if len(verdict.Refusals) > 0 {
		return verdict, outsidePolicy(verdict.Refusals)
	}
	if asked.Ticket == "" {
		return verdict, nil
	}
	query := engine.TicketQuery{
		Ticket: asked.Ticket, Tenant: may.Caller.Tenant, Requester: may.Caller.Name,
		Justification: asked.Justification,
	}
	for _, item := range asked.Items {
		if item.Policy.Ticket.Checked {
			query.Machines = append(query.Machines, item.Name)
		}
	}
	switch {
	case len(query.Machines) == 0:
		return verdict, nil
	case checked == nil || !same(checked.query, query):
		return verdict, &ticketCheck{query: query}
	}
	var refusal *access.Error
	if engine.AsError(checked.answer, &refusal) && refusal.Kind == access.KindInvalid {
		return verdict, outsidePolicy([]access.Reason{
			{Code: "ticketRefused", Field: "ticket", Message: refusal.Message},
		})
	}
	return verdict, checked.answer
}

func outsidePolicy(reasons []access.Reason) error {
	refusal := access.Fault(access.KindInvalid, reasons[0].Code,
		"the request does not satisfy its policy: nothing was opened")
	refusal.Reasons = reasons
	return refusal
}
