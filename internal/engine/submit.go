package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// SubmitInput asks for access.
type SubmitInput struct {
	Items          []ItemInput
	Start          time.Time // zero: at approval
	Justification  string
	Ticket         string
	IdempotencyKey string // empty: none; at most 255 bytes
	Digest         string // SHA-256 of the body, for the key; empty: the engine makes one of the input

	// Repeat makes a series: an RRULE of RFC 5545, whose occurrences from Start on, in Zone (an IANA name; empty: UTC), are
	// the starts of windows. Each window becomes a grant of its own; the whole is approved once.
	Repeat string
	Zone   string

	// BreakGlass opens at once, without approval, where the policies let the caller do that in an emergency.
	BreakGlass bool

	// Policy, where it is not empty, is the only policy that the request may go through.
	Policy access.ResourceID
}

// ItemInput is one port of one machine. Exactly one of Duration and Until is set.
type ItemInput struct {
	Machine  string // name, id or resource id; empty with a selector or a group
	Selector string // labels, such as env=prod,role=web: every machine that has them all and that the caller may ask for
	Group    string // name of a resource group, whose machines are meant; with a selector, those that it picks
	Ports    access.PortRange
	Protocol access.Protocol // empty: what the policy guards the ports for
	Sources  []netip.Prefix
	Networks []string // names of networks, which count as what they stand for now; where both are empty: the caller's own address
	Duration time.Duration
	Until    time.Time
}

const maxKey = 255 // bytes of an idempotency key

// Submit asks for access, and where the policy approves by itself makes the grants in the same transaction. The same key
// with the same body leads to the same request, however often it comes; with another body it is a conflict.
func (e *Engine) Submit(ctx context.Context, c Caller, in SubmitInput) (d RequestDetail, err error) {
	a := attempt{kind: access.RequestRefused, action: rbac.PoliciesInitiate, scope: in.scope(), all: true, details: in.describe()}
	if err := longKey(in.IdempotencyKey); err != nil {
		return d, e.refused(ctx, c, a, err)
	}
	windows, err := e.windows(in) // it may take a while, which no transaction should
	if err != nil {
		return d, e.refused(ctx, c, a, err)
	}
	err = e.withTicket(ctx, func(checked *ticketCheck) error {
		return e.change(ctx, c, a, func(tx Tx) error {
			d, err = e.submit(ctx, tx, c, in, windows, checked)
			return err
		})
	})
	if err != nil {
		return RequestDetail{}, err
	}
	return d, nil
}

func (e *Engine) submit(ctx context.Context, tx Tx, c Caller, in SubmitInput, windows []time.Time, checked *ticketCheck) (RequestDetail, error) {
	may, err := e.rights(ctx, tx, c)
	if err != nil {
		return RequestDetail{}, err
	}
	if in.IdempotencyKey != "" {
		if earlier, err := repeated(ctx, tx, c, in.IdempotencyKey, in.digest()); err != nil || earlier != nil {
			return orZero(earlier), err
		}
	}
	if in.Items, err = pickMachines(ctx, tx, may, in.Items); err != nil {
		return RequestDetail{}, err
	}
	asked, places, err := resolve(ctx, tx, may, in)
	if err != nil {
		return RequestDetail{}, err
	}
	if len(windows) > 0 {
		asked.Start = windows[0]
		in.Start = windows[0]
	}
	if in.BreakGlass {
		if err := e.mayBreakGlass(ctx, tx, may, in, &asked); err != nil {
			return RequestDetail{}, err
		}
	}
	verdict, err := e.judge(asked, checked, may)
	if err != nil {
		return RequestDetail{}, err
	}
	if err := oneTenant(places); err != nil {
		return RequestDetail{}, err
	}
	request := makeRequest(may, in, asked, verdict, places)
	request.Windows = windows
	request.BreakGlass = in.BreakGlass
	d, err := e.file(ctx, tx, may, request, asked, places, verdict.Wait)
	if err != nil {
		return d, err
	}
	return d, rememberKey(ctx, tx, c, in.IdempotencyKey, in.digest(), d.Request)
}

// rememberKey keeps what a request with an idempotency key led to.
func rememberKey(ctx context.Context, tx Tx, c Caller, key, digest string, request access.Request) error {
	if key == "" {
		return nil
	}
	err := tx.SaveIdempotency(ctx, Idempotency{Principal: c.Principal, Key: key, Digest: digest, Request: request.ID, CreatedAt: request.CreatedAt})
	if err != nil {
		return fmt.Errorf("save idempotency key: %w", err)
	}
	return nil
}

