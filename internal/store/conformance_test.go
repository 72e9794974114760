package store_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	equal := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmpopts.EquateEmpty(),
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
}

// wantKind checks the kind of an error, and where code is not empty its code.
func wantKind(t *testing.T, what string, err error, kind access.Kind, code string) {
	t.Helper()
	if err == nil || access.KindOf(err) != kind || code != "" && access.CodeOf(err) != code {
		t.Errorf("%s: got %v (%s, %s), want %s %s", what, err, access.KindOf(err), access.CodeOf(err), kind, code)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			zero := access.Machine{
				ID: "m-zero", Resource: access.MachineResource(subID, "default", "zero"),
				Tenant: tenantID, Name: "zero", Revision: 1,
			}
			group := access.Principal{
				ID: "g", Tenant: tenantID, Kind: access.Group, Name: "Ops", Disabled: true,
				Revision: 4,
			}
			password := engine.Password{
				Principal: f.user, Hash: "$argon2id$x", MustChange: true,
				ChangedAt: day().Add(time.Microsecond),
			}
			session := engine.Session{
				Hash: "aa", Principal: f.user, CreatedAt: day(), ExpiresAt: day().Add(time.Hour),
				Address: "203.0.113.9", Client: "curl", SteppedUpAt: day().Add(time.Minute),
			}
			token := engine.EnrollmentToken{
				Hash: "bb", Tenant: tenantID, Subscription: subID, ResourceGroup: "Default", Name: "web-9",
				Mode: access.ModeGateway, CreatedBy: f.user,
				CreatedAt: day(), ExpiresAt: day().Add(time.Hour),
			}
			role := definition("d-1", "Owner")
			assignment := rbac.Assignment{
				ID: "a-1", Tenant: tenantID, Principal: f.user, Definition: "d-1", Scope: "/", Start: day(),
				End: day().Add(time.Hour), Description: "x",
				CreatedBy: f.user, CreatedAt: day(),
			}
			pol := policy("policy-1", "default", f.machine, zero.ID)
			pol.Machines[1] = wholeMachinePolicy(zero.ID)
			request, grant, _ := f.request(day())
			grant.Packets, grant.Bytes = 1<<63+5, 1<<64-1
			grant.WarnedAt = day().Add(time.Hour)
			grant.OpenedAt = day().Add(3 * time.Microsecond)
			until := request
			until.ID, until.Start, until.Address = "r-until", day().Add(time.Hour), netip.Addr{}
			until.Items = []access.Item{
				{
					Target: access.PortTarget{
						Machine: "gone", Ports: access.PortRange{First: 8000, Last: 8010}, Protocol: access.AnyProtocol,
					},
					Until: day().Add(2 * time.Hour),
				},
			}
			idem := engine.Idempotency{Principal: f.user, Key: "k", Digest: "d", Request: request.ID, CreatedAt: day()}
			checkpoint := audit.SignedCheckpoint{Size: 5, Root: audit.Hash{1, 2}, At: day(), Text: "text\n\n— x y\n"}
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				return firstOf(tx.SaveMachine(ctx, zero, 0), tx.SavePrincipal(ctx, group, 0),
					tx.SavePassword(ctx, password), tx.SaveSession(ctx, session),
					tx.SaveEnrollmentToken(ctx, token), tx.SaveRoleDefinition(ctx, role),
					tx.SaveRoleAssignment(ctx, assignment), tx.AddMember(ctx, group.ID, f.user, "", day()),
					tx.SavePolicy(ctx, pol, 0), tx.SaveRequest(ctx, request, 0), tx.SaveRequest(ctx, until, 0),
					tx.SaveGrant(ctx, grant, 0), tx.SaveIdempotency(ctx, idem),
					tx.SaveCheckpoint(ctx, audit.SignedCheckpoint{Size: 3, Text: "older"}),
					tx.SaveCheckpoint(ctx, checkpoint), tx.SaveSetting(ctx, "s", []byte{0, 1, 255}),
					tx.SaveSetting(ctx, "empty", nil))
			})
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				get := func(what string, want, got any, err error) {
					t.Helper()
					if err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
					same(t, what, want, got)
				}
				tenants, err := r.Tenants(ctx)
				get("tenants", []access.Tenant{{ID: tenantID, Name: "Example", CreatedAt: day()}}, tenants, err)
				subs, err := r.Subscriptions(ctx)
				get("subscriptions",
					[]access.Subscription{{ID: subID, Tenant: tenantID, Name: "default", CreatedAt: day()}}, subs, err)
				groups, err := r.ResourceGroups(ctx)
				get("resource groups",
					[]access.ResourceGroup{{Subscription: subID, Name: "Default", Location: "local", CreatedAt: day()}},
					groups, err)
				p, err := r.Principal(ctx, group.ID)
				get("principal", group, p, err)
				p, err = r.PrincipalByName(ctx, tenantID, "oPS")
				get("principal by name", group, p, err)
				pw, err := r.Password(ctx, f.user)
				get("password", password, pw, err)
				s, err := r.Session(ctx, "aa")
				get("session", session, s, err)
				list, err := r.Checkpoints(ctx, engine.Page{Limit: 1})
				get("newest checkpoint", []audit.SignedCheckpoint{checkpoint}, list.Items, err)
				list, err = r.Checkpoints(ctx, engine.Page{Limit: 1, Cursor: list.Next})
				get("older checkpoint", []audit.SignedCheckpoint{{Size: 3, Text: "older"}}, list.Items, err)
				get("end of the checkpoints", "", list.Next, err)
				waiting, err := r.EnrollmentTokens(ctx, tenantID, day())
				get("waiting token", []engine.EnrollmentToken{token}, waiting, err)
				waiting, err = r.EnrollmentTokens(ctx, tenantID, token.ExpiresAt)
				get("expired token", []engine.EnrollmentToken{}, waiting, err)
				waiting, err = r.EnrollmentTokens(ctx, "another", day())
				get("another's token", []engine.EnrollmentToken{}, waiting, err)
				tok, err := r.EnrollmentToken(ctx, "bb")
				get("token", token, tok, err)
				a, err := r.Agent(ctx, f.agent)
				get("agent", agent(f.agent, "gate"), a, err)
				as, err := r.AgentsByName(ctx, tenantID, "GATE")
				get("agents by name", []access.Agent{agent(f.agent, "gate")}, as, err)
				as, err = r.AgentsIn(ctx, tenantID, agent(f.agent, "gate").Scope)
				get("agents in", []access.Agent{agent(f.agent, "gate")}, as, err)
				m, err := r.Machine(ctx, f.machine)
				get("machine", machine(f.machine, "web-1", f.agent), m, err)
				m, err = r.MachineByResource(ctx, access.ResourceID(zero.Resource.Fold()))
				get("machine by resource", zero, m, err)
				ms, err := r.MachinesByName(ctx, tenantID, "ZERO")
				get("machines by name", []access.Machine{zero}, ms, err)
				of, err := r.Machines(ctx, engine.MachineFilter{Agent: f.agent}, engine.Page{Limit: 10})
				get("machines of agent", []access.Machine{machine(f.machine, "web-1", f.agent)}, of.Items, err)
				po, err := r.Policy(ctx, pol.ID)
				get("policy", pol, po, err)
				po, err = r.PolicyByResource(ctx, access.ResourceID(pol.Resource.Fold()))
				get("policy by resource", pol, po, err)
				entries, err := r.PolicyEntries(ctx, pol.ID, len(pol.Machines))
				get("machines of policy", pol.Machines, entries, err)
				po, err = r.PolicyHead(ctx, pol.Resource)
				head := pol
				head.Machines = nil
				get("head of policy", head, po, err)
				entry, _ := pol.Of(zero.ID)
				alone := pol
				alone.Machines = []access.MachinePolicy{entry}
				po, err = r.GuardOf(ctx, zero.ID)
				get("guard of machine", alone, po, err)
				lastEnd, err := r.LastEnd(ctx, f.machine, grant.Start.Add(-time.Second))
				get("last end before it begins", time.Time{}, lastEnd, err)
				lastEnd, err = r.LastEnd(ctx, f.machine, grant.Start)
				get("last end", grant.End, lastEnd, err)
				lastEnd, err = r.LastEndOf(ctx, f.agent, grant.Start.Add(-time.Second))
				get("last end of an agent before it begins", time.Time{}, lastEnd, err)
				lastEnd, err = r.LastEndOf(ctx, f.agent, grant.Start)
				get("last end of an agent", grant.End, lastEnd, err)
				scene := access.Scene{Agent: agent(f.agent, "gate"), Machines: of.Items, Grants: []access.Grant{grant}}
				if entry, named := pol.Of(f.machine); named {
					scene.Policies = []access.MachinePolicy{entry}
				}
				scenes, err := r.Scenes(ctx, []access.AgentID{f.agent, "nobody", f.agent})
				get("scenes", map[access.AgentID]access.Scene{f.agent: scene}, scenes, err)
				rq, err := r.Request(ctx, request.ID)
				get("request", request, rq, err)
				rq, err = r.Request(ctx, until.ID)
				get("request until", until, rq, err)
				g, err := r.Grant(ctx, grant.ID)
				get("grant", grant, g, err)
				gs, err := r.GrantsOfRequest(ctx, request.ID)
				get("grants of request", []access.Grant{grant}, gs, err)
				i, err := r.Idempotent(ctx, f.user, "k")
				get("idempotency", idem, i, err)
				c, err := r.Checkpoint(ctx)
				get("checkpoint", checkpoint, c, err)
				v, err := r.Setting(ctx, "s")
				get("setting", []byte{0, 1, 255}, v, err)
				v, err = r.Setting(ctx, "empty")
				get("empty setting", []byte{}, v, err)
				d, err := r.Directory(ctx)
				placed := assignment
				placed.Home = assignment.Tenant // it is the principal's
				get("directory", rbac.Data{
					Revision: d.Revision, Tenants: d.Tenants, Subscriptions: d.Subscriptions,
					Definitions: []rbac.Definition{role}, Assignments: []rbac.Assignment{placed},
					Memberships: []rbac.Membership{{Group: group.ID, Member: f.user}},
					Disabled:    []access.PrincipalID{group.ID}, People: []access.PrincipalID{f.user},
				}, d, err)
				revision, err := r.DirectoryRevision(ctx)
				get("directory revision", d.Revision, revision, err)
				return nil
			})
		})
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				for what, get := range map[string]func() error{
					"principal": func() error { _, err := r.Principal(ctx, "x"); return err },
					"principal by name": func() error {
						_, err := r.PrincipalByName(ctx, "other",
							"Ada")
						return err
					},
					"password":            func() error { _, err := r.Password(ctx, f.user); return err },
					"session":             func() error { _, err := r.Session(ctx, "x"); return err },
					"token":               func() error { _, err := r.EnrollmentToken(ctx, "x"); return err },
					"agent":               func() error { _, err := r.Agent(ctx, "x"); return err },
					"machine":             func() error { _, err := r.Machine(ctx, "x"); return err },
					"machine by resource": func() error { _, err := r.MachineByResource(ctx, "/x"); return err },
					"policy":              func() error { _, err := r.Policy(ctx, "x"); return err },
					"policy by resource":  func() error { _, err := r.PolicyByResource(ctx, "/x"); return err },
					"policy of machine":   func() error { _, err := r.GuardOf(ctx, f.machine); return err },
					"request":             func() error { _, err := r.Request(ctx, "x"); return err },
					"grant":               func() error { _, err := r.Grant(ctx, "x"); return err },
					"event":               func() error { _, err := r.Event(ctx, 0); return err },
					"hash":                func() error { _, err := r.AuditHashes(ctx, []int64{0}); return err },
					"checkpoint":          func() error { _, err := r.Checkpoint(ctx); return err },
					"idempotency":         func() error { _, err := r.Idempotent(ctx, f.user, "x"); return err },
					"setting":             func() error { _, err := r.Setting(ctx, "x"); return err },
				} {
					wantKind(t, what, get(), access.KindNotFound, "notFound")
				}
				return nil
			})
			for what, do := range map[string]func(ctx context.Context, tx engine.Tx) error{
				"remove member": func(ctx context.Context,
					tx engine.Tx,
				) error {
					return tx.RemoveMember(ctx, "x", f.user)
				},
				"delete token": func(ctx context.Context,
					tx engine.Tx,
				) error {
					return tx.DeleteEnrollmentToken(ctx, "x")
				},
				"delete assignment": func(ctx context.Context,
					tx engine.Tx,
				) error {
					return tx.DeleteRoleAssignment(ctx, "x")
				},
				"bump agent": func(ctx context.Context, tx engine.Tx) error { return tx.BumpAgent(ctx, "x") },
				"delete machine": func(ctx context.Context,
					tx engine.Tx,
				) error {
					return tx.DeleteMachine(ctx, "x")
				},
			} {
				wantKind(t, what, f.try(t, do), access.KindNotFound, "notFound")
			}
		})
	}
}

