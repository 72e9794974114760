package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/services"
)

// An agent, or whoever has its certificate, fills the activity log no faster than a bound, and what it counted is not
// lost.
func TestAnAgentCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	use := func(i int) error {
		return w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, requests.GlassUse{
			Code: engine.GlassCodeID(fmt.Sprintf("made-up-%d", i)), Ports: access.SinglePort(22), Protocol: access.TCP,
			Source: netip.MustParsePrefix("203.0.113.7/32"), Opened: w.clock.now(), Duration: time.Minute, Reason: "x",
		})
	}
	before, refused := w.size(), 0
	for i := range 150 {
		if err := use(i); err != nil {
			wantCode(t, err, access.KindLimited, "tooManyUses")
			refused++
		}
	}
	if grown := w.size() - before; grown != 20 || refused != 130 {
		t.Errorf("150 uses made %d events, %d were refused", grown, refused)
	}
	w.clock.advance(time.Hour)
	if err := use(999); err != nil {
		t.Errorf("an hour later: %v", err)
	}

	before = w.size()
	var sent uint64
	report := func(number int) {
		var denied []access.Denied
		for i := range 100 {
			source := netip.AddrFrom4([4]byte{198, 51, byte(number), byte(i)})
			denied = append(denied,
				access.Denied{Machine: host.Machine.ID, Source: source, Protocol: access.TCP, Port: 22, Count: 3})
			sent += 3
		}
		w.report(host.Agent.ID, access.Report{Denied: denied})
	}
	for number := range 50 {
		report(number)
	}
	if grown := w.size() - before; grown > 2100 {
		t.Errorf("5,000 denied attempts made %d events", grown)
	}
	w.clock.advance(2 * time.Hour)
	report(50)
	if counted := w.counted(before, access.AgentDeniedTraffic); counted != sent {
		t.Errorf("%d attempts are counted, of %d", counted, sent)
	}
}

// counted adds up what the events of a kind since the seq'th stand for.
func (w *world) counted(since int, kind access.EventKind) (all uint64) {
	w.tb.Helper()
	for _, event := range w.events()[since:] {
		if event.Kind != kind {
			continue
		}
		n, err := strconv.ParseUint(event.Details["count"], 10, 64)
		if err != nil {
			w.tb.Fatal(err)
		}
		all += n
	}
	return all
}