// longKey refuses an idempotency key that is too long.
func longKey(key string) error {
	if len(key) > maxKey {
		return access.Fault(access.KindInvalid, "idempotencyKeyTooLong", "the idempotency key has %d bytes; %d are allowed", len(key), maxKey)
	}
	return nil
}

// file puts a request that lies within its policies on record: approved at once where every case is automatic, or else
// pending, with those who decide told.
func (e *Engine) file(ctx context.Context, tx Tx, may rights, request access.Request, asked policy.Input, places []place, wait time.Duration) (RequestDetail, error) {
	c := may.caller
	a := ask{
		tenant: request.Tenant, requester: c.Principal, requesterName: request.RequesterName, items: request.Items, justification: request.Justification, ticket: request.Ticket, start: request.Start,
	}
	if c.Address.IsValid() {
		a.address = c.Address.String()
	}
	for i, item := range asked.Items {
		a.entries = append(a.entries, item.Policy)
		a.machines = append(a.machines, places[i].machine) //nolint:gosec // there is a place for each item
	}
	if request.BreakGlass {
		request.Approvals = everyApproval(a.entries)
	} else {
		found, err := e.choose(ctx, tx, may, a, may.now)
		switch {
		case err != nil:
			return RequestDetail{}, err
		case len(found.refusals) > 0:
			return RequestDetail{}, outsidePolicy(found.refusals)
		case found.stepUp && !c.steppedUp(may.now):
			return RequestDetail{}, stepUpRequired("asking for this access")
		}
		request.Approvals = found.approvals
	}
	request, events := access.NewRequest(request, may.actor(request.Tenant), wait, may.now)
	d := &deciding{work: e.newWork(tx, may.now), engine: e, may: may, action: actionOf(request), request: request}
	names := nameCache{r: tx, seen: map[access.MachineID]access.Machine{}}
	for _, p := range places {
		if p.machine.ID == "" {
			continue
		}
		d.machines[p.machine.ID] = p.machine
		names.seen[p.machine.ID] = p.machine
	}
	if err := d.locate(ctx, events); err != nil {
		return RequestDetail{}, err
	}
	var err error
	switch {
	case request.BreakGlass:
		err = d.breakGlass(ctx)
	case len(request.Approvals) == 0:
		d.notify(notice{kind: NotifyRequested, request: request})
		err = d.approve(ctx, access.System())
	default:
		d.notify(notice{kind: NotifyRequested, request: request})
		err = d.advance(ctx, access.System(), "")
	}
	if err != nil {
		return RequestDetail{}, err
	}
	out := RequestDetail{Request: d.request, Grants: d.approved, Machines: map[access.MachineID]string{}}
	for id, m := range names.seen {
		out.Machines[id] = m.Name
	}
	if d.request.State == access.RequestPending {
		if out, err = e.describeWhole(ctx, tx, may, &names, d.request); err != nil {
			return RequestDetail{}, err
		}
	}
	return out, d.finish(ctx)
}

// actionOf gives the action that making a request is.
func actionOf(r access.Request) string {
	if r.ForRoles() {
		return rbac.RoleActivate
	}
	return rbac.PoliciesInitiate
}

// place is where an item of a request is to take effect.
type place struct {
	machine  access.Machine
	policy   access.PolicyID
	revision int64
}

// resolve finds the machines and policies that the items name, and whether the caller may ask for access to them: every
// refusal is given, in the order of the items. What could not be resolved has no place.
func resolve(ctx context.Context, r Reader, may rights, in SubmitInput) (policy.Input, []place, error) {
	asked := policy.Input{Start: in.Start, Justification: in.Justification, Ticket: in.Ticket}
	if len(in.Items) > access.MaxItems {
		return asked, nil, access.Fault(access.KindInvalid, "tooManyItems", "the request has %d items; %d are allowed", len(in.Items), access.MaxItems)
	}
	if _, err := may.anywhere(rbac.PoliciesInitiate); err != nil {
		return asked, nil, err
	}
	found := map[string]resolved{}
	networks := networkNames{r: r, tenant: may.caller.Tenant}
	places := make([]place, len(in.Items))
	var refusal *access.Error
	for i, item := range in.Items {
		known, ok := found[item.Machine]
		if !ok {
			var err error
			if known, err = resolveMachine(ctx, r, may, item.Machine, in.Policy); err != nil {
				return asked, nil, err
			}
			found[item.Machine] = known
		}
		if known.refusal != nil {
			refusal = worse(refusal, known.refusal, fmt.Sprintf("items[%d].machine", i))
			continue
		}
		places[i] = known.place
		sources, err := networks.prefixes(ctx, item.Sources, item.Networks)
		if refused := byRule(err); refused != nil {
			refusal = worse(refusal, refused, fmt.Sprintf("items[%d].sources", i))
			continue
		}
		if err != nil {
			return asked, nil, err
		}
		if len(sources) == 0 && may.caller.Address.IsValid() {
			sources = []netip.Prefix{access.SingleAddress(may.caller.Address)}
		}
		asked.Items = append(asked.Items, policy.Item{
			Machine: known.place.machine.ID, Name: known.place.machine.Name, Policy: known.entry,
			Ports: item.Ports, Protocol: item.Protocol, Sources: sources, Duration: item.Duration, Until: item.Until,
		})
	}
	if refusal != nil {
		return asked, nil, refusal
	}
	return asked, places, nil
}

