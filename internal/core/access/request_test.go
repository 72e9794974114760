package access_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func fullRequest() access.Request {
	return access.Request{
		ID: "r", Tenant: "t", Requester: "ann", RequesterName: "Ann", Start: noon().Add(time.Minute),
		Justification: "why", Ticket: "INC-1",
		Windows: []time.Time{noon().Add(time.Minute), noon().Add(time.Hour)},
		Approvals: []access.Approval{{Items: []int{0, 1}, Case: access.Case{
			Name: "production", When: "true",
			Hours: access.Hours{Zone: "UTC", Days: []time.Weekday{time.Monday}, From: 480, To: 1080},
			Stages: []access.Stage{{
				AllOf: []access.Quorum{{
					Count: 1, Groups: []access.PrincipalID{"ops", "sec"},
					People: []access.PrincipalID{"eve"},
				}},
				AnyOf: []access.Quorum{{Count: 2, Groups: []access.PrincipalID{"all"}}}, Timeout: time.Hour,
			}},
		}}},
		Items: []access.Item{
			{
				Target:         ssh("m1", "192.0.2.1/32", "2001:db8::/32"),
				PolicyRevision: 3, Duration: time.Hour,
			},
			{Target: ssh("m2", "192.0.2.1/32"), PolicyRevision: 3, Until: noon().Add(time.Hour)},
		},
	}
}

// ssh is port 22 of a machine.
func ssh(machine access.MachineID, sources ...string) access.PortTarget {
	return access.PortTarget{
		Machine: machine, Policy: "p", Ports: access.SinglePort(22), Protocol: access.TCP, Sources: prefixes(sources...),
	}
}

// changed returns a target with a change of it as a port.
func changed(t access.Target, change func(*access.PortTarget)) access.Target {
	p := t.(access.PortTarget) //nolint:errcheck,forcetypeassert // the tests that change ports made them
	change(&p)
	return p
}

func onFirst(change func(*access.PortTarget)) func(*access.Request) {
	return func(r *access.Request) { r.Items[0].Target = changed(r.Items[0].Target, change) }
}

func TestDigestCoversWhatIsShown(t *testing.T) {
	t.Parallel()
	digest := func(change func(*access.Request)) string {
		r := fullRequest()
		change(&r)
		r, _ = access.NewRequest(r, access.Actor{}, 0, noon())
		return r.Digest
	}
	same := digest(func(*access.Request) {})
	if again := digest(func(*access.Request) {}); again != same || len(same) != 64 {
		t.Fatalf("digests %q and %q of the same", same, again)
	}
	first := func(r *access.Request) *access.Case { return &r.Approvals[0].Case }
	seen := map[string]string{same: "nothing"}
	for name, change := range map[string]func(*access.Request){
		"id":              func(r *access.Request) { r.ID = "s" },
		"requester":       func(r *access.Request) { r.Requester = "bob" },
		"start":           func(r *access.Request) { r.Start = r.Start.Add(time.Microsecond) },
		"no start":        func(r *access.Request) { r.Start = time.Time{} },
		"justification":   func(r *access.Request) { r.Justification = "why " },
		"ticket":          func(r *access.Request) { r.Ticket = "INC-2" },
		"text moved":      func(r *access.Request) { r.Justification, r.Ticket = `why" "INC-1`, "" },
		"machine":         onFirst(func(p *access.PortTarget) { p.Machine = "m3" }),
		"policy":          onFirst(func(p *access.PortTarget) { p.Policy = "q" }),
		"policy revision": func(r *access.Request) { r.Items[0].PolicyRevision++ },
		"ports":           onFirst(func(p *access.PortTarget) { p.Ports.Last++ }),
		"protocol":        onFirst(func(p *access.PortTarget) { p.Protocol = access.AnyProtocol }),
		"source":          onFirst(func(p *access.PortTarget) { p.Sources[0] = netip.MustParsePrefix("192.0.2.0/31") }),
		"source gone":     onFirst(func(p *access.PortTarget) { p.Sources = p.Sources[:1] }),
		"duration":        func(r *access.Request) { r.Items[0].Duration++ },
		"until":           func(r *access.Request) { r.Items[1].Until = r.Items[1].Until.Add(time.Second) },
		"windows":         func(r *access.Request) { r.Windows[1] = r.Windows[1].Add(time.Second) },
		"extends":         func(r *access.Request) { r.Extends = "g" },
		"break-glass":     func(r *access.Request) { r.BreakGlass = true },
		"approval gone":   func(r *access.Request) { r.Approvals = nil },
		"approval items":  func(r *access.Request) { r.Approvals[0].Items = []int{0} },
		"case name":       func(r *access.Request) { first(r).Name = "office" },
		"condition":       func(r *access.Request) { first(r).When = "false" },
		"denies":          func(r *access.Request) { first(r).Denies = 2 },
		"step-up":         func(r *access.Request) { first(r).StepUp = true },
		"no hours":        func(r *access.Request) { first(r).Hours = access.Hours{} },
		"hours":           func(r *access.Request) { first(r).Hours.To++ },
		"days":            func(r *access.Request) { first(r).Hours.Days = nil },
		"zone":            func(r *access.Request) { first(r).Hours.Zone = "Europe/Berlin" },
		"stage gone":      func(r *access.Request) { first(r).Stages = nil },
		"timeout":         func(r *access.Request) { first(r).Stages[0].Timeout++ },
		"count":           func(r *access.Request) { first(r).Stages[0].AllOf[0].Count++ },
		"people":          func(r *access.Request) { first(r).Stages[0].AllOf[0].People = nil },
		"groups joined": func(r *access.Request) {
			first(
				r).Stages[0].AllOf[0].Groups = []access.PrincipalID{"ops sec"}
		},
		"all turned any": func(r *access.Request) {
			s := &first(r).Stages[0]
			s.AllOf, s.AnyOf = nil, append(s.AllOf, s.AnyOf...)
		},
		"item gone":     func(r *access.Request) { r.Items = r.Items[:1] },
		"items swapped": func(r *access.Request) { r.Items[0], r.Items[1] = r.Items[1], r.Items[0] },
	} {
		d := digest(change)
		if other, ok := seen[d]; ok {
			t.Errorf("the digest is the same for %s and %s", name, other)
		}
		seen[d] = name
	}
}

