package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

func TestExtend(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t)
	g := d.Grants[0]
	w.clock.advance(50 * time.Minute)
	more := must(w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: time.Hour}))(t)
	if got := w.grant(g.ID); more.Request.State != access.RequestApproved || !got.End.Equal(
		g.End.Add(time.Hour)) || got.ID != g.ID || len(more.Grants) != 0 {
		t.Errorf("extended, the request is %s and the grant ends %s", more.Request.State, got.End)
	}
	if open := w.desired(w.host.Agent.ID).Openings; len(open) != 1 || !open[0].Until.Equal(g.End.Add(time.Hour)) {
		t.Errorf("open is %+v", open)
	}
	// three hours from the first opening
	_, err := w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: 61 * time.Minute})
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	_, err = w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{Until: g.End})
	wantCode(t, err, access.KindInvalid, "notLater")
	_, err = w.Requests.Extend(w.ctx, w.bystander, g.ID, requests.ExtendInput{For: time.Minute})
	wantCode(t, err, access.KindForbidden, "notYourGrant")

	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(w.ops), nil))(t)
	pending := must(w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: 30 * time.Minute}))(t)
	if end := w.grant(g.ID).End; pending.Request.State != access.RequestPending || !end.Equal(
		g.End.Add(time.Hour)) || !pending.Request.PendingUntil.Equal(end) {
		t.Errorf("the extension is %s until %s, the grant ends %s", pending.Request.State, pending.Request.PendingUntil,
			end)
	}
	if must(w.decide(w.bob, pending, true))(t); !w.grant(g.ID).End.Equal(g.End.Add(90 * time.Minute)) {
		t.Error("the approved extension changes nothing")
	}
	late := must(w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: 5 * time.Minute}))(t)
	must(w.Requests.Revoke(w.ctx, w.ann, g.ID, "done"))(t)
	_, err = w.decide(w.bob, late, true)
	wantCode(t, err, access.KindConflict, "grantEnded")
	_, err = w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: time.Minute})
	wantCode(t, err, access.KindConflict, "grantEnded")
}

func TestWarningBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]time.Duration{
		{3 * time.Hour, 10 * time.Minute},
		{50 * time.Minute, 5 * time.Minute},
		{30 * time.Second, 0},
	} {
		length, before := c[0], c[1]
		t.Run(length.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.host("web-1")
			w.guard("web-1")
			ann := w.user("ann", "JIT Access Requester")
			g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", length)))(t).Grants[0]
			next := must(w.Reconcile(w.ctx))(t)
			if want := g.End.Add(-before); !next.Equal(want) {
				t.Fatalf("the next thing is due at %s, want %s", next, want)
			}
			w.clock.advance(length - before)
			start := w.size()
			w.reconcile()
			w.reconcile()
			want := "grant.warned"
			if before == 0 {
				want = "grant.expired"
			}
			if got := w.kinds(start); got != want {
				t.Fatalf("events are %q, want %q", got, want)
			}
			if before == 0 || length == 3*time.Hour {
				return
			}
			more := must(w.Requests.Extend(w.ctx, ann, g.ID, requests.ExtendInput{For: time.Hour}))(t)
			if more.Request.State != access.RequestApproved || w.grant(g.ID).WarnedAt != (time.Time{}) {
				t.Error("an extension does not take the warning back")
			}
		})
	}
}