func TestIllegalWrites(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			request, grant, _ := f.request(day())
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				return firstOf(tx.SavePolicy(ctx, policy("policy-1", "default", f.machine), 0),
					tx.SaveRequest(ctx, request, 0), tx.SaveGrant(ctx, grant, 0),
					tx.SaveIdempotency(ctx, engine.Idempotency{Principal: f.user, Key: "k"}),
					tx.SaveRoleDefinition(ctx, definition("d-1", "Owner")),
					tx.SaveRoleAssignment(ctx,
						rbac.Assignment{ID: "a-1", Tenant: tenantID, Principal: f.user, Definition: "d-1"}))
			})
			type update = func(ctx context.Context, tx engine.Tx) error
			ghost := grant
			ghost.ID, ghost.Request = "grant-x", "nothing"
			wrong := grant
			wrong.ID, wrong.State = "grant-y", access.GrantRevoked
			for what, c := range map[string]struct {
				do   update
				kind access.Kind
				code string
			}{
				"principal, same name": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SavePrincipal(ctx, person("u2", "aDA"), 0)
					},
					access.KindConflict, "exists",
				},
				"principal, same id": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SavePrincipal(ctx, person(f.user, "B"), 0)
					},
					access.KindConflict, "exists",
				},
				"machine, same resource": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveMachine(ctx, machine("m2", "WEB-1", ""), 0)
				}, access.KindConflict, "exists"},
				"agent, same name": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SaveAgent(ctx, agent("a2", "GATE"))
					},
					access.KindConflict, "exists",
				},
				"tenant, same name": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveTenant(ctx, access.Tenant{ID: "t2", Name: "EXAMPLE"})
				}, access.KindConflict, "exists"},
				"role, same name": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveRoleDefinition(ctx, definition("d-2", "OWNER"))
				}, access.KindConflict, "exists"},
				"policy, same resource": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SavePolicy(ctx, policy("p2", "DEFAULT"), 0)
					},
					access.KindConflict, "exists",
				},
				"assignment, same id": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveRoleAssignment(ctx,
						rbac.Assignment{ID: "a-1", Tenant: tenantID, Principal: f.user, Definition: "d-1"})
				}, access.KindConflict, "exists"},
				"request, same id": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SaveRequest(ctx, request, 0)
					},
					access.KindConflict, "exists",
				},
				"idempotency, same key": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveIdempotency(ctx, engine.Idempotency{Principal: f.user, Key: "k"})
				}, access.KindConflict, "exists"},
				"second policy of machine": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SavePolicy(ctx, policy("p2", "other", f.machine), 0)
				}, access.KindConflict, "machineHasPolicy"},
				"policy of no machine": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SavePolicy(ctx, policy("p2", "other", "nothing"), 0)
				}, access.KindConflict, "reference"},
				"machine of no agent": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveMachine(ctx, machine("m2", "web-2", "nothing"), 0)
				}, access.KindConflict, "reference"},
				"machine that has a policy": {
					func(ctx context.Context, tx engine.Tx) error { return tx.DeleteMachine(ctx, f.machine) },
					access.KindConflict, "reference",
				},
				"member that is not there": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.AddMember(ctx, "nothing", f.user, "", day())
					},
					access.KindConflict, "reference",
				},
				"assignment of no role": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveRoleAssignment(ctx,
						rbac.Assignment{ID: "a-2", Tenant: tenantID, Principal: f.user, Definition: "x"})
				}, access.KindConflict, "reference"},
				"grant of no request": {
					func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, ghost, 0) },
					access.KindConflict, "reference",
				},
				"ended grant without end": {
					func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, wrong, 0) },
					access.KindInternal, "refusedByStore",
				},
				"revision that stands": {func(ctx context.Context, tx engine.Tx) error {
					return tx.SaveMachine(ctx, machine(f.machine, "web-1", f.agent), 1)
				}, access.KindInternal, "revision"},
				"zero byte": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SavePrincipal(ctx, person("u3", "a\x00b"), 0)
					},
					access.KindInvalid, "malformedText",
				},
				"not UTF-8": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.SavePrincipal(ctx, person("u3", "a\xff"), 0)
					},
					access.KindInvalid, "malformedText",
				},
				"lookup with zero byte": {func(ctx context.Context, tx engine.Tx) error {
					_, err := tx.PrincipalByName(ctx, tenantID, "a\x00")
					return err
				}, access.KindInvalid, "malformedText"},
				"unused token twice": {
					func(ctx context.Context,
						tx engine.Tx,
					) error {
						return tx.UseEnrollmentToken(ctx, "none", day())
					},
					access.KindConflict, "tokenUsed",
				},
			} {
				wantKind(t, what, f.try(t, c.do), c.kind, c.code)
			}
			f.update(t, func(ctx context.Context, tx engine.Tx) error { // and nothing is broken by all that
				gone := agent(f.agent, "gate")
				gone.Revoked = true
				return firstOf(tx.SaveAgent(ctx, gone), tx.SaveAgent(ctx, agent("a2", "Gate")),
					tx.DeletePolicy(ctx, "policy-1", 1), tx.DeleteMachine(ctx, f.machine))
			})
		})
	}
}

