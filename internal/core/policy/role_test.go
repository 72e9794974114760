package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

func codes(reasons []access.Reason) []string {
	var all []string
	for _, r := range reasons {
		all = append(all, r.Field+" "+r.Code)
	}
	return all
}

func TestEvaluateRole(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	contributor := access.Eligibility{
		ID: "e1", Max: 4 * time.Hour, Start: now.Add(-time.Hour),
		End: now.Add(6 * time.Hour), PendingTimeout: time.Hour,
	}
	ticket := contributor
	ticket.ID, ticket.Ticket, ticket.Justification = "e2", access.TicketRule{
		Required: true,
	}, access.JustificationRule{Required: true, MinLength: 10}
	later := contributor
	later.ID, later.Start = "e3", now.Add(time.Hour)
	item := func(e access.Eligibility, d time.Duration) policy.Item {
		terms := e.Terms()
		target := access.RoleTarget{Eligibility: e.ID, Name: "Contributor"}
		return policy.Item{
			Item: access.Item{Target: target, Duration: d}, Eligibility: &e, Name: "Contributor", Policy: &terms,
		}
	}
	for _, c := range []struct {
		name string
		in   policy.Input
		want []string
	}{
		{"at the ceiling", policy.Input{Items: []policy.Item{item(contributor, 4*time.Hour)}}, nil},
		{
			"over the ceiling",
			policy.Input{Items: []policy.Item{item(contributor, 4*time.Hour+time.Second)}},
			[]string{"items[0].duration durationTooLong"},
		},
		{
			"no duration",
			policy.Input{Items: []policy.Item{item(contributor, 0)}},
			[]string{"items[0].duration durationMissing"},
		},
		{
			"negative",
			policy.Input{Items: []policy.Item{item(contributor, -time.Hour)}},
			[]string{"items[0].duration tooShort"},
		},
		{
			"until the end of the eligibility",
			policy.Input{Start: now.Add(2 * time.Hour), Items: []policy.Item{item(contributor, 4*time.Hour)}},
			nil,
		},
		{
			"beyond it",
			policy.Input{Start: now.Add(3 * time.Hour), Items: []policy.Item{item(contributor, 4*time.Hour)}},
			[]string{"items[0].duration eligibilityEnds"},
		},
		{"before it", policy.Input{Items: []policy.Item{item(later, time.Hour)}}, []string{"start notYetEligible"}},
		{
			"in the past",
			policy.Input{Start: now.Add(-time.Hour), Items: []policy.Item{item(contributor, time.Hour)}},
			[]string{"start startInPast"},
		},
		{
			"beyond the horizon",
			policy.Input{
				Start: now.Add(366 * 24 * time.Hour),
				Items: []policy.Item{item(access.Eligibility{ID: "e", Max: time.Hour}, time.Hour)},
			},
			[]string{"start startTooFarAhead"},
		},
		{
			"twice the same",
			policy.Input{Items: []policy.Item{item(contributor, time.Hour), item(contributor, 2*time.Hour)}},
			[]string{"items[1] duplicateItem"},
		},
		{
			"without an eligibility",
			policy.Input{Items: []policy.Item{{Item: access.Item{Target: access.RoleTarget{}, Duration: time.Hour}}}},
			[]string{"items[0].role notEligible"},
		},
		{
			"texts",
			policy.Input{Justification: "short", Items: []policy.Item{item(ticket, time.Hour)}},
			[]string{"justification justificationTooShort", "ticket ticketRequired"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := policy.Evaluate(c.in, now)
			if diff := cmp.Diff(c.want, codes(got.Refusals)); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
			if len(c.want) == 0 && got.Wait != time.Hour {
				t.Errorf("waits %s, want 1h", got.Wait)
			}
		})
	}
}

func TestValidateEligibility(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		in   access.Eligibility
		want []string
	}{
		{"good", access.Eligibility{Max: time.Hour}, nil},
		{"no ceiling", access.Eligibility{}, []string{"max maxOutOfRange"}},
		{"for ever", access.Eligibility{Max: access.MaxDuration + 1}, []string{"max maxOutOfRange"}},
		{"backwards", access.Eligibility{Max: time.Hour, Start: now, End: now}, []string{"end endBeforeStart"}},
		{
			"terms",
			access.Eligibility{Max: time.Hour, PendingTimeout: -1, Ticket: access.TicketRule{Pattern: "("}},
			[]string{"pendingTimeout pendingTimeoutOutOfRange", "ticket.pattern malformedPattern"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, codes(policy.ValidateEligibility(c.in))); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEndALittleBeyondTheLongestIsCutToIt holds that whoever reckons the longest end by a clock that is ahead gets the
// longest, and nobody gets more.
func TestEndALittleBeyondTheLongestIsCutToIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	office := netip.MustParsePrefix("203.0.113.0/24")
	terms := access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.SinglePort(22), Protocol: access.TCP, Max: 3 * time.Hour},
		{Ports: access.SinglePort(22), Protocol: access.TCP, Max: 8 * time.Hour, Sources: []netip.Prefix{office}},
	}}
	role := access.Eligibility{ID: "e", Max: 3 * time.Hour}
	roleTerms := role.Terms()
	port := func(source string) policy.Item {
		return policy.Item{Policy: &terms, Item: access.Item{Target: access.PortTarget{
			Machine: "m", Ports: access.SinglePort(22), Sources: []netip.Prefix{netip.MustParsePrefix(source)},
		}}}
	}
	for name, c := range map[string]struct {
		item    policy.Item
		start   time.Time
		longest time.Duration
	}{
		"a port":           {port("192.0.2.1/32"), now, 3 * time.Hour},
		"a port, later":    {port("192.0.2.1/32"), now.Add(time.Hour), 3 * time.Hour},
		"by the wide rule": {port("203.0.113.1/32"), now, 8 * time.Hour},
		"a role": {policy.Item{
			Item: access.Item{Target: access.RoleTarget{Eligibility: "e"}}, Eligibility: &role, Policy: &roleTerms,
		}, now, 3 * time.Hour},
	} {
		for beyond, want := range map[time.Duration]time.Duration{
			-time.Second: -time.Second, 0: 0, time.Microsecond: 0, time.Second: 0, policy.EndGrace: 0,
			policy.EndGrace + time.Microsecond: -1,
		} {
			in := policy.Input{Items: []policy.Item{c.item}}
			if !c.start.Equal(now) {
				in.Start = c.start
			}
			in.Items[0].Until = c.start.Add(c.longest + beyond)
			got := policy.Evaluate(in, now)
			switch refused := len(got.Refusals) > 0; {
			case want == -1 && (!refused || got.Refusals[0].Code != "durationTooLong"):
				t.Errorf("%s, %s beyond: %v, want it refused", name, beyond, got)
			case want != -1 && (refused || !got.Items[0].Until.Equal(c.start.Add(c.longest+want))):
				t.Errorf("%s, %s beyond: ends %v, %v", name, beyond, got.Items[0].Until, got.Refusals)
			}
		}
		in := policy.Input{Items: []policy.Item{c.item}}
		in.Items[0].Duration = c.longest + time.Second
		if got := policy.Evaluate(in, now); len(got.Refusals) == 0 {
			t.Errorf("%s: a duration beyond the longest, which no clock made, is taken", name)
		}
	}
}