func TestWhoeverLosesTheRightLosesTheGrant(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(w *world, ann engine.Caller){
		"disabled": func(w *world, _ engine.Caller) {
			yes := true
			must(w.Directory.ChangePrincipal(w.ctx, w.admin, "ann", directory.PrincipalChange{Disabled: &yes}))(w.tb)
		},
		"unassigned": func(w *world, ann engine.Caller) {
			for _, a := range must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{}, engine.Page{}))(
				w.tb).Items {
				if a.Principal.ID == ann.Principal {
					if err := w.Roles.UnassignRole(w.ctx, w.admin, a.Assignment.ID); err != nil {
						w.tb.Fatal(err)
					}
				}
			}
		},
		"out of the group": func(w *world, _ engine.Caller) {
			if err := w.Directory.RemoveMember(w.ctx, w.admin, "team", "ann"); err != nil {
				w.tb.Fatal(err)
			}
		},
		"assignment over": func(w *world, _ engine.Caller) { w.clock.advance(30 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			host := w.host("web-1")
			w.guard("web-1")
			ann := w.user("ann", "")
			assign := roles.AssignInput{Principal: "ann", Role: "JIT Access Requester", Scope: access.Root}
			switch name {
			case "out of the group":
				w.group("team", ann)
				assign.Principal = "team"
			case "assignment over":
				assign.End = w.clock.now().Add(30 * time.Minute)
			}
			must(w.Roles.AssignRole(w.ctx, w.admin, assign))(t)
			g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", 2*time.Hour)))(t).Grants[0]
			w.reconcile()
			if name == "assignment over" && !g.End.Equal(assign.End) {
				t.Errorf("the grant ends at %s, the right to it at %s", g.End, assign.End)
			}
			if got := w.grant(g.ID).State; got.Ended() {
				t.Fatalf("it is %s too early", got)
			}
			lose(w, ann)
			w.reconcile()
			got := w.grant(g.ID)
			want := access.GrantRevoked
			if name == "assignment over" {
				want = access.GrantExpired // it was made no longer than that
			}
			if got.State != want || got.Reason == "" || len(w.desired(host.Agent.ID).Openings) != 0 {
				t.Errorf("the grant is %s because %q", got.State, got.Reason)
			}
		})
	}
}

func TestRevokePrincipal(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", oneOfOps(w.ops), nil))(t)
	must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t)
	later := ssh("web-1", 2*time.Hour)
	later.Start = w.clock.now().Add(24 * time.Hour)
	must(w.Requests.Submit(w.ctx, w.ann, later))(t)
	pending := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-2", time.Hour)))(t)
	_, err := w.Requests.RevokePrincipal(w.ctx, w.bob, "ann", "")
	wantCode(t, err, access.KindForbidden, "forbidden")
	ended := must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", "left the team"))(t).Grants
	if len(ended) != 2 || ended[0].Grant.Reason != "left the team" {
		t.Errorf("ended %+v", ended)
	}
	if got := must(w.Requests.Request(w.ctx, w.ann, pending.Request.ID))(t).Request; got.State != access.RequestCanceled {
		t.Errorf("what was pending is %s", got.State)
	}
	if again := must(w.Requests.RevokePrincipal(w.ctx, w.ann, "ann", ""))(t); len(again.Grants) != 0 {
		t.Errorf("ended twice: %+v", again)
	}
}

func TestBreakGlass(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := twoOfOps(ops)
		p.Ticket = access.TicketRule{Required: true}
		p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{"ann"}, Max: 30 * time.Minute}
		return p
	})
	in := ssh("web-1", 20*time.Minute)
	in.BreakGlass = true
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "bob", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	_, err := w.Requests.Submit(w.ctx, w.bob, in)
	wantCode(t, err, access.KindForbidden, "breakGlassNotAllowed")
	long := in
	long.Items = []requests.ItemInput{{
		Machine: "web-1",
		Port:    access.PortTarget{Ports: access.SinglePort(22)},
		Item:    access.Item{Duration: time.Hour},
	}}
	_, err = w.Requests.Submit(w.ctx, w.ann, long)
	wantCode(t, err, access.KindInvalid, "breakGlassTooLong")
	silent := in
	silent.Justification = " "
	_, err = w.Requests.Submit(w.ctx, w.ann, silent)
	wantCode(t, err, access.KindInvalid, "justificationRequired")

	start := w.size()
	d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	if d.Request.State != access.RequestApproved || len(d.Grants) != 1 ||
		len(w.desired(w.host.Agent.ID).Openings) != 1 {
		t.Fatalf("broken, the request is %s", d.Request.State)
	}
	if got := w.kinds(start); got != "request.submitted request.approved grant.created breakGlass.used" {
		t.Errorf("events are %s", got)
	}
	_, err = w.Requests.Extend(w.ctx, w.ann, d.Grants[0].ID, requests.ExtendInput{For: time.Minute})
	wantCode(t, err, access.KindForbidden, "breakGlassNotExtended")
	_, err = w.Requests.Submit(w.ctx, w.ann, in)
	wantCode(t, err, access.KindForbidden, "reviewOpen")

	reviews := must(w.Requests.Reviews(w.ctx, w.bob, engine.ReviewFilter{Open: true}, engine.Page{}))(t).Items
	if len(reviews) != 1 || !reviews[0].Mine || reviews[0].Request.Request.ID != d.Request.ID {
		t.Fatalf("an approver is shown %+v", reviews)
	}
	id := reviews[0].Review.ID
	nobody := w.user("nobody", "")
	if list := must(w.Requests.Reviews(w.ctx, nobody, engine.ReviewFilter{}, engine.Page{}))(t).Items; len(list) != 0 {
		t.Errorf("somebody else is shown %+v", list)
	}
	_, err = w.Requests.CloseReview(w.ctx, nobody, id, "fine")
	wantCode(t, err, access.KindNotFound, "unknownReview")
	_, err = w.Requests.CloseReview(w.ctx, w.ann, id, "fine")
	wantCode(t, err, access.KindForbidden, "ownReview")
	_, err = w.Requests.CloseReview(w.ctx, w.bob, id, "  ")
	wantCode(t, err, access.KindInvalid, "commentMissing")
	must(w.Requests.CloseReview(w.ctx, w.bob, id, "the disk was full"))(t)
	_, err = w.Requests.CloseReview(w.ctx, w.cy, id, "me too")
	wantCode(t, err, access.KindConflict, "reviewClosed")
	must(w.Requests.Submit(w.ctx, w.ann, in))(t)
}

