package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TicketWebhook asks the system that keeps the tickets whether one is good: an engine.TicketChecker over HTTP. It posts
// JSON, signed as webhooks are where Keys is not empty, and takes {"ok": true} or {"ok": false, "message": "why"} with
// a status of 200. Whatever else comes back, or nothing in time, is no answer. It follows no redirect and uses no
// proxy.
type TicketWebhook struct {
	URL  string
	Keys string           // signing keys, apart by spaces, as NewSigningKey makes them; empty: the calls are not signed
	CA   string           // PEM of the authorities to trust; empty: the system's
	Now  func() time.Time // the server's wall clock
}

// ticketQuestion is what is posted, and ticketAnswer what is expected.
type (
	ticketQuestion struct {
		Ticket        string   `json:"ticket"`
		Requester     string   `json:"requester"`
		Machines      []string `json:"machines"`
		Justification string   `json:"justification,omitempty"`
		Tenant        string   `json:"tenant"`
	}
	ticketAnswer struct {
		OK      *bool  `json:"ok"`
		Message string `json:"message"`
	}
)

// Check tells what is wrong with the webhook's configuration.
func (w TicketWebhook) Check() error { return w.operatorHook().check() }

func (w TicketWebhook) operatorHook() operatorHook {
	return operatorHook{url: w.URL, keys: w.Keys, ca: w.CA, now: w.Now}
}

// CheckTicket implements engine.TicketChecker.
func (w TicketWebhook) CheckTicket(ctx context.Context, q engine.TicketQuery) error {
	body, err := json.Marshal(ticketQuestion{
		Ticket: q.Ticket, Requester: q.Requester, Machines: q.Machines, Justification: q.Justification,
		Tenant: string(q.Tenant),
	})
	if err != nil {
		return fmt.Errorf("encode the question: %w", err)
	}
	response, err := w.operatorHook().post(ctx, body)
	if err != nil {
		return fmt.Errorf("ask the ticket webhook: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as it is wanted
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the ticket webhook answered %s", response.Status)
	}
	var answer ticketAnswer
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("the ticket webhook's answer is not JSON: %w", err)
	}
	switch {
	case answer.OK == nil:
		return errors.New(`the ticket webhook's answer has no "ok"`)
	case *answer.OK:
		return nil
	default:
		why := excerpt([]byte(answer.Message), opened{})
		if why == "" {
			why = "the ticket is not good for this"
		}
		return access.Fault(access.KindInvalid, "ticketRefused", "the system that keeps the tickets says: %s", why)
	}
}
