package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// bounded makes an API token for c and gives the caller behind it.
func (w *world) bounded(c engine.Caller, name string, b engine.Bounds) engine.Caller {
	w.tb.Helper()
	token, made, err := w.Directory.MakeAPIToken(w.ctx, c, directory.APITokenInput{Name: name, Bounds: b})
	if err != nil {
		w.tb.Fatal(err)
	}
	if !strings.HasPrefix(token, directory.APITokenPrefix) || strings.Contains(token, made.Hash) {
		w.tb.Errorf("token %q", token)
	}
	by := must(w.Directory.APITokenCaller(w.ctx, made.Hash))(w.tb)
	by.Address, by.Via = office, "api"
	return by
}

// TestTokenBounds proves that a token does what its bounds and its principal's roles both allow, and nothing else, also
// to what is its principal's own.
func TestTokenBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.host("web-1"), w.host("web-2")
	w.guard("web-1")
	w.guard("web-2")
	anna := w.user("anna", "JIT Access Requester")
	own := must(w.Requests.Submit(w.ctx, anna, ssh("web-2", time.Hour)))(t)

	all := w.bounded(anna, "all", engine.Bounds{})
	here := w.bounded(anna, "here", engine.Bounds{Scope: one.Machine.Resource})
	reads := w.bounded(anna, "reads", engine.Bounds{Actions: []string{"*/read"}})
	both := w.bounded(anna, "both",
		engine.Bounds{Scope: two.Machine.Resource, Actions: []string{rbac.PoliciesInitiate}})

	must(w.Requests.Submit(w.ctx, all, ssh("web-1", time.Hour)))(t)
	must(w.Requests.Submit(w.ctx, here, ssh("web-1", time.Hour)))(t)
	must(w.Requests.Submit(w.ctx, both, ssh("web-2", time.Hour)))(t)
	must(w.Machines.Machine(w.ctx, reads, "web-1"))(t)
	must(w.Requests.Request(w.ctx, reads, own.Request.ID))(t)
	must(w.Requests.Grant(w.ctx, all, own.Grants[0].ID))(t)

	_, err := w.Requests.Submit(w.ctx, reads, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	_, err = w.Requests.Submit(w.ctx, here, ssh("web-2", time.Hour))
	if err == nil {
		t.Error("a token for one machine asks for another")
	}
	_, err = w.Requests.Submit(w.ctx, both, ssh("web-1", time.Hour))
	if err == nil {
		t.Error("a token for one machine and action asks for another machine")
	}
	_, err = w.Requests.Request(w.ctx, here, own.Request.ID)
	wantCode(t, err, access.KindNotFound, "unknownRequest")
	_, err = w.Requests.Grant(w.ctx, here, own.Grants[0].ID)
	wantCode(t, err, access.KindNotFound, "unknownGrant")
	_, err = w.Requests.Revoke(w.ctx, reads, own.Grants[0].ID, "")
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	_, err = w.Requests.Cancel(w.ctx, both, own.Request.ID, "")
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	if list := must(w.Machines.Machines(w.ctx, here, engine.MachineFilter{}, engine.Page{}))(t); len(list.Items) != 1 {
		t.Errorf("a token for one machine sees %d", len(list.Items))
	}

	// The administrator's token is bounded too, and nobody's makes tokens.
	narrow := w.bounded(w.admin, "narrow", engine.Bounds{Actions: []string{rbac.MachinesRead}})
	_, err = w.Directory.CreatePrincipal(w.ctx, narrow, directory.PrincipalInput{Kind: access.User, Name: "eve"})
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	_, _, err = w.Directory.MakeAPIToken(w.ctx, all, directory.APITokenInput{Name: "more"})
	wantCode(t, err, access.KindForbidden, "signInNeeded")
	wantCode(t, w.Directory.RevokeAPIToken(w.ctx, all, "here"), access.KindForbidden, "signInNeeded")
}