func TestSeries(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	in := ssh("web-1", time.Hour)
	in.Start = w.clock.now().Add(time.Hour)
	in.Repeat, in.Zone = "FREQ=DAILY;COUNT=5", "Europe/Berlin"
	d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	if len(d.Request.Windows) != 5 || d.Request.State != access.RequestPending {
		t.Fatalf("the series has windows %v and is %s", d.Request.Windows, d.Request.State)
	}
	w.clock.advance(23 * time.Hour) // the first window has passed
	d = must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t)
	d = must(w.decide(w.bob, d, true))(t)
	if len(d.Grants) != 4 {
		t.Fatalf("approved after the first window, there are %d grants", len(d.Grants))
	}
	must(w.Requests.Revoke(w.ctx, w.ann, d.Grants[1].ID, "not on Wednesday"))(t)
	live := 0
	for day := range 4 {
		w.clock.advance(d.Grants[day].Start.Sub(w.clock.now()) + 30*time.Minute)
		w.reconcile()
		live += len(w.desired(w.host.Agent.ID).Openings)
	}
	if live != 3 {
		t.Errorf("%d of three windows were open", live)
	}
	for rule, code := range map[string]string{
		"FREQ=DAILY": "seriesEndless", "FREQ=SECONDLY;COUNT=5": "seriesTooDense",
		"FREQ=DAILY;COUNT=401": "seriesMalformed", "nonsense": "seriesMalformed",
	} {
		in.Start, in.Repeat = time.Time{}, rule
		_, err := w.Requests.Submit(w.ctx, w.ann, in)
		wantCode(t, err, access.KindInvalid, code)
	}
}

func TestMachinesByLabelAndGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	for i := range 4 {
		name := fmt.Sprintf("db-%d", i)
		must(w.Machines.AddMachine(w.ctx, w.admin, machines.AddMachineInput{
			Name: name, Gateway: gate.Agent.Name,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})},
			Labels:    map[string]string{"role": "db", "env": []string{"prod", "test"}[i%2]},
		}))(t)
		w.guard(name)
	}
	ann := w.user("ann", "JIT Access Requester")
	ask := func(item requests.ItemInput) (requests.RequestDetail, error) {
		item.Port.Ports, item.Duration = access.SinglePort(22), time.Hour
		return w.Requests.Submit(w.ctx, ann,
			requests.SubmitInput{Items: []requests.ItemInput{item}, Justification: "because"})
	}
	if d := must(ask(requests.ItemInput{Selector: "env=prod,role=db"}))(t); len(d.Grants) != 2 {
		t.Errorf("by labels there are %d grants", len(d.Grants))
	}
	if d := must(ask(requests.ItemInput{Group: "default"}))(t); len(d.Grants) != 4 {
		t.Errorf("by group there are %d grants", len(d.Grants))
	}
	for selector, code := range map[string]string{
		"env=none": "noMachinePicked", "env": "malformedSelector",
		"env=prod,env=test": "malformedSelector",
	} {
		_, err := ask(requests.ItemInput{Selector: selector})
		wantCode(t, err, access.KindInvalid, code)
	}
	_, err := ask(requests.ItemInput{Selector: "env=prod", Machine: "db-1"})
	wantCode(t, err, access.KindInvalid, "machineAndSelector")
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "db-3", nil); err != nil {
		t.Fatal(err)
	}
	_, err = ask(requests.ItemInput{Selector: "role=db"}) // all or nothing
	wantCode(t, err, access.KindInvalid, "machineNotConfigured")

	items := make([]requests.ItemInput, 10_000)
	for i := range items {
		items[i] = requests.ItemInput{
			Machine: fmt.Sprintf("m-%d", i),
			Port:    access.PortTarget{Ports: access.SinglePort(22)},
			Item:    access.Item{Duration: time.Hour},
		}
	}
	_, err = w.Requests.Submit(w.ctx, ann, requests.SubmitInput{Items: items})
	wantCode(t, err, access.KindInvalid, "tooManyItems")
}