// What an agent says of itself, and what is refused of it, is bounded too; and what there was no room for is on record
// once there is room again, as it is then.
func TestAnAgentCannotFloodTheLogWithItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, other := w.host("web-1"), w.host("web-2")
	for name, say := range map[string]func(i int) access.Report{
		"problems": func(i int) access.Report { return access.Report{Problem: fmt.Sprint("problem ", i)} },
		"drift":    func(i int) access.Report { return access.Report{Drift: []string{fmt.Sprint("rule ", i)}} },
		"skew":     func(i int) access.Report { return access.Report{Skew: time.Duration(i%2) * time.Hour} },
		"rules of others": func(i int) access.Report {
			return access.Report{Foreign: []access.ForeignRule{
				{Table: "t", Chain: "c", Effect: access.ForeignAccepts, Text: fmt.Sprint(i)},
			}}
		},
		"another's machine": func(i int) access.Report {
			return access.Report{Denied: []access.Denied{
				{
					Machine: other.Machine.ID, Source: netip.MustParseAddr("203.0.113.7"), Protocol: access.TCP,
					Port: uint16(1 + i), Count: 1,
				},
			}}
		},
		"revisions ahead": func(i int) access.Report { return access.Report{Revision: int64(1_000 + 10*i)} },
	} {
		w.clock.advance(time.Hour)
		before := w.size()
		for i := range 700 {
			if err := w.Machines.Report(w.ctx, host.Agent.ID, office,
				say(i)); err != nil && access.KindOf(err) == access.KindInternal {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if grown := w.size() - before; grown < 400 || grown > 600 {
			t.Errorf("700 reports with %s made %d events", name, grown)
		}
	}
	w.clock.advance(time.Hour)
	before, refused := w.size(), 0
	for range 700 {
		if _, err := w.Machines.RenewAgent(w.ctx, host.Agent.ID, office,
			func(access.AgentID) (string, error) { return host.Agent.Fingerprint, nil }); err != nil {
			wantCode(t, err, access.KindLimited, "tooManyRenewals")
			refused++
		}
	}
	if grown := w.size() - before; grown > 500 || refused == 0 {
		t.Errorf("700 renewals made %d events, %d were refused", grown, refused)
	}
	w.clock.advance(time.Hour)
	w.report(host.Agent.ID, access.Report{Problem: "what is wrong now", Drift: []string{"rule"}})
	for _, a := range must(w.Machines.Agents(w.ctx, w.admin, engine.Page{}))(t).Items {
		if a.ID == host.Agent.ID && a.Problem != "what is wrong now" {
			t.Errorf("the agent's problem is %q", a.Problem)
		}
	}
	if drifted := w.counted(0, access.AgentDrift); drifted != 701 {
		t.Errorf("%d drifts are counted, of 701", drifted)
	}
}

// Grants that come and go fill the log no faster than a bound, one that is first in force or closed is on record
// whatever its agent has said before, and how they are is on record later.
func TestAnAgentCannotFloodTheLogWithGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	var grants []access.GrantID
	ask := func() {
		in := ssh("web-1", 3*time.Hour)
		in.Items[0].Port.Sources = []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(len(grants))}), 32),
		}
		grants = append(grants, must(w.Requests.Submit(w.ctx, w.admin, in))(t).Grants[0].ID)
	}
	for range 200 {
		ask()
	}
	say := func(which []access.GrantID, states ...access.GrantStatus) error {
		r := access.Report{Revision: w.desired(host.Agent.ID).Revision}
		for _, id := range which {
			for _, s := range states {
				r.Observations = append(r.Observations, access.Observation{Grant: id, Status: s})
			}
		}
		return w.Machines.Report(w.ctx, host.Agent.ID, office, r)
	}
	before, refused := w.size(), 0
	for range 20 {
		if err := say(grants, access.StatusFailed, access.StatusOpen, access.StatusDrifted); err != nil {
			wantCode(t, err, access.KindLimited, "tooManyMoves")
			refused++
		}
	}
	if grown := w.size() - before; grown > 10_300 || refused == 0 {
		t.Errorf("20 reports of 200 grants made %d events, %d were refused", grown, refused)
	}
	ask()
	if err := say(grants[200:], access.StatusOpen); err != nil || w.grant(grants[200]).State != access.GrantActive {
		t.Errorf("what is first in force is %s, %v", w.grant(grants[200]).State, err)
	}
	must(w.Requests.Revoke(w.ctx, w.admin, grants[200], ""))(t)
	if err := say(grants[200:], access.StatusClosed); err != nil || w.grant(grants[200]).ClosedAt.IsZero() {
		t.Errorf("what is closed is %+v, %v", w.grant(grants[200]), err)
	}
	w.clock.advance(time.Hour)
	if err := say(grants[:200], access.StatusOpen); err != nil || w.grant(grants[0]).State != access.GrantActive {
		t.Errorf("an hour later it is %s, %v", w.grant(grants[0]).State, err)
	}
}