// TestADecisionLiesWithinATokensBounds holds that a token that an approver made for something else decides nothing.
func TestADecisionLiesWithinATokensBounds(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy { return oneOfOps(ops) })
	d := w.ask()
	for name, bounds := range map[string]engine.Bounds{
		"elsewhere": {Scope: "/subscriptions/" + access.ResourceID(engine.NewID())},
		"to-read":   {Actions: []string{"*/read"}},
	} {
		token := w.bounded(w.bob, name, bounds)
		if _, err := w.Requests.Decide(w.ctx, token, d.Request.ID, true, "", d.Request.Digest); err == nil {
			t.Errorf("a token %s decides", name)
		}
	}
	second := w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", oneOfOps(w.ops), nil))(t)
	in := ssh("web-1", time.Hour)
	in.Items = append(in.Items, ssh("web-2", time.Hour).Items...)
	both := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	part := w.bounded(w.bob, "of-one", engine.Bounds{Scope: second.Machine.Resource})
	_, err := w.Requests.Decide(w.ctx, part, both.Request.ID, true, "", both.Request.Digest)
	wantCode(t, err, access.KindNotFound, "unknownRequest")
	decides := w.bounded(w.bob, "decides", engine.Bounds{Actions: []string{"*/read", rbac.RequestsDecide}})
	must(w.Requests.Decide(w.ctx, decides, d.Request.ID, true, "", d.Request.Digest))(t)
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user("anna", "")
	make := func(name string, ttl time.Duration) engine.APIToken {
		t.Helper()
		_, made, err := w.Directory.MakeAPIToken(w.ctx, anna, directory.APITokenInput{Name: name, TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	short, long := make("short", time.Hour), make("long", 365*24*time.Hour)
	for what, in := range map[string]directory.APITokenInput{
		"ttlOutOfRange": {Name: "x", TTL: 367 * 24 * time.Hour},
		"malformedName": {Name: " x"},
		"unknownAction": {Name: "x", Bounds: engine.Bounds{Actions: []string{"Microsoft.Nothing/at/all"}}},
		"malformedId":   {Name: "x", Bounds: engine.Bounds{Scope: "nowhere"}},
		"tokenExists":   {Name: "SHORT"},
	} {
		_, _, err := w.Directory.MakeAPIToken(w.ctx, anna, in)
		if access.CodeOf(err) != what && what != "malformedId" || err == nil {
			t.Errorf("%s: got %v (%s)", what, err, access.CodeOf(err))
		}
	}
	w.clock.advance(2 * time.Hour)
	_, err := w.Directory.APITokenCaller(w.ctx, short.Hash)
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
	must(w.Directory.APITokenCaller(w.ctx, long.Hash))(t)
	if list := must(w.Directory.APITokens(w.ctx, anna))(t); len(list) != 1 || list[0].ID != long.ID {
		t.Errorf("tokens %v", list)
	}
	disabled := true
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "anna", directory.PrincipalChange{Disabled: &disabled}))(t)
	_, err = w.Directory.APITokenCaller(w.ctx, long.Hash)
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
	disabled = false
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "anna", directory.PrincipalChange{Disabled: &disabled}))(t)
	_, err = w.Directory.APITokenCaller(w.ctx, long.Hash) // enabling gives nothing back
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
	_, again, err := w.Directory.MakeAPIToken(w.ctx, anna, directory.APITokenInput{Name: "long"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Directory.RevokeAPIToken(w.ctx, anna, "long"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Directory.APITokenCaller(w.ctx, again.Hash)
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
	wantCode(t, w.Directory.RevokeAPIToken(w.ctx, anna, "long"), access.KindNotFound, "unknownToken")
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// TestNetworks proves that a name stands for its prefixes at the moment of the request, in policies and in requests,
// and never for any address.
func TestNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	anna := w.user("anna", "JIT Access Requester")
	entry := sshPolicy()
	entry.Ports[0].Networks = []string{"office"}
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", entry, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy")
	_, err = w.Machines.SetNetwork(w.ctx, w.admin, "Office", prefixes("203.0.113.0/24", "ff00::/8"), nil)
	wantCode(t, err, access.KindInvalid, "malformedPrefix")
	must(w.Machines.SetNetwork(w.ctx, w.admin, "Office",
		prefixes("2001:db8::/48", "203.0.113.0/24", "203.0.113.0/24"), nil))(
		t)
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", entry, nil))(t)

	inside := must(w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour)))(t) // from the office
	from := func(sources []netip.Prefix, names ...string) requests.SubmitInput {
		in := ssh("web-1", time.Hour)
		in.Items[0].Port.Sources, in.Items[0].Networks = sources, names
		return in
	}
	_, err = w.Requests.Submit(w.ctx, anna, from(prefixes("198.51.100.7/32")))
	if access.KindOf(err) != access.KindInvalid {
		t.Errorf("from elsewhere: %v", err)
	}
	_, err = w.Requests.Submit(w.ctx, anna, from(nil, "nowhere"))
	wantCode(t, err, access.KindNotFound, "unknownNetwork")
	named := must(w.Requests.Submit(w.ctx, anna, from(nil, "OFFICE")))(t)
	if diff := cmp.Diff("[203.0.113.0/24 2001:db8::/48]",
		prefixesText(portOf(named.Request.Items[0].Target).Sources)); diff != "" || !slices.Equal(named.Request.Items[0].Networks,
		[]string{"OFFICE"}) {
		t.Errorf("recorded %v, sources: %s", named.Request.Items[0].Networks, diff)
	}

	// What was recorded stays when the name comes to mean something else.
	must(w.Machines.SetNetwork(w.ctx, w.admin, "office", prefixes("198.51.100.0/24"), nil))(t)
	_, err = w.Machines.SetNetwork(w.ctx, w.admin, "OFFICE", prefixes("0.0.0.0/0"), new(int64))
	wantCode(t, err, access.KindConflict, "networkExists")
	again := must(w.Requests.Request(w.ctx, anna, named.Request.ID))(t)
	if diff := cmp.Diff(prefixesText(portOf(named.Request.Items[0].Target).Sources),
		prefixesText(portOf(again.Request.Items[0].Target).Sources)); diff != "" {
		t.Error(diff)
	}
	if g := w.grant(inside.Grants[0].ID); g.State.Ended() && g.State != access.GrantSuperseded {
		t.Errorf("a grant became %s when a network changed", g.State)
	}
	_, err = w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour))
	if access.KindOf(err) != access.KindInvalid {
		t.Errorf("from what is no longer the office: %v", err)
	}

	err = w.Machines.DeleteNetwork(w.ctx, w.admin, "office")
	wantCode(t, err, access.KindConflict, "networkInUse")
	if e := (*access.Error)(nil); !asRefusal(err,
		&e) || len(e.Reasons) != 1 || !strings.Contains(e.Reasons[0].Field, "web-1 ports[0]") {
		t.Errorf("it does not say where: %+v", e)
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", sshPolicy(), nil))(t)
	if err := w.Machines.DeleteNetwork(w.ctx, w.admin, "office"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Machines.DeleteNetwork(w.ctx, w.admin, "office"), access.KindNotFound, "unknownNetwork")
	_, err = w.Machines.SetNetwork(w.ctx, anna, "mine", prefixes("0.0.0.0/0"), nil)
	wantCode(t, err, access.KindForbidden, "forbidden")
	for _, name := range []string{"", "me", "any", "1office", "a b", "2001:db8::1", "x/8", strings.Repeat("x", 65)} {
		_, err = w.Machines.SetNetwork(w.ctx, w.admin, name, prefixes("203.0.113.0/24"), nil)
		wantCode(t, err, access.KindInvalid, "malformedName")
	}
	_, err = w.Machines.SetNetwork(w.ctx, w.admin, "empty", nil, nil)
	wantCode(t, err, access.KindInvalid, "prefixesMissing")
}

