package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func channel(id engine.ChannelID, name string) engine.Channel {
	return engine.Channel{
		ID: id, Tenant: tenantID, Name: name, Kind: engine.SMTP, Enabled: true, CA: "PEM", AllowPrivate: true,
		Mail: engine.Mail{
			Host: "mail.example.com", Port: 587, TLS: engine.MailStartTLS, Username: "postern",
			From: "postern@example.com", FromName: "Postern",
		},
		Secret: engine.ChannelSecret{Sealed: []byte{1, 0, 255}}, CreatedAt: day(), Revision: 1,
	}
}

func notification(id engine.NotificationID, request access.RequestID) engine.Notification {
	return engine.Notification{
		ID: id, At: day(), Kind: engine.NotifyNeedsDecision, Tenant: tenantID, Request: request, Grant: "g1",
		Alert:    "a1",
		Policies: []access.PolicyID{"p1", "p2"}, Recipients: []access.PrincipalID{"user-1"}, Address: "u1@example.com",
		Subject: engine.Subject{
			Who: "Ada", Start: day(), End: day().Add(time.Hour), Reason: "<why> & \u2028", Ticket: "OPS-1", By: "Bo",
			Outcome: "approved", Detail: "d",
			Title: "t", Severity: "info", Unended: 3,
			Items: []access.NoticeItem{
				{
					Machine: "web-1", Ports: access.SinglePort(22), Protocol: access.TCP,
					Sources: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")},
				},
			},
		},
	}
}

// queued enqueues and routes a notification to a channel, and gives its delivery.
func (f *fixture) queued(t *testing.T, id engine.NotificationID, request access.RequestID,
	c engine.ChannelID,
) engine.Delivery {
	t.Helper()
	var d engine.Delivery
	f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.Enqueue(ctx, notification(id, request)) })
	f.update(t, func(ctx context.Context, tx engine.Tx) error {
		n, err := tx.Notification(ctx, id)
		if err != nil {
			return err
		}
		plan := engine.Plan(n, []engine.Channel{{ID: c, Tenant: tenantID, Kind: engine.Webhook, Enabled: true}},
			[]engine.Route{{Tenant: tenantID, Channel: c}}, nil, day())
		d = plan[0]
		return firstOf(tx.AddDeliveries(ctx, plan...), tx.Routed(ctx, id))
	})
	return d
}

func TestOutboxKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		c, r, n := channel("c1",
			"Mail"), engine.Route{
			ID: "r1", Tenant: tenantID, Channel: "c1", Principal: "user-1", Policy: "p1",
			Kinds: []engine.NotificationKind{engine.NotifyAlert}, Mute: true,
			CreatedAt: day(),
		}, notification("n1", "r1")
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveChannel(ctx, c, 0), tx.SaveRoute(ctx, r), tx.Enqueue(ctx, n))
		})
		n.Seq = 1
		prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		f.view(t, func(ctx context.Context, tx engine.Reader) error {
			gotChannel, err1 := tx.Channel(ctx, "c1")
			gotRoute, err2 := tx.Route(ctx, "r1")
			gotNotification, err3 := tx.Notification(ctx, "n1")
			unrouted, err4 := tx.Unrouted(ctx, 10)
			if diff := cmp.Diff([]any{c, r, n, []engine.Notification{n}},
				[]any{gotChannel, gotRoute, gotNotification, unrouted}, prefixes); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
			return firstOf(err1, err2, err3, err4)
		})
		c.Name, c.Secret, c.Enabled, c.Revision = "other", engine.ChannelSecret{File: "mail"}, false, 2
		r.Mute, r.Kinds = false, []engine.NotificationKind{}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveChannel(ctx, c, 1), tx.SaveRoute(ctx, r), tx.Routed(ctx, "n1"))
		})
		f.view(t, func(ctx context.Context, tx engine.Reader) error {
			channels, err1 := tx.Channels(ctx, engine.ChannelFilter{Tenant: tenantID, Kind: engine.SMTP},
				engine.Page{Limit: 10})
			for name, filter := range map[string]engine.ChannelFilter{
				"by name":         {Tenant: tenantID, Name: "OTHER"},
				"of another kind": {Tenant: tenantID, Not: engine.Lifecycle},
			} {
				if found, err := tx.Channels(ctx, filter,
					engine.Page{Limit: 1}); err != nil || len(found.Items) != 1 || found.Items[0].ID != c.ID {
					t.Errorf("%s: %+v %v", name, found, err)
				}
			}
			for name, filter := range map[string]engine.ChannelFilter{
				"the name before": {Tenant: tenantID, Name: "Mail"}, "but mail": {Tenant: tenantID, Not: engine.SMTP},
			} {
				if found, err := tx.Channels(ctx, filter, engine.Page{Limit: 1}); err != nil || len(found.Items) != 0 {
					t.Errorf("%s: %+v %v", name, found, err)
				}
			}
			routes, err2 := tx.Routes(ctx,
				engine.RouteFilter{Tenant: tenantID, Channel: "c1", Principal: "user-1", Policy: "p1"},
				engine.Page{Limit: 10})
			unrouted, err3 := tx.Unrouted(ctx, 10)
			if diff := cmp.Diff([]any{[]engine.Channel{c}, []engine.Route{r}, 0},
				[]any{channels.Items, routes.Items, len(unrouted)}); diff != "" {
				t.Errorf("read back after the change (-want +got):\n%s", diff)
			}
			return firstOf(err1, err2, err3)
		})
	})
}

