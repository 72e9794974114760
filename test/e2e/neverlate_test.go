//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/enforce"
)

// openingsEnv makes TestNeverLate a measurement of so many openings in each of its parts.
const openingsEnv = "POSTERN_NEVER_LATE"

const (
	firstPort  = 4000
	together   = 10                    // openings of one request, which end together
	requesters = 100                   // at once, each with a port and sources of its own
	deadAtOnce = 5000                  // openings when everything is dead
	constants  = 20 * time.Millisecond // that an opening may end early beside the round trip: see ADR 8
)

// TestNeverLate sends packets about the end of very many openings, and judges each that passed by when it came to the
// machine against the end in the server's record: none came after it. It is short, and judges nothing but that; with
// POSTERN_NEVER_LATE=10000, make never-late, it is a measurement of how soon before their end openings close as well.
func TestNeverLate(t *testing.T) {
	openings, reconnects, measured, lasting := 40, 2, false, 2*time.Second
	if text := os.Getenv(openingsEnv); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		openings, reconnects, measured, lasting = n, 100, true, 4*time.Second
	} else {
		t.Parallel()
	}
	w := pair(t)
	sources := netip.MustParsePrefix("10.90.0.0/16")
	for _, err := range []error{w.net.Client.HaveAll(sources), w.net.Machine.Route(sources, w.net.ClientAddrs[0])} {
		if err != nil {
			t.Fatal(err)
		}
	}
	direct := w.address
	cable := newCable(w, direct)
	w.address = cable.address
	w.enrol(w.guarded, "web-1", "host", "state")
	w.address = direct
	w.startAgent()
	w.setPolicy("web-1",
		api.MachinePolicy{Ports: []api.PortRule{
			{Ports: fmt.Sprintf("%d-%d", firstPort, firstPort+requesters-1), Protocol: "udp", MaxSeconds: 1800},
		}})

	l := &lateness{w: w, cable: cable, lasting: lasting}
	for _, part := range []struct {
		name string
		busy bool
		long bool // left out where nothing is measured
		most int  // openings at once
		run  func()
	}{
		{"quiet", false, true, requesters * together, func() { l.oneAfterTheOther(openings) }},
		{"busy", true, true, requesters * together, func() { l.oneAfterTheOther(openings) }},
		{"reconnected", true, false, requesters * together, func() { l.cutting(reconnects, openings) }},
		{"dead", true, false, deadAtOnce, func() { l.dead(openings) }},
	} {
		if part.long && !measured {
			continue
		}
		t.Run(part.name, func(t *testing.T) {
			w.t = t
			w.server.kill()
			w.agent.kill()
			w.startServer() // for as long as this part lasts
			began := time.Now()
			w.startAgent()
			w.eventually("the agent is back", func() error {
				if seen := l.revision().LastSeenAt; seen == nil || seen.Before(began) {
					return fmt.Errorf("it was last seen at %s", seen)
				}
				return nil
			})
			if part.busy {
				keepBusy(t)
			}
			l.volley, l.targets = newVolley(w, firstPort, requesters), nil
			ask := newRoundTrips(w)
			part.run()
			trips := ask.stop()
			bound := constants + trips.most() + time.Duration(part.most)*10*time.Microsecond
			if part.busy { // what is written too late, and ends soon, is closed
				bound += enforce.Soonest
			}
			if early := l.judge(trips); measured && early > bound {
				t.Errorf("an opening closed %s before its end, which is more than %s", early, bound)
			}
		})
	}
}

// keepBusy takes all processors, and leaves little of them.
func keepBusy(t *testing.T) {
	t.Helper()
	for range runtime.NumCPU() {
		for _, script := range []string{"while :; do :; done", "exec dd if=/dev/zero of=/dev/null bs=64k"} {
			cmd := exec.Command("/bin/sh", "-c", script)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		}
	}
}

// lateness is one part of the test.
type lateness struct {
	w       *world
	cable   *cable
	volley  *volley
	lasting time.Duration // an opening, at least

	mu      sync.Mutex // protects targets
	targets []*target
}