func prefixesText(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func asRefusal(err error, to **access.Error) bool {
	e, ok := err.(*access.Error) //nolint:errorlint // the engine gives it as it is
	*to = e
	return ok
}

// TestNestedGroups proves that rights come down through groups in groups, that a group has members before they sign in,
// and that a circle is refused with the way round it.
func TestNestedGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	for _, name := range []string{"everybody", "operators", "night"} {
		must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: name}))(t)
	}
	anna := w.user("anna", "")
	for _, pair := range [][2]string{{"everybody", "operators"}, {"operators", "night"}, {"night", "anna"}} {
		if err := w.Directory.AddMember(w.ctx, w.admin, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "everybody", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	must(w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour)))(t)

	err := w.Directory.AddMember(w.ctx, w.admin, "night", "everybody")
	wantCode(t, err, access.KindInvalid, "membershipLoop")
	if want := `"night" is in "operators", "operators" is in "everybody"`; err == nil || !strings.Contains(err.Error(),
		want) {
		t.Errorf("got %v, want the way: %s", err, want)
	}
	wantCode(t, w.Directory.AddMember(w.ctx, w.admin, "night", "night"), access.KindInvalid, "membershipLoop")
	if err := w.Directory.RemoveMember(w.ctx, w.admin, "operators", "night"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindForbidden, "forbidden")
}

