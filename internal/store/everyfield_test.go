package store_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

// kept is one type that the store saves, filled in every field: how to save it, and how to read it back.
type kept struct {
	method string // the method of engine.Tx that takes it
	value  reflect.Value
	save   func(ctx context.Context, tx engine.Tx) error
	load   func(ctx context.Context, r engine.Reader) (any, error)
	lost   map[string]string // fields that the store does not keep, with the reason
}

// keep fills a T, lets adjust give the fields that others depend on their values, and says how it is saved and read.
func keep[T any](method string, adjust func(*T), save func(context.Context, engine.Tx, T) error,
	load func(context.Context, engine.Reader) (T, error),
) kept {
	v := new(T)
	(&filler{}).fill(reflect.ValueOf(v).Elem(), "")
	adjust(v)
	return kept{
		method: method, value: reflect.ValueOf(v).Elem(),
		save: func(ctx context.Context, tx engine.Tx) error { return save(ctx, tx, *v) },
		load: func(ctx context.Context, r engine.Reader) (any, error) { return load(ctx, r) },
	}
}

// except names a field that the store does not keep.
func (k kept) except(field, why string) kept {
	lost := map[string]string{field: why}
	maps.Copy(lost, k.lost)
	k.lost = lost
	return k
}

// filler gives every field that it meets a value of its own.
type filler struct{ n int64 }

func (f *filler) fill(v reflect.Value, path string) {
	f.n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = day().Add(time.Duration(f.n) * time.Microsecond)
		return
	case *time.Duration:
		*x = time.Duration(f.n) * time.Second
		return
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{192, 0, 2, byte(f.n)})
		return
	case *netip.Prefix:
		*x = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(f.n)}), 32)
		return
	}
	if v.Type() == reflect.TypeFor[access.Target]() {
		v.Set(reflect.ValueOf(filled[access.PortTarget](f)))
		return
	}
	switch v.Kind() { //nolint:exhaustive // the others are refused below
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		v.SetInt(f.n)
	case reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8, reflect.Uint:
		v.SetUint(uint64(f.n) & 0xff)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", f.n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path+"[0]")
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), path)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key, path)
		f.fill(value, path)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				f.fill(v.Field(i), path+"."+field.Name)
			}
		}
	default:
		panic(fmt.Sprintf("%s is a %s, which the test cannot fill: teach it to", path, v.Type()))
	}
}

// filled returns a T, filled.
func filled[T any](f *filler) T {
	var v T
	f.fill(reflect.ValueOf(&v).Elem(), "")
	return v
}

// find returns the one item of a list that the rule picks.
func find[T any](items []T, err error, is func(T) bool) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	for _, item := range items {
		if is(item) {
			return item, nil
		}
	}
	return none, fmt.Errorf("it is not among the %d that are there", len(items))
}