// What an agent says of grants that come and go too often holds up nothing else that it says with it: what is first in
// force and what is closed is on record, and what comes and goes is said later, as it is then, once.
func TestGrantsThatComeAndGoHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	var grants []access.GrantID
	for n := range byte(204) {
		in := ssh("web-1", 3*time.Hour)
		in.Items[0].Port.Sources = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, n}), 32)}
		grants = append(grants, must(w.Requests.Submit(w.ctx, w.admin, in))(t).Grants[0].ID)
	}
	often, first, ended, failed, gone := grants[:200], grants[200], grants[201], grants[202], grants[203]
	say := func(seen ...access.Observation) error {
		return w.Machines.Report(w.ctx, host.Agent.ID, office,
			access.Report{Revision: w.desired(host.Agent.ID).Revision, Observations: seen})
	}
	var flood []access.Observation
	for _, id := range often {
		for _, s := range []access.GrantStatus{access.StatusFailed, access.StatusOpen, access.StatusDrifted} {
			flood = append(flood, access.Observation{Grant: id, Status: s})
		}
	}
	if err := say(access.Observation{Grant: ended, Status: access.StatusOpen},
		access.Observation{Grant: gone, Status: access.StatusOpen}); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 20 {
		if err = say(flood...); err != nil {
			break
		}
	}
	wantCode(t, err, access.KindLimited, "tooManyMoves")
	for _, id := range []access.GrantID{ended, gone} {
		must(w.Requests.Revoke(w.ctx, w.admin, id, ""))(t)
	}
	w.clock.advance(time.Second)
	before, seen := w.size(), append(slices.Clone(flood),
		access.Observation{Grant: first, Status: access.StatusOpen},
		access.Observation{Grant: ended, Status: access.StatusClosed},
		access.Observation{Grant: failed, Status: access.StatusOpen},
		access.Observation{Grant: failed, Status: access.StatusFailed},
		access.Observation{Grant: gone, Status: access.StatusDrifted},
		access.Observation{Grant: gone, Status: access.StatusClosed},
	)
	for range 3 { // as an agent does that is told to say it later
		wantCode(t, say(seen...), access.KindLimited, "tooManyMoves")
	}
	if g := w.grant(first); g.State != access.GrantActive {
		t.Errorf("what is first in force is %s", g.State)
	}
	if g := w.grant(ended); g.ClosedAt.IsZero() {
		t.Errorf("what is closed is %s", g.State)
	}
	if g := w.grant(gone); g.ClosedAt.IsZero() {
		t.Errorf("what drifted and is closed is %s", g.State)
	}
	if g := w.grant(failed); g.State != access.GrantOpening {
		t.Errorf("what was open for a moment, and failed, is %s", g.State)
	}
	if grown := w.size() - before; grown != 3 {
		t.Errorf("three reports made %d events", grown)
	}
	for _, a := range must(w.Machines.Agents(w.ctx, w.admin, engine.Page{}))(t).Items {
		if !a.LastSeenAt.Equal(w.clock.now()) {
			t.Errorf("the agent was heard of last at %s", a.LastSeenAt)
		}
	}
	w.clock.advance(time.Hour)
	if err := say(seen...); err != nil || w.grant(failed).State != access.GrantFailed {
		t.Errorf("an hour later it is %s, %v", w.grant(failed).State, err)
	}
}

// One report moves a grant by what it says last of each status, however often it says it.
func TestAReportDoesNotMoveAGrantToAndFro(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	g := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t).Grants[0]
	var seen []access.Observation
	for range 500 {
		seen = append(seen, access.Observation{Grant: g.ID, Status: access.StatusOpen},
			access.Observation{Grant: g.ID, Status: access.StatusDrifted})
	}
	seen = append(seen, access.Observation{Grant: g.ID, Status: access.StatusOpen, Packets: 7})
	before := w.size()
	w.report(host.Agent.ID, access.Report{Revision: w.desired(host.Agent.ID).Revision, Observations: seen})
	if grown := w.size() - before; grown > 4 {
		t.Errorf("one report of one grant made %d events", grown)
	}
	if got := w.grant(g.ID); got.State != access.GrantActive || got.Packets != 7 {
		t.Errorf("it is %s with %d packets", got.State, got.Packets)
	}
}

// rerun is a store in which every change loses a race once, and is run again.
type rerun struct{ engine.Store }

var errLost = errors.New("another transaction was faster")

func (s rerun) Update(ctx context.Context, fn func(engine.Tx) error) error {
	err := s.Store.Update(ctx, func(tx engine.Tx) error { return errors.Join(fn(tx), errLost) })
	if err != nil && !errors.Is(err, errLost) {
		return err
	}
	return s.Store.Update(ctx, fn)
}