// TestSearchOfMachines proves that one text finds machines by words of their names and by labels, in lists and counts
// alike, and that what is guarded is told to nobody who may neither ask there nor read policies.
func TestSearchOfMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	for i := range 4 {
		must(w.Machines.AddMachine(w.ctx, w.admin, machines.AddMachineInput{
			Name: fmt.Sprintf("db-%d", i), Gateway: gate.Agent.Name,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})},
			Labels:    map[string]string{"role": "db", "env": []string{"prod", "test"}[i%2]},
		}))(t)
	}
	w.guard("db-1")
	for search, want := range map[string]string{
		"db":                  "db-0 db-1 db-2 db-3",
		"env=prod":            "db-0 db-2",
		"env=prod b-2":        "db-2",
		"db env!=prod":        "db-1 db-3",
		"env=prod,role=db":    "db-0 db-2",
		"role= 192.0.2.13":    "db-3",
		"env=production":      "",
		"owner=":              "",
		"owner!= env=test -1": "db-1",
		"-2,db":               "db-2",
	} {
		f := engine.MachineFilter{Search: search}
		var names []string
		for _, d := range must(w.Machines.Machines(w.ctx, w.admin, f, engine.Page{}))(t).Items {
			names = append(names, d.Machine.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q finds %q, not %q", search, got, want)
		}
		counted := 0
		for _, n := range must(w.Fleet.MachineOverview(w.ctx, w.admin, f))(t).Counts {
			counted += n
		}
		if counted != len(names) {
			t.Errorf("%q counts %d of %d", search, counted, len(names))
		}
	}
	guarded := func(c engine.Caller) engine.Listed[machines.MachineDetail] {
		return must(w.Machines.Machines(w.ctx, c, engine.MachineFilter{NamePrefix: "db-1"}, engine.Page{}))(t)
	}
	if d := guarded(w.user("ann", "JIT Access Requester")).Items[0]; len(d.Ports) == 0 || d.Subscription != "default" {
		t.Errorf("whoever may ask sees %+v in %q", d.Ports, d.Subscription)
	}
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Looker", AssignableScopes: []access.ResourceID{access.Root},
		Permissions: []rbac.Permission{{Actions: []string{rbac.MachinesRead}}},
	}))(t)
	if d := guarded(w.user("leo", "Looker")).Items[0]; len(d.Ports) != 0 {
		t.Errorf("whoever may only look sees %+v", d.Ports)
	}
}

// TestLabelMachine proves that labels can be given to a machine that an agent guards, and change what a selector picks.
func TestLabelMachine(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	ask := func() error {
		_, err := w.Requests.Submit(w.ctx, w.ann,
			requests.SubmitInput{Justification: "because", Items: []requests.ItemInput{
				{
					Selector: "env=prod",
					Port:     access.PortTarget{Ports: access.SinglePort(22)},
					Item:     access.Item{Duration: time.Hour},
				},
			}})
		return err
	}
	wantCode(t, ask(), access.KindInvalid, "noMachinePicked")
	start := w.size()
	d := must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod", "role": "web"}, nil))(t)
	must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, []string{"nothing"}))(t)
	if got := w.kinds(start); got != "machine.labelled" || d.Machine.Labels["role"] != "web" || d.Agent == nil {
		t.Errorf("events are %q, the machine is %+v", got, d.Machine)
	}
	if err := ask(); err != nil {
		t.Errorf("by its label: %v", err)
	}
	d = must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "test"},
		[]string{"env", "role"}))(
		t)
	if len(d.Machine.Labels) != 1 || d.Machine.Labels["env"] != "test" {
		t.Errorf("the labels are %v", d.Machine.Labels)
	}
	wantCode(t, ask(), access.KindInvalid, "noMachinePicked")
	for _, bad := range []map[string]string{
		{"": "x"},
		{"a=b": "c"},
		{"a,b": "c"},
		{"a": "b,c"},
		{"a": "b\n"},
		{strings.Repeat("a", 2000): "b"},
	} {
		_, err := w.Machines.LabelMachine(w.ctx, w.admin, "web-1", bad, nil)
		wantCode(t, err, access.KindInvalid, "malformedLabel")
	}
	_, err := w.Machines.LabelMachine(w.ctx, w.ann, "web-1", map[string]string{"env": "prod"}, nil)
	wantCode(t, err, access.KindForbidden, "forbidden")
}