func TestCompareAndSwap(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, grant, _ := f.request(day())
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SavePolicy(ctx, policy("policy-1", "default", f.machine), 0),
				tx.SaveRequest(ctx, request, 0), tx.SaveGrant(ctx, grant, 0))
		})
		for what, save := range map[string]func(ctx context.Context, tx engine.Tx, revision, was int64) error{
			"principal": func(ctx context.Context, tx engine.Tx, revision, was int64) error {
				p := person(f.user, "Ada")
				p.Revision = revision
				return tx.SavePrincipal(ctx, p, was)
			},
			"machine": func(ctx context.Context, tx engine.Tx, revision, was int64) error {
				m := machine(f.machine, "web-1", f.agent)
				m.Revision = revision
				return tx.SaveMachine(ctx, m, was)
			},
			"policy": func(ctx context.Context, tx engine.Tx, revision, was int64) error {
				p := policy("policy-1", "default", f.machine)
				p.Revision = revision
				return tx.SavePolicy(ctx, p, was)
			},
			"request": func(ctx context.Context, tx engine.Tx, revision, was int64) error {
				r := request
				r.Revision = revision
				return tx.SaveRequest(ctx, r, was)
			},
			"grant": func(ctx context.Context, tx engine.Tx, revision, was int64) error {
				g := grant
				g.Revision = revision
				return tx.SaveGrant(ctx, g, was)
			},
		} {
			first := int64(1)
			if what == "request" {
				first = request.Revision
			}
			const racers = 20
			errs := make(chan error, racers)
			for range racers {
				go func() {
					errs <- f.Update(t.Context(),
						func(tx engine.Tx) error { return save(t.Context(), tx, first+1, first) })
				}()
			}
			won := 0
			for range racers {
				if err := <-errs; err == nil {
					won++
				} else {
					wantKind(t, what, err, access.KindConflict, "changed")
				}
			}
			if won != 1 {
				t.Errorf("%s: %d of %d won", what, won, racers)
			}
			wantKind(t, what+" that is not there",
				f.try(t, func(ctx context.Context, tx engine.Tx) error { return save(ctx, tx, 99, 98) }),
				access.KindConflict, "changed")
		}
		wantKind(t, "delete policy",
			f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeletePolicy(ctx, "policy-1", 1) }),
			access.KindConflict, "changed")
	})
}

func TestTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return tx.SaveEnrollmentToken(ctx, engine.EnrollmentToken{Hash: "h", Tenant: tenantID, Subscription: subID})
		})
		use := func(ctx context.Context, tx engine.Tx) error { return tx.UseEnrollmentToken(ctx, "h", day()) }
		f.update(t, use)
		wantKind(t, "again", f.try(t, use), access.KindConflict, "tokenUsed")
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			token, err := r.EnrollmentToken(ctx, "h")
			same(t, "used at", day(), token.UsedAt)
			return err
		})
	})
}

func TestAgentRevisionMovesByBumpAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			changed := agent(f.agent, "gate")
			changed.Revision, changed.Version = 1, "2"
			return firstOf(tx.BumpAgent(ctx, f.agent), tx.SaveAgent(ctx, changed), tx.BumpAgent(ctx, f.agent))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			a, err := r.Agent(ctx, f.agent)
			if a.Revision != 9 || a.Version != "2" {
				t.Errorf("revision %d version %s, want 9 and 2", a.Revision, a.Version)
			}
			return err
		})
	})
}

func TestDirectoryRevisionGrows(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		revision := func() (n int64) {
			f.view(t,
				func(ctx context.Context,
					r engine.Reader,
				) (err error) {
					n, err = r.DirectoryRevision(ctx)
					return err
				})
			return n
		}
		group := access.Principal{ID: "g", Tenant: tenantID, Kind: access.Group, Name: "Ops", Revision: 1}
		assignment := rbac.Assignment{ID: "a-1", Tenant: tenantID, Principal: f.user, Definition: "d-1", Scope: "/"}
		for _, step := range []struct {
			what string
			do   func(ctx context.Context, tx engine.Tx) error
			want bool
		}{
			{
				"principal", func(ctx context.Context, tx engine.Tx) error { return tx.SavePrincipal(ctx, group, 0) },
				true,
			},
			{
				"member",
				func(ctx context.Context, tx engine.Tx) error { return tx.AddMember(ctx, "g", f.user, "", day()) },
				true,
			},
			{
				"member again",
				func(ctx context.Context, tx engine.Tx) error { return tx.AddMember(ctx, "g", f.user, "", day()) },
				true,
			},
			{
				"no member", func(ctx context.Context, tx engine.Tx) error { return tx.RemoveMember(ctx, "g", f.user) },
				true,
			},
			{"no group", func(ctx context.Context, tx engine.Tx) error { return tx.DeleteGroup(ctx, "g", 1) }, true},
			{"role", func(ctx context.Context, tx engine.Tx) error {
				return tx.SaveRoleDefinition(ctx, definition("d-1", "Owner"))
			}, true},
			{"role again", func(ctx context.Context, tx engine.Tx) error {
				return tx.SaveRoleDefinition(ctx, definition("d-1", "Owner"))
			}, true},
			{
				"assignment",
				func(ctx context.Context, tx engine.Tx) error { return tx.SaveRoleAssignment(ctx, assignment) }, true,
			},
			{
				"no assignment",
				func(ctx context.Context, tx engine.Tx) error { return tx.DeleteRoleAssignment(ctx, "a-1") }, true,
			},
			{"password", func(ctx context.Context, tx engine.Tx) error {
				return tx.SavePassword(ctx, engine.Password{Principal: f.user})
			}, false},
			{"setting", func(ctx context.Context, tx engine.Tx) error { return tx.SaveSetting(ctx, "x", nil) }, false},
		} {
			before := revision()
			f.update(t, step.do)
			if grew := revision() > before; grew != step.want {
				t.Errorf("%s: grew is %v, want %v", step.what, grew, step.want)
			}
		}
	})
}

