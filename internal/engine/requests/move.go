package requests

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// MoveInput asks for other sources in the place of those of a grant.
type MoveInput struct {
	Sources        []netip.Prefix // none, and no networks: the caller's own address
	Networks       []string       // names
	Justification  string         // empty: that of the first request
	Ticket         string         // empty: that of the first request
	IdempotencyKey string         // as of SubmitInput
	Digest         string         // likewise
}

// Move asks for the caller's own grant to be open from other sources in the place of its own, until the same end,
// under the rule that guards its machine now: an approval of one address is none of another. Where the rule approves by
// itself the grant ends at once and another one takes its place, in the same transaction and the same desired state.
func (e *Service) Move(ctx context.Context, c engine.Caller, id access.GrantID, in MoveInput) (RequestDetail, error) {
	a := engine.Attempt{
		Kind: access.RequestRefused, Action: rbac.PoliciesInitiate, Grant: id, All: true,
		Details: map[string]string{
			"moves": string(id), "sources": in.text(), "justification": in.Justification, "ticket": in.Ticket,
		},
	}
	if err := longKey(in.IdempotencyKey); err != nil {
		return RequestDetail{}, e.kernel.Refused(ctx, c, a, err)
	}
	return e.asking(ctx, c, a, func(tx engine.Tx, may engine.Rights, checked *ticketCheck) (RequestDetail, error) {
		return once(ctx, tx, may, in.IdempotencyKey, in.Digest, func() (RequestDetail, error) {
			return e.requestMove(ctx, tx, may, id, in, checked)
		})
	})
}

// text names the sources as they were given, for the event of a refusal.
func (in MoveInput) text() string {
	texts := make([]string, 0, len(in.Sources)+len(in.Networks))
	for _, source := range in.Sources {
		texts = append(texts, source.String())
	}
	return engine.Clip(strings.Join(append(texts, in.Networks...), ","))
}

func (e *Service) requestMove(ctx context.Context, tx engine.Tx, may engine.Rights, id access.GrantID, in MoveInput,
	checked *ticketCheck,
) (RequestDetail, error) {
	g, site, err := findGrant(ctx, tx, may, id)
	if err != nil {
		return RequestDetail{}, err
	}
	if g.Principal != may.Caller.Principal {
		return RequestDetail{}, access.Fault(access.KindForbidden, "notYourGrant",
			"only %s can move this grant: make a request of your own", g.PrincipalName)
	}
	if err := g.Movable(may.Now); err != nil {
		return RequestDetail{}, err
	}
	first, err := tx.Request(ctx, g.Request)
	if err != nil {
		return RequestDetail{}, fmt.Errorf("read request: %w", err)
	}
	item, err := elsewhere(ctx, tx, may, g, site, in)
	if err != nil {
		return RequestDetail{}, err
	}
	asked := askedAgain(first)
	asked.Items = []policy.Item{item}
	asked.Justification = cmp.Or(in.Justification, asked.Justification)
	asked.Ticket = cmp.Or(in.Ticket, asked.Ticket)
	verdict, err := e.judge(asked, checked, may)
	if err != nil {
		return RequestDetail{}, err
	}
	request := newRequest(may, g.Tenant, asked, verdict)
	request.ID, request.Moves = access.RequestID(engine.NewID()), g.ID
	if err := g.Elsewhere(request.Items[0].Target); err != nil {
		return RequestDetail{}, err
	}
	verdict.Wait = min(verdict.Wait, g.End.Sub(may.Now)) // there is nothing to decide once it has ended
	return e.file(ctx, tx, may, request, asked, []access.Machine{site}, verdict)
}

// moveGrant puts the grant that an approved request has made in the place of the one that it asks to move.
func (d *deciding) moveGrant(ctx context.Context, made []access.Grant) error {
	g, err := d.Tx.Grant(ctx, d.request.Moves)
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	if err := d.notRecalled(ctx, g); err != nil {
		return err
	}
	was, is, events, err := g.Move(d.may.Actor(g.Tenant), made[0], d.Now)
	if err != nil {
		return err
	}
	made[0] = is
	return d.SaveGrant(ctx, was, g.Revision, events, false)
}

// elsewhere returns what a grant is of at other sources, as it is judged by what guards it now: until the same end, and
// counted from the first opening.
func elsewhere(ctx context.Context, r engine.Reader, may engine.Rights, g access.Grant, site access.Machine,
	in MoveInput,
) (policy.Item, error) {
	networks := machines.NetworkNames{R: r, Tenant: may.Caller.Tenant}
	sources, err := networks.Prefixes(ctx, in.Sources, in.Networks)
	if err != nil {
		return policy.Item{}, err
	}
	if len(sources) == 0 && may.Caller.Address.IsValid() {
		sources = []netip.Prefix{access.SingleAddress(may.Caller.Address)}
	}
	item, err := judgedAnew(ctx, r, may, g, site, g.End)
	if err != nil {
		return item, err
	}
	item.Target, item.Until, item.Networks = access.At(item.Target, sources), g.End, in.Networks
	return item, nil
}