// TestSeveralMachinesAreAllOrNothing proves that nothing of a request opens before the rules of all its machines are
// met, and nothing at all once one of them cannot be asked for any more.
func TestSeveralMachinesAreAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	w.world.host("db-1")
	boss := w.user("boss", "")
	other := sshPolicy()
	other.Approval = asks(access.Stage{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{"boss"}}}})
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "db-1", other, nil))(t)
	both := ssh("web-1", time.Hour)
	both.Items = append(both.Items, ssh("db-1", time.Hour).Items...)
	live := func() int {
		return len(must(w.Requests.Grants(w.ctx, w.admin, engine.GrantFilter{}, engine.Page{}))(t).Items)
	}

	d := must(w.Requests.Submit(w.ctx, w.ann, both))(t)
	if d = must(w.decide(w.bob, d, true))(
		t); len(d.Progress) != 2 || d.Request.State != access.RequestPending || live() != 0 {
		t.Fatalf("with one of two rules met the request is %s, and there are %d grants", d.Request.State, live())
	}
	if d = must(w.decide(boss, d, true))(t); d.Request.State != access.RequestApproved || live() != 2 {
		t.Fatalf("with both rules met the request is %s", d.Request.State)
	}

	d = must(w.Requests.Submit(w.ctx, w.ann, both))(t)
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestPending {
		t.Fatalf("the request is %s", d.Request.State)
	}
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
		t.Fatal(err)
	}
	_, err := w.decide(boss, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
	if d = must(w.Requests.Request(w.ctx, w.ann, d.Request.ID))(
		t); d.Request.State != access.RequestDenied || len(d.Grants) != 0 {
		t.Errorf("the request is %s with %d grants", d.Request.State, len(d.Grants))
	}
}

// checker answers for tickets, and counts.
type checker struct {
	answer func(context.Context, engine.TicketQuery) error
	asked  int
}

func (c *checker) CheckTicket(ctx context.Context, q engine.TicketQuery) error {
	c.asked++
	return c.answer(ctx, q)
}

func TestTickets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	ann := w.user("ann", "JIT Access Requester")
	p := sshPolicy()
	p.Ticket = access.TicketRule{Required: true, Pattern: "OPS-[0-9]+", Checked: true}
	p.Justification.Pattern = "(?i)because"
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy") // there is nobody to check tickets
	tickets := &checker{}
	e := w.another(func(c *services.Config) { c.Tickets = tickets })
	must(e.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)

	for _, c := range []struct {
		ticket, reason string
		answer         error
		kind           access.Kind
		code           string
		asked          int
	}{
		{"", "because", nil, access.KindInvalid, "ticketRequired", 0},
		{"X-1", "because", nil, access.KindInvalid, "ticketUnlike", 0},
		{"xOPS-1x", "because", nil, access.KindInvalid, "ticketUnlike", 0},
		{"OPS-1", "why not", nil, access.KindInvalid, "justificationUnlike", 0},
		{
			"OPS-1", "because", access.Fault(access.KindInvalid, "ticketRefused", "it is closed"), access.KindInvalid,
			"ticketRefused", 1,
		},
		{"OPS-1", "because", errors.New("no answer"), access.KindUnavailable, "ticketUnchecked", 1},
		{"OPS-1", "because", nil, access.KindInternal, "internal", 1},
	} {
		tickets.asked = 0
		tickets.answer = func(ctx context.Context, q engine.TicketQuery) error {
			if _, bounded := ctx.Deadline(); !bounded || q.Ticket != c.ticket || q.Requester != "ann" || strings.Join(
				q.Machines, ",") != "web-1" {
				t.Errorf("asked %+v, bounded %t", q, bounded)
			}
			return c.answer
		}
		in := ssh("web-1", time.Hour)
		in.Ticket, in.Justification = c.ticket, c.reason
		d, err := e.Requests.Submit(w.ctx, ann, in)
		if c.kind == access.KindInternal {
			if err != nil || len(d.Grants) != 1 {
				t.Errorf("a good ticket gave %v", err)
			}
		} else {
			wantCode(t, err, c.kind, c.code)
		}
		if tickets.asked != c.asked {
			t.Errorf("ticket %q was asked about %d times, want %d", c.ticket, tickets.asked, c.asked)
		}
	}
	if _, err := w.another().Requests.Submit(w.ctx, ann,
		requests.SubmitInput{
			Items: ssh("web-1", time.Hour).Items, Justification: "because",
			Ticket: "OPS-1",
		}); access.CodeOf(err) != "ticketUnchecked" {
		t.Errorf("without a checker: %v", err)
	}
}