func TestDeletingAGroup(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		group := func(id access.PrincipalID) access.Principal {
			return access.Principal{ID: id, Tenant: tenantID, Kind: access.Group, Name: string(id), Revision: 1}
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SavePrincipal(ctx, group("inner"), 0), tx.SavePrincipal(ctx, group("outer"), 0),
				tx.AddMember(ctx, "inner", f.user, "", day()), tx.AddMember(ctx, "outer", "inner", "", day()))
		})
		for what, do := range map[string]func(ctx context.Context, tx engine.Tx) error{
			"another revision": func(ctx context.Context,
				tx engine.Tx,
			) error {
				return tx.DeleteGroup(ctx, "inner", 2)
			},
			"a person": func(ctx context.Context, tx engine.Tx) error { return tx.DeleteGroup(ctx, f.user, 1) },
		} {
			wantKind(t, what, f.try(t, do), access.KindConflict, "")
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteGroup(ctx, "inner", 1) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			data, err := r.Directory(ctx)
			if len(data.Memberships) != 0 {
				t.Errorf("memberships are left: %v", data.Memberships)
			}
			return err
		})
	})
}

// Who gave which membership lately is known while it stands, and giving it again changes nothing.
func TestMembershipsBy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for _, id := range []access.PrincipalID{"a", "b", "c", "d"} {
				if err := tx.SavePrincipal(ctx,
					access.Principal{ID: id, Tenant: tenantID, Kind: access.Group, Name: string(id), Revision: 1},
					0); err != nil {
					return err
				}
			}
			return firstOf(tx.AddMember(ctx, "a", f.user, f.user, day()), tx.AddMember(ctx, "a", f.user, "", day()),
				tx.AddMember(ctx, "b", "a", f.user, day().Add(time.Hour)),
				tx.AddMember(ctx, "c", "a", f.user, day().Add(-time.Hour)), tx.AddMember(ctx, "d", "a", "", day()),
				tx.AddMember(ctx, "d", "b", f.user, day()), tx.RemoveMember(ctx, "d", "b"))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.MembershipsBy(ctx, f.user, day(), []access.PrincipalID{"a", f.user})
			same(t, "memberships", []rbac.Membership{{Group: "b", Member: "a"}, {Group: "a", Member: f.user}}, got)
			own, ownErr := r.MembershipsBy(ctx, f.user, day(), []access.PrincipalID{f.user})
			same(t, "memberships of one", []rbac.Membership{{Group: "a", Member: f.user}}, own)
			nobodys, failed := r.MembershipsBy(ctx, "", day(), []access.PrincipalID{"a", f.user})
			same(t, "memberships by nobody", []rbac.Membership(nil), nobodys)
			return firstOf(err, ownErr, failed)
		})
	})
}