// resolved is what a machine's name led to.
type resolved struct {
	place   place
	entry   *access.MachinePolicy // nil where no policy guards the machine
	refusal *access.Error
}

func resolveMachine(ctx context.Context, r Reader, may rights, ref string, only access.ResourceID) (resolved, error) {
	m, err := findMachine(ctx, r, may, ref, rbac.PoliciesInitiate)
	if refusal := byRule(err); refusal != nil {
		return resolved{refusal: refusal}, nil //nolint:nilerr // the refusal is the answer
	}
	if err != nil {
		return resolved{}, err
	}
	out := resolved{place: place{machine: m}}
	p, err := r.GuardOf(ctx, m.ID)
	found := !isKind(err, access.KindNotFound)
	switch {
	case err != nil && found:
		return resolved{}, fmt.Errorf("read policy: %w", err)
	case only != "" && !p.Resource.Equal(only):
		return resolved{refusal: access.Fault(access.KindInvalid, "machineNotInPolicy", "machine %q is not named by this policy", m.Name)}, nil
	case !found:
		return out, nil
	}
	if entry, ok := p.Of(m.ID); ok {
		networks := networkNames{r: r, tenant: m.Tenant}
		if entry, err = networks.entry(ctx, entry); err != nil {
			return resolved{}, err
		}
		out.entry, out.place.policy, out.place.revision = &entry, p.ID, p.Revision
	}
	return out, nil
}

// byRule gives err where it is a refusal by a rule of ours, and nil where it is a fault, or nothing.
func byRule(err error) *access.Error {
	var refusal *access.Error
	if asError(err, &refusal) && (refusal.Kind == access.KindForbidden || refusal.Kind == access.KindNotFound || refusal.Kind == access.KindInvalid) {
		return refusal
	}
	return nil
}

// worse adds the refusal of one item to those so far; what is forbidden outweighs what is not found, and that what is
// malformed.
func worse(so, next *access.Error, field string) *access.Error {
	reason := access.Reason{Code: next.Code, Field: field, Message: next.Message}
	if len(next.Reasons) > 0 {
		reason.Message += " (" + next.Reasons[0].Message + ")"
	}
	rank := []access.Kind{access.KindInvalid, access.KindNotFound, access.KindForbidden}
	if so == nil || slices.Index(rank, next.Kind) > slices.Index(rank, so.Kind) {
		var earlier []access.Reason
		if so != nil {
			earlier = so.Reasons
		}
		so = access.Fault(next.Kind, next.Code, "%s", next.Message)
		so.Reasons = earlier
	}
	so.Reasons = append(so.Reasons, reason)
	return so
}

// oneTenant refuses a request for machines of several tenants: each tenant decides about its own.
func oneTenant(places []place) error {
	for _, p := range places {
		if p.machine.Tenant != places[0].machine.Tenant {
			return access.Fault(access.KindInvalid, "severalTenants", "machines %q and %q are of different tenants: make a request for each", places[0].machine.Name, p.machine.Name)
		}
	}
	return nil
}

func makeRequest(may rights, in SubmitInput, asked policy.Input, verdict policy.Verdict, places []place) access.Request {
	c, tenant := may.caller, places[0].machine.Tenant
	request := access.Request{
		ID: access.RequestID(newID()), Tenant: tenant, Requester: c.Principal, RequesterName: may.name(tenant),
		Address: c.Address, Via: c.Via, Start: in.Start.UTC().Truncate(time.Microsecond), Justification: in.Justification, Ticket: in.Ticket,
	}
	if in.Start.IsZero() {
		request.Start = time.Time{}
	}
	for i, item := range asked.Items {
		until := item.Until
		if !until.IsZero() {
			until = until.UTC().Truncate(time.Microsecond)
		}
		sources := slices.SortedFunc(slices.Values(verdict.Items[i].Sources), netip.Prefix.Compare)
		request.Items = append(request.Items, access.Item{
			Machine: item.Machine, Policy: places[i].policy, PolicyRevision: places[i].revision,
			Ports: item.Ports, Protocol: verdict.Items[i].Protocol, Sources: sources, Networks: in.Items[i].Networks, Duration: item.Duration.Truncate(time.Microsecond), Until: until,
		})
	}
	return request
}