// TestATicketCountsForWhatItWasCheckedFor labels another machine into what a request picks while the ticket is checked:
// it is checked for that one too, or nothing opens.
func TestATicketCountsForWhatItWasCheckedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tickets := &checker{}
	e := w.another(func(c *services.Config) { c.Tickets = tickets })
	ann := w.user("ann", "JIT Access Requester")
	p := sshPolicy()
	p.Ticket = access.TicketRule{Required: true, Checked: true}
	names := []string{"web-1", "web-2", "web-3", "web-4", "web-5"}
	label := func(name, env string) {
		must(w.Machines.LabelMachine(w.ctx, w.admin, name, map[string]string{"env": env}, nil))(t)
	}
	for _, name := range names {
		w.host(name)
		must(e.Machines.SetMachinePolicy(w.ctx, w.admin, name, p, nil))(t)
	}
	label("web-1", "test")
	in := ssh("", time.Hour)
	in.Items[0].Machine, in.Items[0].Selector, in.Ticket = "", "env=test", "OPS-1"
	tickets.answer = func(_ context.Context, q engine.TicketQuery) error {
		if tickets.asked == 1 {
			label("web-2", "test")
		}
		if len(q.Machines) > 1 {
			return access.Fault(access.KindInvalid, "ticketRefused", "it is for web-1 alone")
		}
		return nil
	}
	_, err := e.Requests.Submit(w.ctx, ann, in)
	wantCode(t, err, access.KindInvalid, "ticketRefused")
	tickets.asked = 0
	tickets.answer = func(context.Context, engine.TicketQuery) error {
		label(names[1+tickets.asked], "test")
		return nil
	}
	label("web-2", "prod")
	_, err = e.Requests.Submit(w.ctx, ann, in)
	wantCode(t, err, access.KindConflict, "ticketMoved")
	if list := must(w.Requests.Grants(w.ctx, w.admin, engine.GrantFilter{}, engine.Page{}))(t); len(list.Items) != 0 {
		t.Errorf("grants are %+v", list.Items)
	}
	tickets.answer = func(context.Context, engine.TicketQuery) error { return nil }
	if d := must(e.Requests.Submit(w.ctx, ann, in))(t); len(d.Grants) != 4 {
		t.Errorf("%d grants", len(d.Grants))
	}
}

// TestExplainAgreesWithSubmit proves that what is foretold is what happens.
func TestExplainAgreesWithSubmit(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	p := sshPolicy()
	p.Approval = access.Rule{Cases: []access.Case{
		{When: `request.duration <= duration("30m")`},
		{When: `request.duration <= duration("1h")`, Stages: []access.Stage{{AllOf: []access.Quorum{of(2, w.ops)}}}},
	}}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	for _, c := range []struct {
		who      engine.Caller
		duration time.Duration
		want     requests.ExplainOutcome
	}{
		{w.ann, 30 * time.Minute, requests.ExplainAutomatic},
		{w.ann, time.Hour, requests.ExplainApproval},
		{w.ann, 2 * time.Hour, requests.ExplainRefused},
		{w.ann, 4 * time.Hour, requests.ExplainRefused},
		{w.bob, time.Minute, requests.ExplainRefused},
		{w.admin, time.Minute, requests.ExplainAutomatic},
	} {
		x := must(w.Requests.Explain(w.ctx, w.admin,
			requests.Question{
				Person: c.who.Name, Machine: "web-1", Ports: access.SinglePort(22),
				Duration: c.duration,
			}))(
			t)
		if x.Outcome != c.want || (x.Outcome == requests.ExplainRefused) != (len(x.Reasons) > 0) {
			t.Errorf("%s for %s would be %s: %+v", c.who.Name, c.duration, x.Outcome, x.Steps)
		}
		d, err := w.Requests.Submit(w.ctx, c.who, ssh("web-1", c.duration))
		got := requests.ExplainRefused
		switch {
		case err != nil:
		case d.Request.State == access.RequestApproved:
			got = requests.ExplainAutomatic
		default:
			got = requests.ExplainApproval
		}
		if got != x.Outcome {
			t.Errorf("%s for %s was foretold %s and is %s", c.who.Name, c.duration, x.Outcome, got)
		}
	}
	if x := must(w.Requests.Explain(w.ctx, w.ann, requests.Question{Machine: "web-1", Ports: access.SinglePort(22)}))(
		t); fmt.Sprint(x.Approvers) != "[bob cy dora]" {
		t.Errorf("approvers are %v", x.Approvers)
	}
	_, err := w.Requests.Explain(w.ctx, w.ann,
		requests.Question{Person: "bob", Machine: "web-1", Ports: access.SinglePort(22)})
	wantCode(t, err, access.KindForbidden, "forbidden")
}

