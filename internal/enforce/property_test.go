package enforce_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// A sleeping machine wakes its loop within a second; a target that fails is asked again within five.
const (
	afterJump    = 1100 * time.Millisecond
	afterFailure = 5100 * time.Millisecond
)

// TestNothingIsHeldPastItsEnd lets anything happen, and looks again and again whether the target holds what has ended.
func TestNothingIsHeldPastItsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		story := drawStory(r)
		synctest.Test(t, func(t *testing.T) { story.play(t, r) })
	})
}

// act is one thing that happens, and how long it is quiet afterwards.
type act struct {
	kind  string
	keys  []int // of the openings in a new state
	ends  []time.Duration
	quiet time.Duration
}

type story []act

func drawStory(r *rapid.T) story {
	kinds := []string{
		"set", "set", "set", "fail", "blind", "recover", "lose", "plant", "drift", "suspend", "late",
		"contact",
	}
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
		a := act{
			kind:  rapid.SampledFrom(kinds).Draw(r, "kind"),
			quiet: time.Duration(rapid.IntRange(0, 20_000).Draw(r, "quiet")) * time.Millisecond,
		}
		if a.kind == "set" {
			a.keys = rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 0, 5, rapid.ID).Draw(r, "keys")
			for range a.keys {
				a.ends = append(a.ends, time.Duration(rapid.IntRange(-1000, 30_000).Draw(r, "end"))*time.Millisecond)
			}
		}
		return a
	}), 1, 15).Draw(r, "story")
}

func (s story) play(t *testing.T, r *rapid.T) {
	t.Helper()
	keys := []access.OpeningKey{
		key("192.0.2.1/32", 22), key("192.0.2.0/24", 22), key("192.0.2.1/32", 80), key("2001:db8::/64", 22),
		key("0.0.0.0/0", 443), key("198.51.100.9/32", 22),
	}
	target := newMemory()
	var skipped atomic.Int64 // nanoseconds
	now := func() time.Time { return time.Now().Add(time.Duration(skipped.Load())) }
	loop := enforce.New(enforce.Config{Enforcer: target, Now: now, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("run: %v", err)
		}
	}()

	ends := make(map[access.OpeningKey]time.Time) // of the state last set
	var patience time.Time                        // until then the loop may still be getting over something
	check := func(what string) {
		synctest.Wait()
		if now().Before(patience) {
			return
		}
		target.change(func() {
			target.expire()
			for k := range target.held {
				if end, ok := ends[k]; !ok || now().After(end.Add(time.Millisecond)) {
					r.Errorf("after %s: %s port %s is held at %s, its end was %s", what, k.Source, k.Ports, now(), end)
				}
			}
		})
	}
	broken := false
	forgive := func(d time.Duration) {
		if at := now().Add(d); at.After(patience) {
			patience = at
		}
	}
	loop.Set(access.DesiredState{Mode: access.ModeHost}) // before it knows anything, a loop touches nothing
	for i, a := range s {
		switch a.kind {
		case "set":
			clear(ends)
			d := access.DesiredState{Revision: int64(i + 1), Mode: access.ModeHost}
			for n, at := range a.keys {
				ends[keys[at]] = now().Add(a.ends[n])
				o := opening(keys[at], ends[keys[at]], "g")
				if at == 5 {
					o.CloseAfter = 7 * time.Second
				}
				d.Openings = append(d.Openings, o)
			}
			loop.Set(d)
		case "fail":
			target.change(func() { target.failing = errBusy })
			broken = true
		case "blind":
			target.change(func() { target.blind = errBusy })
			broken = true
		case "recover":
			target.change(func() { target.failing, target.blind = nil, nil })
			if broken {
				forgive(afterFailure)
			}
			broken = false
		case "lose":
			target.change(func() { clear(target.held) })
		case "plant":
			target.change(func() {
				target.held[key("203.0.113.5/32", 22)] = &element{ends: time.Now().Add(time.Hour)}
			})
			target.drift <- "somebody opened a port"
			forgive(time.Second)
		case "drift":
			target.drift <- "somebody changed something"
			forgive(time.Second)
		case "suspend":
			skipped.Add(int64(a.quiet))
			forgive(afterJump)
		case "late":
			target.change(func() { target.late = time.Hour - target.late })
		case "contact":
			loop.Contact(now())
		}
		for left := a.quiet; left > 0; left -= 250 * time.Millisecond {
			time.Sleep(min(left, 250*time.Millisecond))
			select {
			case <-loop.Reports():
			default:
			}
			if !broken {
				check(a.kind)
			}
		}
	}
	// Whatever went before: in the end the target holds what was asked for last, and nothing else.
	target.change(func() { target.failing, target.blind = nil, nil })
	time.Sleep(40 * time.Second)
	check("the end")
}