// makeGrants saves new grants, which become what was saved; those that are in force now supersede what they cover.
func (w *work) makeGrants(ctx context.Context, grants []access.Grant, events []access.Event, by access.Actor) error {
	w.events = append(w.events, events...)
	for i, g := range grants {
		kept, err := w.keepGrant(ctx, g, 0, nil, !g.Live(w.now))
		if err != nil {
			return err
		}
		grants[i] = kept
	}
	// Now, and not at the end: what is written up to here goes to the database together with what supersede reads.
	if err := w.bump(ctx); err != nil {
		return err
	}
	for _, g := range grants {
		if g.Live(w.now) {
			if err := w.supersede(ctx, g, by); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeated gives what an earlier call with the same key led to; nil where there was none.
func repeated(ctx context.Context, r Reader, c Caller, key, digest string) (*RequestDetail, error) {
	earlier, err := r.Idempotent(ctx, c.Principal, key)
	switch {
	case isKind(err, access.KindNotFound):
		return nil, nil //nolint:nilnil // there was none, and that is no error
	case err != nil:
		return nil, fmt.Errorf("read idempotency key: %w", err)
	case earlier.Digest != digest:
		return nil, access.Fault(access.KindConflict, "idempotencyKeyReused", "this idempotency key came with another body before: use a new key for a new request")
	}
	request, err := r.Request(ctx, earlier.Request)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	names := nameCache{r: r}
	d, err := describeRequest(ctx, r, &names, request)
	return &d, err
}

func orZero(d *RequestDetail) RequestDetail {
	if d == nil {
		return RequestDetail{}
	}
	return *d
}

// digest gives what an idempotency key is compared by.
func (in SubmitInput) digest() string {
	if in.Digest != "" {
		return in.Digest
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %q %q %q %q %q %t\n", in.Start.UnixMicro(), in.Justification, in.Ticket, in.Policy, in.Repeat, in.Zone, in.BreakGlass)
	for _, it := range in.Items {
		_, _ = fmt.Fprintf(h, "%q %q %q %s %q %v %q %d %d\n", it.Machine, it.Selector, it.Group, it.Ports, it.Protocol, it.Sources, it.Networks, it.Duration, it.Until.UnixMicro())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// scope gives the machine that all items name by its resource id, for the event of a refusal; empty where they do not.
func (in SubmitInput) scope() access.ResourceID {
	for _, it := range in.Items {
		if !strings.EqualFold(it.Machine, in.Items[0].Machine) {
			return ""
		}
	}
	if len(in.Items) == 0 || !strings.HasPrefix(in.Items[0].Machine, "/") {
		return ""
	}
	id, err := access.ParseResourceID(in.Items[0].Machine)
	if err != nil {
		return ""
	}
	return id
}

// describe gives what was asked for as a refusal records it.
func (in SubmitInput) describe() map[string]string {
	details := map[string]string{"justification": in.Justification, "ticket": in.Ticket, "items": strconv.Itoa(len(in.Items))}
	if !in.Start.IsZero() {
		details["start"] = in.Start.UTC().Format(time.RFC3339)
	}
	if in.Repeat != "" {
		details["repeat"] = in.Repeat
	}
	if in.BreakGlass {
		details["breakGlass"] = "true"
	}
	for i, it := range in.Items[:min(len(in.Items), 20)] {
		var sources []string
		for _, s := range it.Sources {
			sources = append(sources, s.String())
		}
		sources = append(sources, it.Networks...)
		name := it.Machine
		if name == "" {
			name = strings.Trim(it.Group+"?"+it.Selector, "?")
		}
		text := fmt.Sprintf("machine %q ports %s/%s from %s for %s", name, it.Ports, it.Protocol, strings.Join(sources, ","), it.Duration)
		if !it.Until.IsZero() {
			text += " until " + it.Until.UTC().Format(time.RFC3339)
		}
		details[fmt.Sprintf("item.%d", i)] = text
	}
	return details
}