// TestNamedNetworksCountEverywhere proves that a policy which names a network is no policy for any address: neither
// when a request is explained, nor when one is looked at again that was made before the policy said so.
func TestNamedNetworksCountEverywhere(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", prefixes("198.51.100.0/24"), nil))(t)
	d := w.ask() // from elsewhere, which is allowed yet
	p := oneOfOps(w.ops)
	p.Ports[0].Networks = []string{"office"}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	_, err := w.decide(w.bob, d, true)
	wantCode(t, err, access.KindConflict, "requestOutdated")
	for _, c := range []struct {
		sources []netip.Prefix
		names   []string
		want    requests.ExplainOutcome
	}{
		{nil, nil, requests.ExplainRefused},
		{prefixes("203.0.113.7/32"), nil, requests.ExplainRefused},
		{prefixes("198.51.100.7/32"), nil, requests.ExplainApproval},
		{nil, []string{"Office"}, requests.ExplainApproval},
	} {
		x := must(w.Requests.Explain(w.ctx, w.ann,
			requests.Question{Machine: "web-1", Ports: access.SinglePort(22), Sources: c.sources, Networks: c.names}))(
			t)
		if x.Outcome != c.want {
			t.Errorf("from %v %v it would be %s: %+v", c.sources, c.names, x.Outcome, x.Steps)
		}
	}
	_, err = w.Requests.Explain(w.ctx, w.ann,
		requests.Question{Machine: "web-1", Ports: access.SinglePort(22), Networks: []string{"nowhere"}})
	wantCode(t, err, access.KindNotFound, "unknownNetwork")

	// A guest is told what the policy's own tenant calls so, and names networks of theirs.
	_, boss := w.tenant("contoso")
	guest := w.userOf(boss, "gail")
	guest.Address = office
	must(w.Machines.SetNetwork(w.ctx, boss, "office", prefixes("203.0.113.0/24"), nil))(t)
	machine := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: string(guest.Principal), Role: "Contributor", Scope: machine.Resource}))(
		t)
	for _, names := range [][]string{nil, {"office"}} {
		x := must(w.Requests.Explain(w.ctx, guest,
			requests.Question{Machine: string(machine.Resource), Ports: access.SinglePort(22), Networks: names}))(
			t)
		if x.Outcome != requests.ExplainRefused || !slices.ContainsFunc(x.Reasons,
			func(r access.Reason) bool { return r.Code == "sourceNotAllowed" }) {
			t.Errorf("for a guest from %v it would be %s: %+v", names, x.Outcome, x.Steps)
		}
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := oneOfOps(ops)
		p.Approval.Cases[0].StepUp = true
		return p
	})
	_, err := w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindForbidden, "stepUpRequired")
	w.ann.SteppedUpAt = w.clock.now().Add(-time.Minute)
	d := w.ask()
	w.bob.SteppedUpAt = w.clock.now().Add(-6 * time.Minute)
	_, err = w.decide(w.bob, d, true)
	wantCode(t, err, access.KindForbidden, "stepUpRequired")
	w.bob.SteppedUpAt = w.clock.now()
	if d = must(w.decide(w.bob, d, true))(t); d.Request.State != access.RequestApproved || !d.Decisions[0].SteppedUp {
		t.Errorf("the request is %s", d.Request.State)
	}
}