// What a transaction counts against the bounds of an agent counts once, however often it is run, and nothing where it
// comes to nothing.
func TestAReportThatIsRunAgainCountsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.Services = w.another(func(c *services.Config) { c.Store = rerun{w.store} })
	before, refused := w.size(), 0
	for i := range 30 {
		err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, requests.GlassUse{
			Code: engine.GlassCodeID(fmt.Sprintf("made-up-%d", i)), Ports: access.SinglePort(22), Protocol: access.TCP,
			Source: netip.MustParsePrefix("203.0.113.7/32"), Opened: w.clock.now(), Duration: time.Minute, Reason: "x",
		})
		if err != nil {
			wantCode(t, err, access.KindLimited, "tooManyUses")
			refused++
		}
	}
	if grown := w.size() - before; grown != 20 || refused != 10 {
		t.Errorf("30 uses made %d events, %d were refused", grown, refused)
	}
	before = w.size()
	var sent uint64
	for number := range 25 {
		var denied []access.Denied
		for i := range 100 {
			source := netip.AddrFrom4([4]byte{198, 51, byte(number), byte(i)})
			denied = append(denied,
				access.Denied{Machine: host.Machine.ID, Source: source, Protocol: access.TCP, Port: 22, Count: 3})
			sent += 3
		}
		w.report(host.Agent.ID, access.Report{Denied: denied})
	}
	if grown := w.size() - before; grown < 2000 || grown > 2100 {
		t.Errorf("2,500 denied attempts made %d events, want 2,000", grown)
	}
	w.clock.advance(2 * time.Hour)
	w.report(host.Agent.ID,
		access.Report{Denied: []access.Denied{
			{Machine: host.Machine.ID, Source: office, Protocol: access.TCP, Port: 22, Count: 1},
		}})
	if counted := w.counted(before, access.AgentDeniedTraffic); counted != sent+1 {
		t.Errorf("%d attempts are counted, of %d", counted, sent+1)
	}
}

// A principal without any right fills the activity log no faster than a bound either, be it with malformed requests or
// with refused ones; what is left out is counted on record, and nobody else is left out for it.
func TestRefusedAttemptsCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	flooder, other := w.user("mallory", ""), w.user("olga", "")
	var reasons []access.Reason
	for i := range 50 {
		reasons = append(reasons,
			access.Reason{Field: fmt.Sprintf("items[%d].ports", i), Code: "malformed", Message: "x is no port"})
	}
	left := func() (sum uint64) {
		t.Helper()
		for _, e := range w.events() {
			if text := e.Details["leftOut"]; text != "" {
				n, err := strconv.ParseUint(text, 10, 64)
				if err != nil || e.Actor.ID != flooder.Principal {
					t.Fatalf("left out %q of %v: %v", text, e.Actor, err)
				}
				sum += n
			}
		}
		return sum
	}
	before := w.size()
	const attempts = 2000
	for i := range attempts {
		if i%2 == 0 {
			if err := w.Requests.RequestRefused(w.ctx, flooder, "", reasons); err != nil {
				t.Fatal(err)
			}
		} else if _, err := w.Directory.CreatePrincipal(w.ctx, flooder,
			directory.PrincipalInput{Kind: access.User, Name: "x"}); err == nil {
			t.Fatal("anybody makes principals")
		}
	}
	kept := w.size() - before
	if kept > 1000 {
		t.Errorf("%d refused attempts made %d events", attempts, kept)
	}
	if err := w.Requests.RequestRefused(w.ctx, other, "", reasons); err != nil || w.size() != before+kept+1 {
		t.Errorf("the attempt of another is not on record: %v", err)
	}
	w.clock.advance(time.Hour)
	if _, err := w.Purge(w.ctx); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != uint64(attempts-kept) {
		t.Errorf("%d attempts are said to be left out, want %d", got, attempts-kept)
	}
	if err := w.Requests.RequestRefused(w.ctx, flooder, "",
		reasons); err != nil || left() != uint64(attempts-kept) || w.size() != before+kept+3 {
		t.Errorf("later it is on record again: %v", err)
	}
}

// A program that signs in over and over fills the activity log no faster than a bound; its sign-ins are counted on
// record, and hide nothing that it is refused.
func TestSignInsCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	robot := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "robot"}))(t)
	signIn := func() {
		t.Helper()
		if err := w.Directory.ClientSignedIn(w.ctx, robot, directory.ClientProof{}, office); err != nil {
			t.Fatal(err)
		}
	}
	before := w.size()
	const signIns = 1500
	for range signIns {
		signIn()
	}
	kept := w.size() - before
	if kept > 1000 {
		t.Errorf("%d sign-ins made %d events", signIns, kept)
	}
	if _, err := w.Directory.CreatePrincipal(w.ctx, caller(robot),
		directory.PrincipalInput{Kind: access.User, Name: "x"}); err == nil || w.size() != before+kept+1 {
		t.Errorf("what the program was refused is not on record: %v", err)
	}
	w.clock.advance(time.Hour)
	signIn()
	events := w.events()
	if left := events[len(events)-1].Details["leftOut"]; left != strconv.FormatUint(uint64(signIns-kept), 10) {
		t.Errorf("%s sign-ins are said to be left out, want %d", left, signIns-kept)
	}
}