// A request ends once, in one way, and gives grants only where it was approved in time.
func TestRequestKeepsItsInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := noon()
		second := func(name string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * time.Second
		}
		r := access.Request{ID: "r"}
		if rapid.Bool().Draw(t, "scheduled") {
			r.Start = now.Add(second("start", 0, 5))
		}
		for range rapid.IntRange(1, 3).Draw(t, "items") {
			item := access.Item{Target: ssh("m", "192.0.2.1/32")}
			if rapid.Bool().Draw(t, "until") {
				item.Until = now.Add(second("end", 1, 9))
			} else {
				item.Duration = second("duration", 1, 4)
			}
			r.Items = append(r.Items, item)
		}
		r, events := access.NewRequest(r, access.Actor{}, second("wait", 0, 6), now)
		if r.State != access.RequestPending || r.Revision != 1 || len(events) != 1 || !r.PendingUntil.After(now) {
			t.Fatalf("a new request is %+v with %v", r, events)
		}
		for range 6 {
			now = now.Add(second("later", 0, 3))
			var next access.Request
			var grants []access.Grant
			var err error
			step := rapid.SampledFrom([]string{"approve", "deny", "cancel", "timeOut"}).Draw(t, "step")
			switch step {
			case "approve":
				n := 0
				next, grants, events, err = r.Approve(access.Actor{}, nil,
					func() access.GrantID { n++; return access.GrantID(fmt.Sprint(n)) }, now)
			case "deny":
				next, events, err = r.Deny(access.Actor{}, "no", now)
			case "cancel":
				next, events, err = r.Cancel(access.Actor{}, "never mind", now)
			case "timeOut":
				next, events, err = r.TimeOut(now)
			}
			if err != nil {
				if !equal(next, r) || grants != nil || events != nil || access.KindOf(err) != access.KindConflict {
					t.Fatalf("%s failed with %v, and gives %+v, %v, %v", step, err, next, grants, events)
				}
				continue
			}
			if r.State != access.RequestPending || next.State == access.RequestPending ||
				next.Revision != r.Revision+1 ||
				!next.DecidedAt.Equal(
					now) || next.Digest != r.Digest {
				t.Fatalf("%s takes %+v to %+v", step, r, next)
			}
			if late := !now.Before(r.PendingUntil); late && step == "approve" || !late && step == "timeOut" {
				t.Fatalf("%s at %v, pending until %v", step, now, r.PendingUntil)
			}
			if len(events) != 1+len(grants) || (len(grants) > 0) != (step == "approve") {
				t.Fatalf("%s gives %d grants and %d events", step, len(grants), len(events))
			}
			checkGrants(t, r, grants, now)
			r = next
		}
	})
}

// checkGrants holds the grants of r, approved at now, against what was asked.
func checkGrants(t *rapid.T, r access.Request, grants []access.Grant, now time.Time) {
	for i, g := range grants {
		item := r.Items[i]
		if g.Start.Before(now) || !r.Start.IsZero() && g.Start.Before(
			r.Start) || !g.End.After(g.Start) || g.Revision != 1 {
			t.Fatalf("%+v, approved at %v", g, now)
		}
		switch {
		case !item.Until.IsZero():
			if !g.End.Equal(item.Until) {
				t.Fatalf("asked until %v, given until %v", item.Until, g.End)
			}
		case r.Start.IsZero():
			if g.End.Sub(g.Start) != item.Duration {
				t.Fatalf("asked for %v, given %v", item.Duration, g.End.Sub(g.Start))
			}
		default: // a scheduled one keeps its end, however late it is approved
			if !g.End.Equal(r.Start.Add(item.Duration)) {
				t.Fatalf("asked for %v from %v, given until %v", item.Duration, r.Start, g.End)
			}
		}
		if (g.State == access.GrantOpening) != !g.Start.After(now) || g.Live(now) != (g.State == access.GrantOpening) {
			t.Fatalf("%+v at %v", g, now)
		}
	}
}
