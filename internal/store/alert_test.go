package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

func anAlert(id alert.ID, key string) alert.Alert {
	return alert.Alert{
		ID: id, Tenant: tenantID, Rule: alert.Drift, Key: key, State: alert.Open, Severity: alert.Warning, Title: "t",
		Detail: "d", Count: 7, Base: 3, Evidence: []int64{1, 5},
		Subject: alert.Subject{
			Scope: "/subscriptions/x", Machine: "m", Agent: "a", Principal: "p", Name: "n",
			Source: "203.0.113.9",
		},
		FirstSeen: day(), LastSeen: day().Add(time.Second), ChangedBy: "ada", Comment: "c", Revision: 1,
	}
}

func TestAlertsRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		t.Helper()
		one := anAlert("a1", "k")
		watch := alert.Watch{
			Tenant: tenantID, Rule: alert.DeniedPorts, Key: "203.0.113.9", Last: day(),
			Marks: []alert.Mark{{At: day(), Seq: 3, Value: "tcp/22", Count: 4}},
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveAlert(ctx, one, 0), tx.SaveAlertWatch(ctx, watch),
				tx.AdvanceAlertCursor(ctx, 0, 9))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.Alert(ctx, "a1")
			same(t, "alert", one, got)
			open, err2 := r.AlertOf(ctx, alert.Key{Tenant: tenantID, Rule: alert.Drift, Key: "k"})
			same(t, "alert of the key", one, open)
			w, err3 := r.AlertWatch(ctx, alert.Key{Tenant: tenantID, Rule: alert.DeniedPorts, Key: "203.0.113.9"})
			same(t, "watch", watch, w)
			cursor, err4 := r.AlertCursor(ctx)
			same(t, "cursor", int64(9), cursor)
			return firstOf(err, err2, err3, err4)
		})
		closed := one
		closed.State, closed.ClosedAt, closed.Revision = alert.Closed, day().Add(time.Hour), 2
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveAlert(ctx, closed, 1), tx.SaveAlert(ctx, anAlert("a2", "k"), 0),
				tx.DeleteAlertWatchesBefore(ctx, day().Add(time.Microsecond)))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			list, err := r.Alerts(ctx, engine.AlertFilter{Tenant: tenantID, State: alert.Closed, Rule: alert.Drift},
				engine.Page{Limit: 10})
			same(t, "closed alerts", []alert.Alert{closed}, list.Items)
			if _, err := r.AlertWatch(ctx,
				alert.Key{
					Tenant: tenantID, Rule: alert.DeniedPorts,
					Key: "203.0.113.9",
				}); access.KindOf(err) != access.KindNotFound {
				t.Errorf("an old watch: %v", err)
			}
			return err
		})
	})
}

func TestAlertsRefuse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		t.Helper()
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveAlert(ctx, anAlert("a1", "k"), 0), tx.AdvanceAlertCursor(ctx, 0, 5))
		})
		stale := anAlert("a1", "k")
		stale.Revision = 9
		for name, do := range map[string]func(ctx context.Context, tx engine.Tx) error{
			"a second open one of the key": func(ctx context.Context, tx engine.Tx) error {
				return tx.SaveAlert(ctx, anAlert("a2", "k"), 0)
			},
			"changed meanwhile": func(ctx context.Context,
				tx engine.Tx,
			) error {
				return tx.SaveAlert(ctx, stale, 8)
			},
			"the cursor of another": func(ctx context.Context,
				tx engine.Tx,
			) error {
				return tx.AdvanceAlertCursor(ctx, 0, 7)
			},
		} {
			if err := f.try(t, do); access.KindOf(err) != access.KindConflict {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAlertPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		t.Helper()
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for i := range 7 {
				a := anAlert(alert.ID(fmt.Sprintf("a%d", i)), fmt.Sprint(i))
				a.FirstSeen = day().Add(time.Duration(i/2) * time.Second)
				if err := tx.SaveAlert(ctx, a, 0); err != nil {
					return err
				}
			}
			return nil
		})
		var ids string
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for p := (engine.Page{Limit: 2}); ; {
				list, err := r.Alerts(ctx, engine.AlertFilter{Tenant: tenantID}, p)
				if err != nil {
					return err
				}
				for _, a := range list.Items {
					ids += string(a.ID) + " "
				}
				if p.Cursor = list.Next; list.Next == "" {
					return nil
				}
			}
		})
		same(t, "pages", "a6 a5 a4 a3 a2 a1 a0 ", ids)
	})
}

// TestStatesToAlertOf proves what is silent, skewed and unproven.
func TestStatesToAlertOf(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		t.Helper()
		request, grant, _ := f.request(day())
		quiet := agent("agent-2", "other")
		quiet.Skew, quiet.Foreign = -time.Minute, nil
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRequest(ctx, request, 0), tx.SaveGrant(ctx, grant, 0), tx.SaveAgent(ctx, quiet),
				tx.SaveMachine(ctx, machine("machine-2", "web-2", "agent-2"), 0))
		})
		look := func(now time.Time) (silent, skewed, foreign, unproven []string) {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				s, err1 := r.SilentAgents(ctx, tenantID, day().Add(time.Second), now, "", 10)
				for _, on := range s {
					silent = append(silent, string(on.Agent.ID)+" "+string(on.Machine))
				}
				k, err2 := r.SkewedAgents(ctx, tenantID, time.Minute, "", 10)
				for _, a := range k {
					skewed = append(skewed, string(a.ID))
				}
				g, err3 := r.UnprovenGrants(ctx, tenantID, now, "", 10)
				for _, g := range g {
					unproven = append(unproven, string(g.ID))
				}
				o, err4 := r.ForeignAgents(ctx, tenantID, "", 10)
				for _, a := range o {
					foreign = append(foreign, string(a.ID))
				}
				return firstOf(err1, err2, err3, err4)
			})
			return silent, skewed, foreign, unproven
		}
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			s, err1 := r.SilentAgents(ctx, "another", day().Add(time.Second), day().Add(time.Minute), "", 10)
			k, err2 := r.SkewedAgents(ctx, "another", time.Minute, "", 10)
			g, err3 := r.UnprovenGrants(ctx, "another", day().AddDate(1, 0, 0), "", 10)
			o, err4 := r.ForeignAgents(ctx, "another", "", 10)
			same(t, "of another tenant", 0, len(s)+len(k)+len(g)+len(o))
			return firstOf(err1, err2, err3, err4)
		})
		silent, skewed, foreign, unproven := look(day().Add(time.Minute))
		same(t, "silent", []string{"agent-1 machine-1"}, silent)
		same(t, "skewed", []string{"agent-2"}, skewed)
		same(t, "foreign", []string{"agent-1"}, foreign)
		same(t, "unproven", []string(nil), unproven)
		ended, _, err := grant.Revoke(access.System(), "", day().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, ended, grant.Revision) })
		silent, _, _, unproven = look(day().Add(2 * time.Minute))
		same(t, "silent after the end", []string(nil), silent)
		same(t, "unproven after the end", []string{string(grant.ID)}, unproven)
		gone, _, err := ended.Closed(access.System(), day().Add(3*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, gone, ended.Revision) })
		_, _, _, unproven = look(day().Add(4 * time.Minute))
		same(t, "unproven after the proof", []string(nil), unproven)
	})
}