// open asks for openings of a port for some sources, and shoots at them.
func (l *lateness) open(port int, from []netip.Addr, lasting time.Duration) ([]*target, error) {
	end, err := l.ask(port, from, lasting)
	if err != nil {
		return nil, err
	}
	var aimed []*target
	for _, a := range from {
		aimed = append(aimed, l.volley.aim(a, port, end))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = append(l.targets, aimed...)
	return aimed, nil
}

// ask gives the end in the server's record. lasting is in whole seconds.
func (l *lateness) ask(port int, from []netip.Addr, lasting time.Duration) (time.Time, error) {
	in := api.NewItem{Machine: "web-1", Ports: strconv.Itoa(port), Protocol: "udp"}
	for i, a := range from {
		bits := 32 - 2*(i%2) // of either of two sets
		in.Sources = append(in.Sources, netip.PrefixFrom(a, bits).Masked().String())
	}
	r, err := l.w.admin.Submit(l.w.t.Context(),
		api.NewRequest{ForSeconds: int64(lasting / time.Second), Justification: "a test", Items: []api.NewItem{in}}, "")
	if err != nil {
		return time.Time{}, err
	}
	return r.Grants[0].End, nil
}

// sourcesOf gives the addresses of one requester: no two in the same prefix of 30 bits.
func sourcesOf(requester, n int) []netip.Addr {
	var from []netip.Addr
	for i := range n {
		at := 4 * (requester*n + i + 1)
		from = append(from, netip.AddrFrom4([4]byte{10, 90, byte(at >> 8), byte(at)}))
	}
	return from
}

// oneAfterTheOther opens so many, a few for each of many requesters at any time. Of every fourth request the end is
// moved.
func (l *lateness) oneAfterTheOther(openings int) {
	var all sync.WaitGroup
	var asked atomic.Int64
	for i := range min(requesters, openings/together) {
		all.Go(func() {
			for asked.Add(together) <= int64(openings) {
				end, err := l.oneOf(firstPort+i, sourcesOf(i, together))
				if err != nil {
					l.w.t.Errorf("ask for openings: %v", err)
					return
				}
				time.Sleep(time.Until(end) + watchedFor)
			}
		})
	}
	all.Wait()
}

func (l *lateness) oneOf(port int, from []netip.Addr) (time.Time, error) {
	aimed, err := l.open(port, from, l.lasting+time.Duration(rand.N(3))*time.Second)
	if err != nil {
		return time.Time{}, err
	}
	end := time.Unix(0, aimed[0].end.Load())
	if rand.N(4) > 0 {
		return end, nil
	}
	time.Sleep(time.Until(end) * 2 / 3)
	if end, err = l.ask(port, from, l.lasting); err != nil {
		return end, err
	}
	for _, t := range aimed {
		t.was = t.end.Swap(end.UnixNano())
	}
	return end, nil
}

// cutting makes the agent connect anew so many times while it opens: its connections are cut, or every fifth time it is
// killed and started. Then it opens once more as many.
func (l *lateness) cutting(times, openings int) {
	var cut sync.WaitGroup
	cut.Go(func() {
		for i := range times {
			before := l.revision().Revision
			if i%5 == 4 {
				l.w.agent.kill()
				l.w.startAgent()
			} else {
				l.cable.cut()
			}
			for end := time.Now().Add(patience); l.revision().Reported <= before; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					l.w.t.Errorf("the agent was not told of anything since its connection %d was cut", i+1)
					return
				}
			}
		}
		l.w.t.Logf("connected anew %d times", times)
	})
	done := make(chan struct{})
	go func() { cut.Wait(); close(done) }()
	for going := true; going; { // what is opened makes the revisions that are waited for
		l.oneAfterTheOther(openings / 4)
		select {
		case <-done:
			going = false
		default:
		}
	}
	l.oneAfterTheOther(openings / 2)
}

// revision gives what the server wants of the agent, and what that has reported in force.
func (l *lateness) revision() api.Agent {
	m, err := l.w.admin.Machine(l.w.t.Context(), "web-1")
	if err != nil || m.Agent == nil {
		l.w.t.Errorf("the machine is %+v, %v", m, err)
		return api.Agent{}
	}
	return *m.Agent
}

// dead opens many at a time whose ends follow each other, and kills agent and server before the first. Every second
// time, and the first, the host then starts again: its guard closes all, and the agent opens what remains, without the
// server, and is killed too.
func (l *lateness) dead(openings int) {
	const together = 50
	for round := 0; openings > 0; round++ {
		n := min(openings, deadAtOnce)
		openings -= n
		var aimed []*target
		for i := range (n + together - 1) / together { // they end one after the other, as they are asked for
			these, err := l.open(firstPort+i%requesters, sourcesOf(i, together),
				10*time.Second+time.Duration(n/250)*time.Second)
			if err != nil {
				l.w.t.Fatalf("ask for openings: %v", err)
			}
			aimed = append(aimed, these...)
		}
		l.w.inForce("web-1")
		l.w.server.kill()
		l.w.agent.kill()
		last := aimed[len(aimed)-1]
		if round%2 == 0 {
			guard := launch(l.w.t, l.w.guarded, l.w.path("guard.log"), "agent", "guard", "--state", l.w.path("state"))
			<-guard.done
			closed := time.Now().UnixNano()
			l.w.startAgent()
			l.w.eventually("the agent opens again", func() error {
				if last.arrived.Load() < closed && time.Now().UnixNano() < last.end.Load() {
					return errors.New("no packet passed")
				}
				return nil
			})
			// Until it has read the kernel's answer, and written again what was late, a kill leaves what ADR 8 leaves
			// open.
			time.Sleep(time.Second)
			l.w.agent.kill()
		}
		alive := 0
		for now := time.Now().UnixNano(); alive < len(aimed) && aimed[alive].end.Load() < now+int64(aboutEnd); alive++ {
		}
		l.w.t.Logf("everything is dead; %d of %d openings had ended before, or nearly", alive, len(aimed))
		time.Sleep(time.Until(time.Unix(0, last.end.Load())) + watchedFor)
		l.w.startServer()
		l.w.startAgent()
		l.w.inForce("web-1")
	}
}