func TestRegroupings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		left := engine.Regrouping{Principal: f.user, Group: "a", Name: "A", Left: true, At: day()}
		back := engine.Regrouping{Principal: f.user, Group: "a", Name: "A", At: day().Add(time.Hour)}
		other := engine.Regrouping{Principal: f.user, Group: "b", Name: "B", Left: true, At: day()}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRegrouping(ctx, left), tx.SaveRegrouping(ctx, other), tx.SaveRegrouping(ctx, back),
				tx.SaveRegrouping(ctx, engine.Regrouping{Principal: "another", Group: "a", Name: "A", At: day()}))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			all, err := r.Regroupings(ctx, f.user, day())
			same(t, "regroupings", []engine.Regrouping{back, other}, all)
			late, lateErr := r.Regroupings(ctx, f.user, day().Add(time.Minute))
			same(t, "regroupings of late", []engine.Regrouping{back}, late)
			return firstOf(err, lateErr)
		})
	})
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for _, hash := range []string{"a", "b", "c"} {
				if err := tx.SaveSession(ctx,
					engine.Session{Hash: hash, Principal: f.user, ExpiresAt: day()}); err != nil {
					return err
				}
			}
			return firstOf(tx.SaveSession(ctx,
				engine.Session{Hash: "b", Principal: f.user, ExpiresAt: day().Add(time.Hour)}),
				tx.DeleteSession(ctx, "a"), tx.DeleteSession(ctx, "a"))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			_, err := r.Session(ctx, "a")
			wantKind(t, "deleted", err, access.KindNotFound, "")
			b, err := r.Session(ctx, "b")
			same(t, "replaced", day().Add(time.Hour), b.ExpiresAt)
			return err
		})
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteSessionsOf(ctx, f.user) })
		err := f.View(t.Context(), func(r engine.Reader) error { _, err := r.Session(t.Context(), "c"); return err })
		wantKind(t, "all deleted", err, access.KindNotFound, "")
	})
}

