//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/nettest"
)

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

func TestTheKernelClosesThoughAgentAndServerAreDead(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, six := w.listen(22)
	w.guard()
	me4, me6 := w.net.ClientAddrs[0], w.net.ClientAddrs[1]
	g4 := w.ask(w.admin, me4.String(), 15*time.Second)
	g6 := w.ask(w.admin, me6.String(), 15*time.Second) // which ends later, by as long as asking took
	w.server.kill()
	w.agent.kill()
	w.open(me4, four)
	w.open(me6, six)
	if last := w.lastAccepted(me4, four, g4.End); last.After(g4.End) {
		t.Errorf("a connection was accepted %s after the end", last.Sub(g4.End))
	}
	if last := w.lastAccepted(me6, six, g6.End); last.After(g6.End) {
		t.Errorf("an IPv6 connection was accepted %s after the end", last.Sub(g6.End))
	}

	w.startServer()
	w.startAgent() // after the deadline
	w.shut(me4, four)
	w.shut(me6, six)
	if g := w.closed(g4.ID); g.State != "expired" {
		t.Errorf("the grant is %s, want expired", g.State)
	}
	w.shut(me4, four)
	w.verified()
}

func TestAgentKilledWhileOpenComesBackWithoutAGap(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	g := w.ask(w.admin, me.String(), 15*time.Second)
	w.agent.kill()
	w.open(me, four)
	w.startAgent()
	for time.Now().Before(g.End.Add(-6 * time.Second)) {
		w.open(me, four)
	}
	w.shut(w.net.ClientAddrs[2], four)
	if last := w.lastAccepted(me, four, g.End); last.After(g.End) {
		t.Errorf("a connection was accepted %s after the end", last.Sub(g.End))
	}
	w.closed(g.ID)
}

func TestAgentOfflineWhileGranted(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	w.agent.kill()
	r, err := w.admin.Submit(t.Context(),
		api.NewRequest{
			ForSeconds: 20,
			Items:      []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{me.String()}}},
		},
		"")
	if err != nil {
		t.Fatal(err)
	}
	w.shut(me, four)
	if g, err := w.admin.Grant(t.Context(), r.Grants[0].ID, 0); err != nil || g.State != "opening" {
		t.Errorf("the grant is %s, %v; want opening, since nobody has opened it", g.State, err)
	}
	w.startAgent()
	w.active(r.Grants[0].ID)
	w.open(me, four)
}

func TestServerLost(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard(func(p *api.MachinePolicy) { p.CloseAfterLossSeconds = 6 })
	me := w.net.ClientAddrs[0]
	w.ask(w.admin, me.String(), time.Hour)
	time.Sleep(8 * time.Second) // longer than what one contact is good for
	w.open(me, four)
	w.server.kill()
	lost := time.Now()
	if last := w.lastAccepted(me, four, lost.Add(7*time.Second)); last.After(lost.Add(7 * time.Second)) {
		t.Errorf("a connection was accepted %s after the server was lost", last.Sub(lost))
	}
}

func TestTableDeletedByHandIsHealed(t *testing.T) {
	t.Parallel()
	w := pair(t)
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("there is no nft to delete the table with: install nftables")
	}
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	w.ask(w.admin, me.String(), time.Hour)

	// While the agent lives, the kernel keeps its table from everybody else; so the table is deleted while it is dead.
	for _, by := range []string{"flush ruleset", "delete table inet postern"} {
		out, err := w.nft(nft, by)
		w.shut(w.net.ClientAddrs[2], four)
		t.Logf("nft %s, with the agent alive: %v %s", by, err, out)
	}
	w.agent.kill()
	if out, err := w.nft(nft, "delete table inet postern"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.open(w.net.ClientAddrs[2], four) // somebody with root took the guard away
	w.startAgent()
	w.eventually("the table is back", func() error {
		if w.net.Client.Ask("tcp", w.net.ClientAddrs[2], four, silence) == nil {
			return errors.New("the port is open to everybody")
		}
		return nil
	})
	w.open(me, four)
}

func (w *world) nft(program, command string) (string, error) {
	cmd := exec.Command("/bin/sh", "-c", program+" "+command)
	var out []byte
	err := w.guarded.Do(func() (err error) { out, err = cmd.CombinedOutput(); return err })
	return string(out), err
}

func TestAnAgentGetsItsOwnStateAlone(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	second, err := nettest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	w.enrol(w.guarded, "web-2", "host", "state2")
	me := w.net.ClientAddrs[0]
	g := w.ask(w.admin, me.String(), time.Hour)

	stranger := w.agentClient("state2")
	stream, err := stranger.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	event, err := stream.Next()
	if err != nil {
		t.Fatal(err)
	}
	_, desired, err := event.Read()
	if err != nil || desired == nil || len(desired.Openings)+len(desired.Protected) != 0 {
		t.Fatalf("another machine's agent was told %+v, %v", desired, err)
	}
	// It may not speak for the other's grants either.
	err = stranger.Report(t.Context(),
		agentwire.Report{
			Revision: desired.Revision, Version: "test",
			Observations: []agentwire.Observation{{Grant: g.ID, Status: "failed", Detail: "forged"}},
		})
	if err == nil {
		t.Error("a report about another machine's grant was taken")
	}
	if got := w.active(g.ID); got.Reason != "" {
		t.Errorf("the grant is %+v", got)
	}
	w.open(me, four)
	w.eventually("the attempt is on the activity log", func() error {
		events, err := api.All(w.admin.Events(t.Context(), api.EventQuery{Kind: "agent.refused"}))
		if err == nil && len(events) == 0 {
			err = errors.New("there is no such event")
		}
		return err
	})
}

// TestServerKilledAtAnyPointLeavesNothingHalfDone kills the server at random points of requests. Whatever it had
// answered is there after its restart; what it had not is there whole or not at all, and the same idempotency key
// leads to one request.
func TestServerKilledAtAnyPointLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.guard()
	me := w.net.ClientAddrs[0]
	body := api.NewRequest{
		ForSeconds: 3600, Justification: "a test",
		Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{me.String()}}},
	}
	began := time.Now()
	if _, err := w.admin.Submit(t.Context(), body, "first"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began) // which is longer on a busy machine, and what the points must be spread over
	for round := range 20 {
		key := fmt.Sprintf("round %d", round)
		answered := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		go func() {
			_, err := w.admin.Submit(ctx, body, key)
			answered <- err
		}()
		time.Sleep(rand.N(took * 3 / 2))
		w.server.kill()
		first := <-answered
		cancel()
		w.startServer()
		requests, err := api.All(w.admin.Requests(t.Context(), api.RequestQuery{}))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil && len(requests) != round+2 {
			t.Fatalf("round %d: the request was answered, and %d are kept", round, len(requests))
		}
		again, err := w.admin.Submit(t.Context(), body, key)
		if err != nil {
			t.Fatalf("round %d: the same request again: %v", round, err)
		}
		if requests, err = api.All(w.admin.Requests(t.Context(),
			api.RequestQuery{})); err != nil || len(requests) != round+2 {
			t.Fatalf("round %d: %d requests are kept, %v", round, len(requests), err)
		}
		if again.State != "approved" || len(again.Grants) != 1 {
			t.Fatalf("round %d: half done: %+v", round, again)
		}
	}
	grants, err := api.All(w.admin.Grants(t.Context(), api.GrantQuery{}))
	if err != nil || len(grants) != 21 {
		t.Fatalf("%d grants, %v; want 21", len(grants), err)
	}
	w.active(grants[0].ID)
	w.open(me, four)
	w.verified()
}
