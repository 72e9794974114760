package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// What a decision gives is shown whole: from where, at which scope, and for how long.
func TestAccessIsShownWhole(t *testing.T) {
	t.Parallel()
	until := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	got := accessTexts(style{local: time.UTC}, api.Request{Items: []api.Item{
		{Machine: "web-1", Ports: "22", Protocol: "tcp", Sources: []string{"203.0.113.7/32"}, ForSeconds: 3600},
		{Machine: "web-1", Ports: "22", Protocol: "tcp", Sources: []string{"0.0.0.0/0", "::/0"}, ForSeconds: 60},
		{
			Machine: "db-1", Ports: "5432", Protocol: "tcp", Sources: []string{"10.0.0.0/8"}, Networks: []string{"office"},
			Until: &until,
		},
		{Role: &api.RoleAt{Name: "Owner", Scope: "/subscriptions/s"}, ForSeconds: 7200},
		{Machine: "a", Ports: "22", Sources: []string{"0.0.0.0/1", "128.0.0.0/1"}, ForSeconds: 60},
		{Machine: "a", Ports: "22", Sources: []string{"128.0.0.0/1", "64.0.0.0/2"}, ForSeconds: 60},
	}})
	want := []string{
		"web-1:22/tcp from 203.0.113.7/32 for 1h",
		"web-1:22/tcp from anywhere (0.0.0.0/0, ::/0) for 1m",
		"db-1:5432/tcp from office (10.0.0.0/8) until 2030-01-07 09:00:00 UTC",
		"role Owner at /subscriptions/s for 2h",
		"a:22/tcp from any IPv4 address (0.0.0.0/1, 128.0.0.0/1) for 1m",
		"a:22/tcp from most IPv4 addresses (128.0.0.0/1, 64.0.0.0/2) for 1m",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Whoever agrees has seen each window of a series, and everything else that their decision is bound to.
func TestApprovalShowsWhatItIsBoundTo(t *testing.T) {
	t.Parallel()
	first := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	r := api.Request{
		ID: "r", Requester: "ann", Justification: "patches\nAccess: nothing", Ticket: "OPS-7", Extends: "g",
		BreakGlass: true, Digest: "d1",
		Items:   []api.Item{{Machine: "web-1", Ports: "22", Sources: []string{"203.0.113.7/32"}, ForSeconds: 60}},
		Windows: []time.Time{first, first.Add(5 * time.Hour), first.AddDate(0, 0, 3)},
		Approvals: []api.Approval{{
			State: "waiting", Case: api.ApprovalCase{Name: "night", Stages: make([]api.ApprovalStage, 1)},
			Wanted: []api.Quorum{{Count: 2, Groups: []string{"ops"}}},
		}},
		Chains: []api.Chain{{Start: first, End: first.Add(time.Minute), Seconds: 60}},
	}
	a := &app{now: time.Now, local: time.UTC, output: "table"}
	got := strings.Join(a.approves(r), "\n")
	want := `ann asks for this:
  Reason:             patches·Access: nothing
  Ticket:             OPS-7
  Emergency:          break-glass: an approver has to review it
  Extension of:       grant g
  Access:             web-1:22/tcp from 203.0.113.7/32 for 1m
  Windows:            2030-01-07 09:00:00 UTC
                      2030-01-07 14:00:00 UTC
                      2030-01-10 09:00:00 UTC
  Continuous access:  web-1:22/tcp from 2030-01-07 09:00:00 UTC to 2030-01-07 09:01:00 UTC, 1m
  Approval:           night: stage 1 of 1 waits for 2 of ops
  Digest:             d1`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for i := range 60 {
		r.Windows = append(r.Windows, first.AddDate(0, 1, i))
	}
	if got := strings.Join(a.approves(r), "\n"); !strings.Contains(got,
		"and 13 more; see all with: postern request show r -o json") {
		t.Errorf("got\n%s", got)
	}
}

// Of very many items nothing that opens wide stands below the end of what is shown.
func TestWideItemsComeFirst(t *testing.T) {
	t.Parallel()
	r := api.Request{Items: make([]api.Item, 80)}
	for i := range r.Items {
		r.Items[i] = api.Item{Machine: "m", Ports: "22", Sources: []string{"203.0.113.7/32"}, ForSeconds: 60}
	}
	r.Items[79].Sources = []string{"0.0.0.0/1", "128.0.0.0/1"}
	got := bounded(accessTexts(style{local: time.UTC}, r), "it")
	if len(got) != mostLines+1 || !strings.Contains(got[0], "any IPv4 address") || got[mostLines] != "and 30 more; see all with: it" {
		t.Errorf("%d lines, %q to %q", len(got), got[0], got[len(got)-1])
	}
}

// What opens wide is said first, and of a role where it holds, also in a list.
func TestListSaysWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	r := api.Request{Items: []api.Item{
		{Machine: "a", Ports: "22", Sources: []string{"203.0.113.7/32"}, ForSeconds: 60},
		{Machine: "b", Ports: "22", Sources: []string{"203.0.113.7/32"}, ForSeconds: 3600},
		{Machine: "c", Ports: "22", Sources: []string{"::/0", "0.0.0.0/0"}, ForSeconds: 60},
		{Role: &api.RoleAt{Name: "Owner", Scope: "/subscriptions/s/resourceGroups/g"}, ForSeconds: 3600},
	}}
	wide := api.Request{Items: []api.Item{
		{Sources: []string{"203.0.113.7/32"}},
		{Sources: []string{"0.0.0.0/1", "128.0.0.0/2"}},
		{Sources: []string{"0.0.0.0/0"}},
		{Sources: []string{"::/0", "0.0.0.0/0"}},
	}}
	s := style{local: time.UTC}
	if got, want := strings.Join(sourceTexts(s, wide), ";"),
		"anywhere;any IPv4 address;most IPv4 addresses;203.0.113.7/32"; got != want {
		t.Errorf("the widest first are %q, want %q", got, want)
	}
	got := strings.Join(sourceTexts(s, r), ";") + " " + strings.Join(lengthTexts(s, r), ";") + " " + placeTexts(s, r)[3]
	if want := "anywhere;203.0.113.7/32 1h;1m role Owner at group g"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