func TestPolicyMachinesAreReplaced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveMachine(ctx, machine("m2", "web-2", f.agent), 0),
				tx.SaveMachine(ctx, machine("m3", "web-3", f.agent), 0),
				tx.SavePolicy(ctx, policy("p", "default", f.machine, "m2"), 0))
		})
		next := policy("p", "default", "m3", f.machine)
		next.Revision, next.Machines[1].Sessions = 2, access.SessionsKeep
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SavePolicy(ctx, next, 1) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.Policy(ctx, "p")
			same(t, "policy", next, got)
			_, gone := r.GuardOf(ctx, "m2")
			wantKind(t, "machine that was taken out", gone, access.KindNotFound, "")
			return err
		})
	})
}

func TestContextErrorsPassThrough(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.View(ctx,
			func(r engine.Reader) error {
				_, err := r.Agent(ctx,
					f.agent)
				return err
			}); !errors.Is(err, context.Canceled) {
			t.Errorf("view: %v", err)
		}
		if err := f.Update(ctx, func(engine.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("update: %v", err)
		}
		if err := f.Update(t.Context(),
			func(tx engine.Tx) error { return tx.SaveSetting(ctx, "x", nil) }); !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v", err)
		}
		if err := f.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
	})
}

// wholeMachinePolicy has something in each field.
func wholeMachinePolicy(m access.MachineID) access.MachinePolicy {
	people := []access.PrincipalID{"p1", "p2"}
	return access.MachinePolicy{
		Machine: m, Sessions: access.SessionsKeep, WhenServerIsLost: time.Minute + time.Nanosecond,
		PendingTimeout: time.Hour, Gap: time.Minute,
		Loosened: []access.Loosening{{By: "p1", At: day(), How: []string{"more"}}},
		Ports: []access.PortRule{
			{
				Ports: access.PortRange{First: 1, Last: 9}, Protocol: access.UDP,
				Sources: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, Networks: []string{"office"},
				Max: time.Hour, SourceList: true,
			},
		},
		Justification: access.JustificationRule{Required: true, MinLength: 5, Pattern: "^x"},
		Ticket:        access.TicketRule{Required: true, Pattern: "OPS-[0-9]+", Checked: true},
		BreakGlass:    &access.BreakGlass{Groups: people, People: people, Max: time.Hour},
		Approval: access.Rule{Cases: []access.Case{{
			Name: "n", When: "true",
			Hours: access.Hours{Zone: "UTC", Days: []time.Weekday{time.Monday}, From: 60, To: 120}, Denies: 2,
			StepUp: true,
			Stages: []access.Stage{{
				AllOf: []access.Quorum{{Count: 1, Groups: people}},
				AnyOf: []access.Quorum{{Count: 2, People: people}}, Timeout: time.Minute,
			}},
		}}},
	}
}
