package engine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// TestNotices proves who is told what, in the transactions of the changes, and that nothing piles up where nobody
// listens.
func TestNotices(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := twoOfOps(ops)
		p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{"ann"}, Max: time.Hour}
		return p
	})
	w.ask()
	if told := w.told(); len(told) != 0 {
		t.Fatalf("without a channel there are %v", told)
	}
	w.listen(w.admin.Tenant)
	d := w.ask()
	d = must(w.decide(w.bob, d, true))(t)
	d = must(w.decide(w.cy, d, true))(t)
	g := d.Grants[0]
	w.report(w.host.Agent.ID,
		access.Report{
			Revision:     w.desired(w.host.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}},
		})
	w.clock.advance(55 * time.Minute)
	w.reconcile()
	must(w.Requests.Revoke(w.ctx, w.dora, g.ID, "seen enough"))(t) // an approver may
	in := ssh("web-1", time.Minute)
	in.BreakGlass = true
	must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	names := map[access.PrincipalID]string{
		w.ann.Principal: "ann", w.bob.Principal: "bob", w.cy.Principal: "cy",
		w.dora.Principal: "dora", w.ops: "ops",
	}
	var got []string
	for _, n := range w.told() {
		var who []string
		for _, id := range n.Recipients {
			who = append(who, names[id])
		}
		got = append(got, fmt.Sprintf("%s to %s %s", n.Kind, strings.Join(who, ","), n.Subject.Outcome))
		if n.Kind == engine.NotifyEnded && (n.Subject.Detail != "seen enough" || n.Subject.By != "dora") {
			t.Errorf("the end is told as %+v", n.Subject)
		}
	}
	want := []string{
		"requested to  ", "needsDecision to bob,cy,dora ", "settled to dora approved", "decided to ann approved", "opened to ann ",
		"willEnd to ann ",
		"ended to ann,bob,cy revoked", "decided to ann approved", "breakGlass to ops approved",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
}

// listen gives a tenant a channel that could carry notices.
func (w *world) listen(tenants ...access.TenantID) {
	w.tb.Helper()
	err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		for _, tenant := range tenants {
			c := engine.Channel{
				ID: engine.ChannelID(tenant), Tenant: tenant, Name: "hook", Kind: engine.Webhook,
				Enabled: true, CreatedAt: w.clock.now(), Revision: 1,
			}
			if err := tx.SaveChannel(w.ctx, c, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// TestNoticesOfRolesNameThem reads what the outbox keeps of an activation: which role, and of which application.
func TestNoticesOfRolesNameThem(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.deploy(manual())
	m.listen(m.admin.Tenant, m.publisher.ID)
	must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t)
	told := m.told()
	if len(told) == 0 {
		t.Fatal("nobody is told")
	}
	for _, n := range told {
		if s := n.Subject; len(s.Items) != 1 || s.Items[0].Role != "Contributor on application shop" ||
			s.Duration != time.Hour || !s.End.IsZero() {
			t.Errorf("%s of an activation that waits says %+v", n.Kind, s)
		}
	}
}

// TestAnOfflineCodeAccusesNobody reads the notice of a code that was used with the server out of reach: to whom it was
// issued is known, and who typed it is not.
func TestAnOfflineCodeAccusesNobody(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	w.listen(w.admin.Tenant)
	if _, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 1); err != nil {
		t.Fatal(err)
	}
	use := requests.GlassUse{
		Code: engine.GlassCodeID(w.desired(w.host.Agent.ID).Codes[0].ID), Ports: access.SinglePort(22),
		Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"), Opened: w.clock.now(),
		Duration: time.Minute, Reason: "site down",
	}
	if err := w.Requests.GlassUsed(w.ctx, w.host.Agent.ID, office, use); err != nil {
		t.Fatal(err)
	}
	told := w.told()
	if len(told) != 1 || told[0].Subject.CodeOf != "admin" || told[0].Subject.Who != "" || told[0].Subject.By != "" {
		t.Errorf("told is %+v", told)
	}
}

func (w *world) told() []engine.Notification {
	w.tb.Helper()
	var list []engine.Notification
	err := w.store.View(w.ctx, func(r engine.Reader) (err error) {
		list, err = r.Unrouted(w.ctx, 100)
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return list
}