func TestOutboxRefuses(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				return firstOf(tx.SaveChannel(ctx, channel("c1", "Mail"), 0), tx.Enqueue(ctx, notification("n1", "r1")),
					tx.Routed(ctx, "n1"))
			})
			next := channel("c1", "Mail")
			next.Revision = 8
			for name, tc := range map[string]struct {
				do   func(ctx context.Context, tx engine.Tx) error
				want access.Kind
			}{
				"channel changed meanwhile": {
					func(ctx context.Context, tx engine.Tx) error { return tx.SaveChannel(ctx, next, 7) },
					access.KindConflict,
				},
				"name in other case": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SaveChannel(ctx, channel("c2", "mAIL"), 0)
					},
					access.KindConflict,
				},
				"route to no channel": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveRoute(ctx, engine.Route{ID: "r", Tenant: tenantID, Channel: "none"})
				}, access.KindConflict},
				"id again": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.Enqueue(ctx, notification("n1", "r2"))
					},
					access.KindConflict,
				},
				"incomplete": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.Enqueue(ctx, engine.Notification{ID: "n2"})
					},
					access.KindInternal,
				},
				"routed twice": {
					func(ctx context.Context, tx engine.Tx) error { return tx.Routed(ctx, "n1") },
					access.KindConflict,
				},
				"no such route": {
					func(ctx context.Context, tx engine.Tx) error { return tx.DeleteRoute(ctx, "none") },
					access.KindNotFound,
				},
				"channel not there": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.DeleteChannel(ctx, "none", 1, day())
					},
					access.KindConflict,
				},
				"delivery not there": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveDelivery(ctx, engine.Delivery{ID: "d", State: engine.DeliveryPending, Revision: 2}, 1)
				}, access.KindConflict},
				"delivery of nothing": {func(ctx context.Context, tx engine.Tx) error {
					return tx.AddDeliveries(ctx,
						engine.Delivery{ID: "d", Notification: "none", State: engine.DeliveryPending, Revision: 1})
				}, access.KindConflict},
				"limit": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						_, err := tx.Heads(ctx, "c1", 0)
						return err
					},
					access.KindInvalid,
				},
			} {
				if err := f.try(t, tc.do); access.KindOf(err) != tc.want || err == nil {
					t.Errorf("%s: %v, want %s", name, err, tc.want)
				}
			}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				for name, read := range map[string]func() error{
					"notification": func() error { _, err := r.Notification(ctx, "none"); return err },
					"channel":      func() error { _, err := r.Channel(ctx, "none"); return err },
					"route":        func() error { _, err := r.Route(ctx, "none"); return err },
					"delivery":     func() error { _, err := r.Delivery(ctx, "none"); return err },
				} {
					if err := read(); access.KindOf(err) != access.KindNotFound || err == nil {
						t.Errorf("%s that is not there: %v", name, err)
					}
				}
				return nil
			})
		})
	}
}

func TestHeadsAreTheFirstOfEachLane(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		first := f.queued(t, "n1", "r1", "c1")
		f.queued(t, "n2", "r1", "c1")
		other := f.queued(t, "n3", "r2", "c1")
		f.queued(t, "n4", "r1", "c2")
		heads := func() (ids []engine.NotificationID) {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				got, err := r.Heads(ctx, "c1", 10)
				for _, d := range got {
					ids = append(ids, d.Notification)
				}
				return err
			})
			return ids
		}
		if diff := cmp.Diff([]engine.NotificationID{"n1", "n3"}, heads()); diff != "" {
			t.Errorf("at first (-want +got):\n%s", diff)
		}
		claimed, err := first.Claim(day(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveDelivery(ctx, claimed, 1) })
		if diff := cmp.Diff([]engine.NotificationID{"n3", "n1"}, heads()); diff != "" {
			t.Errorf("one claimed: it still keeps its lane (-want +got):\n%s", diff)
		}
		dead := other.Fail(engine.Failure{Text: "no", Permanent: true}, engine.Retry{}, 0, day())
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveDelivery(ctx, claimed.Succeed(day()), 2), tx.SaveDelivery(ctx, dead, 1))
		})
		if diff := cmp.Diff([]engine.NotificationID{"n2"}, heads()); diff != "" {
			t.Errorf("one delivered, one dead (-want +got):\n%s", diff)
		}
		// there already
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.AddDeliveries(ctx, first, other) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			listed, err := r.Deliveries(ctx,
				engine.DeliveryFilter{Tenant: tenantID, Channel: "c1", Request: "r2", State: engine.DeliveryDead},
				engine.Page{Limit: 10})
			if diff := cmp.Diff([]engine.Delivery{dead}, listed.Items); diff != "" {
				t.Errorf("the dead (-want +got):\n%s", diff)
			}
			var ids []engine.NotificationID
			for p := (engine.Page{Limit: 1}); err == nil; {
				if listed, err = r.Deliveries(ctx, engine.DeliveryFilter{}, p); err == nil {
					ids = append(ids, listed.Items[0].Notification)
				}
				if p.Cursor = listed.Next; p.Cursor == "" {
					break
				}
			}
			if diff := cmp.Diff([]engine.NotificationID{"n4", "n3", "n2", "n1"}, ids); diff != "" {
				t.Errorf("all, newest first, a page each (-want +got):\n%s", diff)
			}
			return err
		})
	})
}