// TestDeletingAGroup proves that a group goes only when nothing names it, and that rights which came through it end
// with it.
func TestDeletingAGroup(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	anna := w.user("anna", "")
	w.group("shift", anna)
	everybody := w.group("everybody", w.dora)
	if err := w.Directory.AddMember(w.ctx, w.admin, "everybody", "shift"); err != nil {
		t.Fatal(err)
	}
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "everybody", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	held := must(w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour)))(t)
	held = must(w.decide(w.bob, held, true))(t)

	for group, field := range map[string]string{"ops": "policy of web-1", "everybody": "role assignment "} {
		err := w.Directory.DeleteGroup(w.ctx, w.admin, group)
		wantCode(t, err, access.KindConflict, "groupInUse")
		if e := (*access.Error)(nil); !asRefusal(err,
			&e) || len(e.Reasons) != 1 || !strings.HasPrefix(e.Reasons[0].Field, field) {
			t.Errorf("%s: it does not say where: %+v", group, e)
		}
	}
	wantCode(t, w.Directory.DeleteGroup(w.ctx, w.admin, "anna"), access.KindInvalid, "notAGroup")
	wantCode(t, w.Directory.DeleteGroup(w.ctx, anna, "shift"), access.KindForbidden, "forbidden")
	if err := w.Directory.DeleteGroup(w.ctx, w.admin, "shift"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Directory.DeleteGroup(w.ctx, w.admin, "shift"), access.KindNotFound, "unknownPrincipal")
	w.reconcile()
	if g := w.grant(held.Grants[0].ID); g.State != access.GrantRevoked {
		t.Errorf("what rested on a membership of the group is %s", g.State)
	}
	_, err := w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindForbidden, "forbidden")

	// A rule that names a group which is gone all the same, such as by a write at the same instant, lets nobody in.
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", oneOfOps(everybody), nil))(t)
	err = w.store.Update(w.ctx, func(tx engine.Tx) error {
		for _, a := range must(tx.Directory(w.ctx))(t).Assignments {
			if a.Principal == everybody {
				if err := tx.DeleteRoleAssignment(w.ctx, a.ID); err != nil {
					return err
				}
			}
		}
		return tx.DeleteGroup(w.ctx, everybody, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour))
	wantCode(t, err, access.KindInvalid, "quorumUnreachable")
}

func TestLeastPrivilegedRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	full := must(w.Roles.CreateLeastPrivilegedRole(w.ctx, w.admin,
		roles.LeastPrivilegedInput{Subscription: "default"}))(
		t)
	slim := must(w.Roles.CreateLeastPrivilegedRole(w.ctx, w.admin,
		roles.LeastPrivilegedInput{Name: "API", APIOnly: true}))(
		t)
	want := []string{
		"Microsoft.Security/locations/jitNetworkAccessPolicies/read",
		"Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action",
		"Microsoft.Security/policies/read", "Microsoft.Network/publicIPAddresses/read",
		"Microsoft.Compute/virtualMachines/read", "Microsoft.Network/*/read",
	}
	if diff := cmp.Diff(want,
		full.Permissions[0].Actions); diff != "" || full.Name != "JIT Access Role" ||
		full.Description != "Users that can enable access to Virtual Machines." {
		t.Errorf("%q %q %s", full.Name, full.Description, diff)
	}
	if diff := cmp.Diff(want[:4], slim.Permissions[0].Actions); diff != "" {
		t.Error(diff)
	}
	w.host("web-1")
	w.guard("web-1")
	anna := w.user("anna", "")
	_, err := w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "anna", Role: full.Name, Scope: access.Root})
	wantCode(t, err, access.KindInvalid, "notAssignableHere")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "anna", Role: full.Name}))(t)
	must(w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour)))(t)
	_, err = w.Roles.CreateLeastPrivilegedRole(w.ctx, w.admin, roles.LeastPrivilegedInput{})
	wantCode(t, err, access.KindConflict, "roleNameTaken")
	_, err = w.Roles.CreateLeastPrivilegedRole(w.ctx, w.admin, roles.LeastPrivilegedInput{Subscription: "other"})
	wantCode(t, err, access.KindNotFound, "unknownSubscription")
	_, err = w.Roles.CreateLeastPrivilegedRole(w.ctx, anna, roles.LeastPrivilegedInput{Name: "mine"})
	wantCode(t, err, access.KindForbidden, "forbidden")
}

// TestEnginePurges proves that a key holds for a week, and that what is over goes.
func TestEnginePurges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	in := ssh("web-1", time.Hour)
	in.IdempotencyKey = "once"
	first := must(w.Requests.Submit(w.ctx, w.admin, in))(t)
	must(w.Purge(w.ctx))(t)
	w.clock.advance(6 * 24 * time.Hour)
	must(w.Purge(w.ctx))(t)
	if again := must(w.Requests.Submit(w.ctx, w.admin, in))(t); again.Request.ID != first.Request.ID {
		t.Error("the key was forgotten too soon")
	}
	w.clock.advance(2 * 24 * time.Hour)
	if n := must(w.Purge(w.ctx))(t); n != 2 { // the key, and the host's enrolment token
		t.Errorf("purged %d", n)
	}
	if again := must(w.Requests.Submit(w.ctx, w.admin, in))(t); again.Request.ID == first.Request.ID {
		t.Error("the key was not forgotten")
	}
}

func TestSharedAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	anna, ben := w.user("anna", "JIT Access Requester"), w.user("ben", "JIT Access Requester")
	must(w.Requests.Submit(w.ctx, anna, ssh("web-1", time.Hour)))(t)
	must(w.Requests.Submit(w.ctx, anna, ssh("web-1", 2*time.Hour)))(t)
	if own := must(w.Machines.SharedAddress(w.ctx, anna))(t); own != 0 {
		t.Errorf("anna shares the address with %d", own)
	}
	if others := must(w.Machines.SharedAddress(w.ctx, ben))(t); others != 1 {
		t.Errorf("ben shares the address with %d", others)
	}
	w.clock.advance(25 * time.Hour)
	if others := must(w.Machines.SharedAddress(w.ctx, ben))(t); others != 0 {
		t.Errorf("a day later with %d", others)
	}
	ben.Address = netip.MustParseAddr("198.51.100.9")
	if others := must(w.Machines.SharedAddress(w.ctx, ben))(t); others != 0 {
		t.Errorf("elsewhere with %d", others)
	}
}