// everyKept is every type that a Save method of engine.Tx takes, or Enqueue, AddDecision and AddDeliveries do.
func everyKept(f *fixture) []kept {
	const text = "text"
	one := engine.Page{Limit: 100}
	return []kept{
		keep("SaveTenant", func(t *access.Tenant) { t.ID = "tenant-2" },
			func(ctx context.Context, tx engine.Tx, t access.Tenant) error { return tx.SaveTenant(ctx, t) },
			func(ctx context.Context, r engine.Reader) (access.Tenant, error) {
				list, err := r.Tenants(ctx)
				return find(list, err, func(t access.Tenant) bool { return t.ID == "tenant-2" })
			}),
		keep("SaveSubscription", func(s *access.Subscription) { s.Tenant = tenantID },
			func(ctx context.Context, tx engine.Tx, s access.Subscription) error {
				return tx.SaveSubscription(ctx, s)
			},
			func(ctx context.Context, r engine.Reader) (access.Subscription, error) {
				list, err := r.Subscriptions(ctx)
				return find(list, err, func(s access.Subscription) bool { return s.ID != subID })
			}),
		keep("SaveResourceGroup", func(g *access.ResourceGroup) { g.Subscription = subID },
			func(ctx context.Context, tx engine.Tx, g access.ResourceGroup) error {
				return tx.SaveResourceGroup(ctx, g)
			},
			func(ctx context.Context, r engine.Reader) (access.ResourceGroup, error) {
				list, err := r.ResourceGroups(ctx)
				return find(list, err, func(g access.ResourceGroup) bool { return g.Name != "Default" })
			}),
		keep("SavePrincipal", func(p *access.Principal) { p.ID, p.Tenant = "p", tenantID },
			func(ctx context.Context, tx engine.Tx, p access.Principal) error { return tx.SavePrincipal(ctx, p, 0) },
			func(ctx context.Context, r engine.Reader) (access.Principal, error) { return r.Principal(ctx, "p") }),
		keep("SavePassword", func(p *engine.Password) { p.Principal = f.user },
			func(ctx context.Context, tx engine.Tx, p engine.Password) error { return tx.SavePassword(ctx, p) },
			func(ctx context.Context, r engine.Reader) (engine.Password, error) { return r.Password(ctx, f.user) }),
		keep("SaveRoleDefinition", func(d *rbac.Definition) { d.Tenant = tenantID },
			func(ctx context.Context, tx engine.Tx, d rbac.Definition) error { return tx.SaveRoleDefinition(ctx, d) },
			func(ctx context.Context, r engine.Reader) (rbac.Definition, error) {
				d, err := r.Directory(ctx)
				return find(d.Definitions, err, func(rbac.Definition) bool { return true })
			}),
		keep("SaveRoleAssignment", func(a *rbac.Assignment) {
			a.Tenant, a.Home, a.Principal, a.Definition = tenantID, tenantID, f.user, "text 2"
		},
			func(ctx context.Context, tx engine.Tx, a rbac.Assignment) error { return tx.SaveRoleAssignment(ctx, a) },
			func(ctx context.Context, r engine.Reader) (rbac.Assignment, error) {
				d, err := r.Directory(ctx)
				return find(d.Assignments, err, func(rbac.Assignment) bool { return true })
			}),
		keep("SaveDenyAssignment", func(d *rbac.DenyAssignment) { d.Tenant = tenantID },
			func(ctx context.Context, tx engine.Tx, d rbac.DenyAssignment) error {
				return tx.SaveDenyAssignment(ctx, d)
			},
			func(ctx context.Context, r engine.Reader) (rbac.DenyAssignment, error) {
				d, err := r.Directory(ctx)
				return find(d.Denials, err, func(rbac.DenyAssignment) bool { return true })
			}),
		keep("SaveSession", func(s *engine.Session) { s.Hash, s.Principal = text, f.user },
			func(ctx context.Context, tx engine.Tx, s engine.Session) error { return tx.SaveSession(ctx, s) },
			func(ctx context.Context, r engine.Reader) (engine.Session, error) { return r.Session(ctx, text) }),
		keep("SaveEnrollmentToken",
			func(t *engine.EnrollmentToken) { t.Hash, t.Tenant, t.Subscription = text, tenantID, subID },
			func(ctx context.Context, tx engine.Tx, t engine.EnrollmentToken) error {
				return tx.SaveEnrollmentToken(ctx, t)
			},
			func(ctx context.Context, r engine.Reader) (engine.EnrollmentToken, error) {
				return r.EnrollmentToken(ctx, text)
			}),
		keep("SaveAgent", func(a *access.Agent) { a.ID, a.Tenant = "agent-2", tenantID },
			func(ctx context.Context, tx engine.Tx, a access.Agent) error { return tx.SaveAgent(ctx, a) },
			func(ctx context.Context, r engine.Reader) (access.Agent, error) { return r.Agent(ctx, "agent-2") }),
		keep("SaveStream", func(*access.Stream) {},
			func(ctx context.Context, tx engine.Tx, s access.Stream) error { return tx.SaveStream(ctx, f.agent, s) },
			func(ctx context.Context, r engine.Reader) (access.Stream, error) {
				a, err := r.Agent(ctx, f.agent)
				return a.Stream, err
			}),
		keep("SaveRegrouping", func(g *engine.Regrouping) { g.Principal = f.user },
			func(ctx context.Context, tx engine.Tx, g engine.Regrouping) error { return tx.SaveRegrouping(ctx, g) },
			func(ctx context.Context, r engine.Reader) (engine.Regrouping, error) {
				list, err := r.Regroupings(ctx, f.user, time.Time{})
				return find(list, err, func(engine.Regrouping) bool { return true })
			}),
		keep("SaveInbox", func(i *engine.Inbox) { i.Principal = f.user },
			func(ctx context.Context, tx engine.Tx, i engine.Inbox) error { return tx.SaveInbox(ctx, i) },
			func(ctx context.Context, r engine.Reader) (engine.Inbox, error) { return r.Inbox(ctx, f.user) }),
		keep("Tell", func(*engine.InboxEntry) {},
			func(ctx context.Context, tx engine.Tx, e engine.InboxEntry) error { return tx.Tell(ctx, e) },
			func(ctx context.Context, r engine.Reader) (engine.InboxEntry, error) {
				var e engine.InboxEntry
				(&filler{}).fill(reflect.ValueOf(&e).Elem(), "")
				list, err := r.InboxEntries(ctx, []access.PrincipalID{e.Addressee}, one)
				return find(list.Items, err, func(engine.InboxEntry) bool { return true })
			}).except("Seq", "the store sets it"),
		keep("SaveMachine", func(m *access.Machine) { m.ID, m.Tenant, m.Agent = "machine-2", tenantID, f.agent },
			func(ctx context.Context, tx engine.Tx, m access.Machine) error { return tx.SaveMachine(ctx, m, 0) },
			func(ctx context.Context, r engine.Reader) (access.Machine, error) { return r.Machine(ctx, "machine-2") }),
		keep("SavePolicy",
			func(p *access.Policy) { p.ID, p.Tenant, p.Machines[0].Machine = "policy-1", tenantID, f.machine },
			func(ctx context.Context, tx engine.Tx, p access.Policy) error { return tx.SavePolicy(ctx, p, 0) },
			func(ctx context.Context, r engine.Reader) (access.Policy, error) { return r.Policy(ctx, "policy-1") }).
			except("Reach", "it says by what a policy of a scope reaches a machine, and this one names it"),
		keep("SaveScopePolicy", func(p *access.ScopePolicy) { p.ID, p.Tenant, p.Rules.Machine = "policy-9", tenantID, "" },
			func(ctx context.Context, tx engine.Tx, p access.ScopePolicy) error {
				return tx.SaveScopePolicy(ctx, p, 0)
			},
			func(ctx context.Context, r engine.Reader) (access.ScopePolicy, error) {
				list, err := r.ScopePolicies(ctx, tenantID)
				return find(list, err, func(p access.ScopePolicy) bool { return p.ID == "policy-9" })
			}),
		keep("SaveSwitch", func(s *access.Switch) { s.Tenant, s.Revision = tenantID, 1 },
			func(ctx context.Context, tx engine.Tx, s access.Switch) error { return tx.SaveSwitch(ctx, s, 0) },
			func(ctx context.Context, r engine.Reader) (access.Switch, error) {
				list, err := r.Switches(ctx, tenantID)
				return find(list, err, func(access.Switch) bool { return true })
			}),
		keep("SaveAccessReview",
			func(r *review.Review) { r.ID, r.Tenant, r.State = "access-review-1", tenantID, review.Open },
			func(ctx context.Context, tx engine.Tx, r review.Review) error { return tx.SaveAccessReview(ctx, r, 0) },
			func(ctx context.Context, r engine.Reader) (review.Review, error) {
				return r.AccessReview(ctx, "access-review-1")
			}),
		keep("SaveAccessReviewItem", func(it *review.Item) {
			it.Review, it.Decision, it.Outcome = "access-review-1", review.Remove, review.Failed
		},
			func(ctx context.Context, tx engine.Tx, it review.Item) error {
				return tx.SaveAccessReviewItem(ctx, it, 0)
			},
			func(ctx context.Context, r engine.Reader) (review.Item, error) {
				list, err := r.AccessReviewItems(ctx, engine.AccessReviewItemFilter{Review: "access-review-1"}, one)
				return find(list.Items, err, func(review.Item) bool { return true })
			}),
		keep("SaveTrial", func(u *access.Undo) { u.Machine = "machine-9" },
			func(ctx context.Context, tx engine.Tx, u access.Undo) error { return tx.SaveTrial(ctx, u) },
			func(ctx context.Context, r engine.Reader) (access.Undo, error) { return r.TrialOf(ctx, "machine-9") }),
		keep("SaveFound", func(v *access.Found) { v.Agent = "agent-9" },
			func(ctx context.Context, tx engine.Tx, v access.Found) error { return tx.SaveFound(ctx, v) },
			func(ctx context.Context, r engine.Reader) (access.Found, error) { return r.FoundBy(ctx, "agent-9") }),
		keep("SaveRequest", func(r *access.Request) {
			r.ID, r.Tenant, r.Requester = "request-1", tenantID, f.user
			r.State = access.RequestPending // no other has a StageUntil
			r.Items = append(r.Items, access.Item{Target: filled[access.RoleTarget](&filler{})})
		},
			func(ctx context.Context, tx engine.Tx, r access.Request) error { return tx.SaveRequest(ctx, r, 0) },
			func(ctx context.Context, r engine.Reader) (access.Request, error) { return r.Request(ctx, "request-1") }),
		keep("SaveGrant", func(g *access.Grant) {
			g.ID, g.Request, g.Tenant, g.Principal, g.State = "grant-1", "request-1", tenantID, f.user, access.GrantRevoked
		}, func(ctx context.Context, tx engine.Tx, g access.Grant) error { return tx.SaveGrant(ctx, g, 0) },
			func(ctx context.Context, r engine.Reader) (access.Grant, error) { return r.Grant(ctx, "grant-1") }),
		keep("SaveGrant", func(g *access.Grant) {
			g.ID, g.Request, g.Tenant, g.Principal, g.State = "grant-2", "request-1", tenantID, f.user, access.GrantRevoked
			g.Target = filled[access.RoleTarget](&filler{})
		}, func(ctx context.Context, tx engine.Tx, g access.Grant) error { return tx.SaveGrant(ctx, g, 0) },
			func(ctx context.Context, r engine.Reader) (access.Grant, error) { return r.Grant(ctx, "grant-2") }),
		keep("SaveCodeUse", func(u *engine.CodeUse) {
			u.Request.ID, u.Request.Tenant, u.Request.Requester, u.Request.State = "request-2", tenantID, f.user, access.RequestPending
		}, func(ctx context.Context, tx engine.Tx, u engine.CodeUse) error {
			return firstOf(tx.SaveRequest(ctx, u.Request, 0), tx.SaveCodeUse(ctx, u))
		}, func(ctx context.Context, r engine.Reader) (engine.CodeUse, error) {
			list, err := r.NotClosed(ctx, engine.NotClosedFilter{}, one)
			h, err := find(list.Items, err, engine.Held.ByCode)
			return h.Use, err
		}),
		keep("AddDecision", func(d *access.Decision) { d.Request = "request-1" },
			func(ctx context.Context, tx engine.Tx, d access.Decision) error { return tx.AddDecision(ctx, 0, d) },
			func(ctx context.Context, r engine.Reader) (access.Decision, error) {
				list, err := r.Decisions(ctx, "request-1")
				return find(list, err, func(access.Decision) bool { return true })
			}),
		keep("SaveReview", func(v *access.Review) { v.ID, v.Tenant, v.Person = "review-1", tenantID, f.user },
			func(ctx context.Context, tx engine.Tx, v access.Review) error { return tx.SaveReview(ctx, v, 0) },
			func(ctx context.Context, r engine.Reader) (access.Review, error) { return r.Review(ctx, "review-1") }),
		keep("SaveEligibility", func(e *access.Eligibility) {
			e.ID, e.Tenant, e.Principal, e.Role = "eligibility-1", tenantID, f.user, "text 2"
		},
			func(ctx context.Context, tx engine.Tx, e access.Eligibility) error {
				return tx.SaveEligibility(ctx, e, 0)
			},
			func(ctx context.Context, r engine.Reader) (access.Eligibility, error) {
				return r.Eligibility(ctx, "eligibility-1")
			}),
		keep("SaveRoleChange",
			func(c *access.RoleChange) { c.ID, c.Tenant, c.Principal = "change-1", tenantID, f.user },
			func(ctx context.Context, tx engine.Tx, c access.RoleChange) error {
				return tx.SaveRoleChange(ctx, c, 0)
			},
			func(ctx context.Context, r engine.Reader) (access.RoleChange, error) {
				return r.RoleChange(ctx, "change-1")
			}),
		keep("SavePolicyEntry", func(m *access.MachinePolicy) { m.Machine = "machine-9" },
			func(ctx context.Context, tx engine.Tx, m access.MachinePolicy) error {
				return firstOf(tx.SaveMachine(ctx, machine("machine-9", "web-9", f.agent), 0),
					tx.SavePolicyEntry(ctx, policy("policy-2", "second"), 0, m))
			},
			func(ctx context.Context, r engine.Reader) (access.MachinePolicy, error) {
				p, err := r.GuardOf(ctx, "machine-9")
				entry, _ := p.Of("machine-9")
				return entry, err
			}),
		keep("SaveRecall", func(c *access.Recall) { c.ID, c.Tenant, c.Machine = "recall-1", tenantID, "" },
			func(ctx context.Context, tx engine.Tx, c access.Recall) error { return tx.SaveRecall(ctx, c, 0) },
			func(ctx context.Context, r engine.Reader) (access.Recall, error) { return r.Recall(ctx, "recall-1") }),
		keep("SaveApplicationDefinition", func(d *app.Definition) { d.Resource, d.Tenant = "/definition", tenantID },
			func(ctx context.Context, tx engine.Tx, d app.Definition) error {
				return tx.SaveApplicationDefinition(ctx, d, 0)
			},
			func(ctx context.Context, r engine.Reader) (app.Definition, error) {
				return r.ApplicationDefinition(ctx, "/definition")
			}),
		keep("SaveApplication",
			func(a *app.Application) { a.Resource, a.Tenant, a.Publisher = "/application", tenantID, tenantID },
			func(ctx context.Context, tx engine.Tx, a app.Application) error { return tx.SaveApplication(ctx, a, 0) },
			func(ctx context.Context, r engine.Reader) (app.Application, error) {
				return r.Application(ctx, "/application")
			}),
		keep("Append", func(e *access.Event) { e.Seq = 0 }, // its number, which the store gives
			func(ctx context.Context, tx engine.Tx, e access.Event) error { return tx.Append(ctx, e) },
			func(ctx context.Context, r engine.Reader) (access.Event, error) {
				list, err := r.Events(ctx, engine.EventFilter{}, one)
				return find(list.Items, err, func(access.Event) bool { return true })
			}),
		keep("SaveCheckpoint", func(*audit.SignedCheckpoint) {},
			func(ctx context.Context, tx engine.Tx, c audit.SignedCheckpoint) error {
				return tx.SaveCheckpoint(ctx, c)
			},
			func(ctx context.Context, r engine.Reader) (audit.SignedCheckpoint, error) { return r.Checkpoint(ctx) }),
		keep("SaveIdempotency", func(i *engine.Idempotency) { i.Principal, i.Key = f.user, text },
			func(ctx context.Context, tx engine.Tx, i engine.Idempotency) error { return tx.SaveIdempotency(ctx, i) },
			func(ctx context.Context, r engine.Reader) (engine.Idempotency, error) {
				return r.Idempotent(ctx, f.user, text)
			}),
		keep("SaveAlert", func(a *alert.Alert) { a.ID, a.Tenant, a.State = "alert-1", tenantID, alert.Closed },
			func(ctx context.Context, tx engine.Tx, a alert.Alert) error { return tx.SaveAlert(ctx, a, 0) },
			func(ctx context.Context, r engine.Reader) (alert.Alert, error) { return r.Alert(ctx, "alert-1") }),
		keep("SaveAlertWatch", func(w *alert.Watch) { w.Tenant, w.Rule, w.Key = tenantID, "rule", text },
			func(ctx context.Context, tx engine.Tx, w alert.Watch) error { return tx.SaveAlertWatch(ctx, w) },
			func(ctx context.Context, r engine.Reader) (alert.Watch, error) {
				return r.AlertWatch(ctx, alert.Key{Tenant: tenantID, Rule: "rule", Key: text})
			}),
		keep("SaveTenantSettings", func(s *engine.TenantSettings) { s.Tenant = tenantID },
			func(ctx context.Context, tx engine.Tx, s engine.TenantSettings) error {
				return tx.SaveTenantSettings(ctx, s, 0)
			},
			func(ctx context.Context, r engine.Reader) (engine.TenantSettings, error) {
				return r.TenantSettings(ctx, tenantID)
			}),
		keep("SaveAPIToken", func(t *engine.APIToken) { t.ID, t.Principal = "token-1", f.user },
			func(ctx context.Context, tx engine.Tx, t engine.APIToken) error { return tx.SaveAPIToken(ctx, t) },
			func(ctx context.Context, r engine.Reader) (engine.APIToken, error) { return r.APIToken(ctx, "token-1") }),
		keep("SaveNetwork", func(n *access.Network) { n.Tenant, n.Name = tenantID, "office" },
			func(ctx context.Context, tx engine.Tx, n access.Network) error { return tx.SaveNetwork(ctx, n, 0) },
			func(ctx context.Context, r engine.Reader) (access.Network, error) {
				return r.Network(ctx, tenantID, "office")
			}),
		keep("SaveExternalIdentity", func(i *engine.ExternalIdentity) {
			i.Tenant, i.Issuer, i.Subject, i.Principal = tenantID, text, text, f.user
		},
			func(ctx context.Context, tx engine.Tx, i engine.ExternalIdentity) error {
				return tx.SaveExternalIdentity(ctx, i)
			},
			func(ctx context.Context, r engine.Reader) (engine.ExternalIdentity, error) {
				return r.ExternalIdentity(ctx, tenantID, text, text)
			}),
		keep("SeeExternalIdentity", func(i *engine.ExternalIdentity) {
			i.Tenant, i.Issuer, i.Subject, i.Principal = tenantID, text, text+"2", f.user
		},
			func(ctx context.Context, tx engine.Tx, i engine.ExternalIdentity) error {
				before := i
				before.SeenAt, before.Read = time.Time{}, nil
				return firstOf(tx.SaveExternalIdentity(ctx, before), tx.SeeExternalIdentity(ctx, i))
			},
			func(ctx context.Context, r engine.Reader) (engine.ExternalIdentity, error) {
				return r.ExternalIdentity(ctx, tenantID, text, text+"2")
			}),
		keep("SaveSignInPlace", func(p *engine.SignInPlace) { p.Principal, p.Place = f.user, text },
			func(ctx context.Context, tx engine.Tx, p engine.SignInPlace) error { return tx.SaveSignInPlace(ctx, p) },
			func(ctx context.Context, r engine.Reader) (engine.SignInPlace, error) {
				return r.SignInPlace(ctx, f.user, text)
			}),
		keep("SavePasskey", func(p *engine.Passkey) { p.ID, p.Principal = text, f.user },
			func(ctx context.Context, tx engine.Tx, p engine.Passkey) error { return tx.SavePasskey(ctx, p, 0) },
			func(ctx context.Context, r engine.Reader) (engine.Passkey, error) { return r.Passkey(ctx, text) }),
		keep("SaveCeremony", func(c *engine.Ceremony) { c.Hash, c.Principal = text, f.user },
			func(ctx context.Context, tx engine.Tx, c engine.Ceremony) error { return tx.SaveCeremony(ctx, c) },
			func(ctx context.Context, r engine.Reader) (engine.Ceremony, error) { return r.Ceremony(ctx, text) }),
		keep("SaveGlassCode", func(c *engine.GlassCode) { c.ID, c.Machine, c.Agent = "code-1", f.machine, f.agent },
			func(ctx context.Context, tx engine.Tx, c engine.GlassCode) error { return tx.SaveGlassCode(ctx, c) },
			func(ctx context.Context, r engine.Reader) (engine.GlassCode, error) {
				return r.GlassCode(ctx, "code-1")
			}),
		keep("SaveSecret", func(s *engine.Secret) { s.ID, s.Principal = "secret-1", f.user },
			func(ctx context.Context, tx engine.Tx, s engine.Secret) error { return tx.SaveSecret(ctx, s) },
			func(ctx context.Context, r engine.Reader) (engine.Secret, error) { return r.Secret(ctx, "secret-1") }),
		keep("SavePendingSignIn", func(p *engine.PendingSignIn) { p.Hash = "other" },
			func(ctx context.Context, tx engine.Tx, p engine.PendingSignIn) error {
				return tx.SavePendingSignIn(ctx, p)
			},
			func(ctx context.Context, r engine.Reader) (engine.PendingSignIn, error) {
				return r.PendingSignIn(ctx, "other")
			}),
		keep("Enqueue", func(n *engine.Notification) { n.ID, n.Tenant = "notification-1", tenantID },
			func(ctx context.Context, tx engine.Tx, n engine.Notification) error { return tx.Enqueue(ctx, n) },
			func(ctx context.Context, r engine.Reader) (engine.Notification, error) {
				return r.Notification(ctx, "notification-1")
			},
		).except("Seq", "the store numbers it"),
		keep("SaveChannel", func(c *engine.Channel) { c.ID, c.Tenant = "channel-1", tenantID },
			func(ctx context.Context, tx engine.Tx, c engine.Channel) error { return tx.SaveChannel(ctx, c, 0) },
			func(ctx context.Context, r engine.Reader) (engine.Channel, error) { return r.Channel(ctx, "channel-1") }),
		keep("SaveRoute", func(r *engine.Route) {
			r.ID, r.Tenant, r.Channel, r.Principal = "route-1", tenantID, "channel-1", f.user
		},
			func(ctx context.Context, tx engine.Tx, r engine.Route) error { return tx.SaveRoute(ctx, r) },
			func(ctx context.Context, r engine.Reader) (engine.Route, error) { return r.Route(ctx, "route-1") }),
		keep("AddDeliveries", func(d *engine.Delivery) {
			d.ID, d.Tenant, d.Channel, d.Notification = "delivery-1", tenantID, "channel-1", "notification-1"
		}, func(ctx context.Context, tx engine.Tx, d engine.Delivery) error { return tx.AddDeliveries(ctx, d) },
			func(ctx context.Context, r engine.Reader) (engine.Delivery, error) {
				return r.Delivery(ctx, "delivery-1")
			}),
	}
}