func TestOneClaimWins(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			d := f.queued(t, "n1", "r1", "c1")
			second := open(t, f.dsn) // on SQLite it shares the file, as a second process would
			var wins, conflicts int
			var mu sync.Mutex
			var group sync.WaitGroup
			for i := range 16 {
				group.Go(func() {
					claimed, err := d.Claim(day(), time.Minute)
					if err == nil {
						db := f.DB
						if i%2 == 0 {
							db = second
						}
						err = db.Update(t.Context(),
							func(tx engine.Tx) error { return tx.SaveDelivery(t.Context(), claimed, d.Revision) })
					}
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						wins++
					case access.KindOf(err) == access.KindConflict:
						conflicts++
					default:
						t.Errorf("claim: %v", err)
					}
				})
			}
			group.Wait()
			if wins != 1 || conflicts != 15 {
				t.Errorf("%d claims won and %d lost, want 1 and 15", wins, conflicts)
			}
		})
	}
}

func TestDeletedChannelsAndOldNotifications(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveChannel(ctx, channel("c1", "Mail"), 0),
				tx.SaveRoute(ctx, engine.Route{ID: "r1", Tenant: tenantID, Channel: "c1", CreatedAt: day()}))
		})
		pending := f.queued(t, "n1", "r1", "c1")
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.Enqueue(ctx, notification("n2", "r2")) })
		prune := func(before time.Time) (n int) {
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				var err error
				n, err = tx.PruneOutbox(ctx, before, 10)
				return err
			})
			return n
		}
		if n := prune(day().Add(time.Hour)); n != 0 {
			t.Errorf("pruned %d though one is pending and one is not routed", n)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteChannel(ctx, "c1", 1, day()) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			d, err := r.Delivery(ctx, pending.ID)
			if d.State != engine.DeliveryDead || d.LastError == "" || d.Revision != 2 || !d.EndedAt.Equal(day()) {
				t.Errorf("a delivery of the deleted channel: %+v", d)
			}
			_, errRoute := r.Route(ctx, "r1")
			_, errChannel := r.Channel(ctx, "c1")
			if access.KindOf(errRoute) != access.KindNotFound || access.KindOf(errChannel) != access.KindNotFound {
				t.Errorf("route and channel: %v, %v", errRoute, errChannel)
			}
			return err
		})
		if n := prune(day()); n != 0 {
			t.Errorf("pruned %d that are not old", n)
		}
		if n := prune(day().Add(time.Microsecond)); n != 1 {
			t.Errorf("pruned %d, want the one that was routed and has ended", n)
		}
	})
}

func TestAnErrorTakesTheNotificationBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		refused := errors.New("the change is refused")
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				err := f.try(t, func(ctx context.Context, tx engine.Tx) error {
					if err := tx.Enqueue(ctx, notification(engine.NotificationID(fmt.Sprint("n", i)), "r1")); err != nil {
						return err
					}
					if i%2 == 1 {
						return refused
					}
					return nil
				})
				if (err != nil) != (i%2 == 1) {
					t.Errorf("update %d: %v", i, err)
				}
			})
		}
		group.Wait()
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.Unrouted(ctx, 100)
			for i, n := range got {
				var number int
				if _, err := fmt.Sscanf(string(n.ID), "n%d",
					&number); err != nil || number%2 == 1 || i > 0 && got[i-1].Seq >= n.Seq {
					t.Errorf("notification %d is %s with number %d", i, n.ID, n.Seq)
				}
			}
			if len(got) != 10 {
				t.Errorf("%d notifications, want the ten of the changes that took effect", len(got))
			}
			return err
		})
	})
}
