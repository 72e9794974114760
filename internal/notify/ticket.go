package notify

import (
	"bytes"
	"context"
	"crypto/rand"
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
// JSON, signed as webhooks are where Keys is not empty, and takes {"ok": true} or {"ok": false, "message": "why"} with a
// status of 200. Whatever else comes back, or nothing in time, is no answer. It follows no redirect and uses no proxy.
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
func (w TicketWebhook) Check() error {
	if err := engine.CheckURL(w.URL, true); err != nil {
		return err
	}
	if w.Keys != "" {
		if _, err := signingKeys(w.Keys); err != nil {
			return err
		}
	}
	_, err := tlsConfig(w.CA)
	return err
}

// CheckTicket implements engine.TicketChecker.
func (w TicketWebhook) CheckTicket(ctx context.Context, q engine.TicketQuery) error {
	body, err := json.Marshal(ticketQuestion{
		Ticket: q.Ticket, Requester: q.Requester, Machines: q.Machines, Justification: q.Justification, Tenant: string(q.Tenant),
	})
	if err != nil {
		return fmt.Errorf("encode the question: %w", err)
	}
	trust, err := tlsConfig(w.CA)
	if err != nil {
		return err
	}
	// The operator's own configuration names it, so it may be in the operator's own network.
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: Dialer(true).DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: connectTimeout,
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       sendTimeout,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the ticket webhook: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", userAgent)
	if w.Keys != "" {
		keys, err := signingKeys(w.Keys)
		if err != nil {
			return err
		}
		sign(request.Header, keys, rand.Text(), w.Now(), body)
	}
	response, err := client.Do(request)
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