// TestEveryFieldIsKept saves each type with every exported field filled, on both engines, and demands each back: a
// field that is added to a type, and forgotten in the store, fails here.
func TestEveryFieldIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		all := everyKept(f)
		for _, k := range all {
			f.update(t, k.save)
		}
		for _, k := range all {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				got, err := k.load(ctx, r)
				if err != nil {
					return fmt.Errorf("%s: %w", k.method, err)
				}
				want := reflect.New(k.value.Type()).Elem()
				want.Set(k.value)
				had := reflect.New(k.value.Type()).Elem()
				had.Set(reflect.ValueOf(got))
				for field := range k.lost {
					had.FieldByName(field).Set(want.FieldByName(field))
				}
				same(t, "what "+k.method+" took", want.Interface(), had.Interface())
				return nil
			})
		}
	})
}

// TestEverySaveIsTried fails where a method of engine.Tx that takes a type to write is not in everyKept.
func TestEverySaveIsTried(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{
		"SaveDelivery": true, // it takes what AddDeliveries does
		// These take of a type no more than what names a row, and its revision.
		"DeletePolicyEntries": true, "DeleteAlertWatch": true,
	}
	for _, k := range everyKept(&fixture{agent: "a", machine: "m", user: "u"}) {
		tried[k.method] = true
	}
	reads := reflect.TypeFor[engine.Reader]()
	for method := range reflect.TypeFor[engine.Tx]().Methods() {
		if _, reading := reads.MethodByName(method.Name); reading {
			continue
		}
		for in := range method.Type.Ins() {
			if in.Kind() == reflect.Slice {
				in = in.Elem()
			}
			if in.Kind() == reflect.Struct && in != reflect.TypeFor[time.Time]() && !tried[method.Name] {
				t.Errorf("%s writes a %s that TestEveryFieldIsKept does not fill", method.Name, in)
			}
		}
	}
}
