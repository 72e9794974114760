package rbac_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

const (
	sub     access.ResourceID = "/subscriptions/6F0C1A52-4A1E-4B8E-9A57-0D6B3C2F9E10"
	group                     = sub + "/resourceGroups/ops"
	machine                   = group + "/providers/Microsoft.Compute/virtualMachines/web-1"
)

func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

func assign(principal access.PrincipalID, role rbac.DefinitionID, scope access.ResourceID) rbac.Assignment {
	return rbac.Assignment{
		ID: rbac.AssignmentID(fmt.Sprintf("%s/%s/%s", principal, role, scope)), Principal: principal,
		Definition: role, Scope: scope,
	}
}

// subscriptions is that of sub, of the tenant that has no name here.
func subscriptions() []access.Subscription {
	return []access.Subscription{{ID: sub.InSubscription()}}
}

func directory(assignments []rbac.Assignment, memberships []rbac.Membership,
	disabled ...access.PrincipalID,
) *rbac.Directory {
	return rbac.Compile(rbac.Data{
		Subscriptions: subscriptions(), Definitions: rbac.BuiltIn(), Assignments: assignments,
		Memberships: memberships, Disabled: disabled,
	})
}

// custom is a directory in which ann holds one role of these permissions at the root.
func custom(permissions ...rbac.Permission) *rbac.Directory {
	return rbac.Compile(rbac.Data{
		Subscriptions: subscriptions(), Definitions: []rbac.Definition{{ID: "custom", Permissions: permissions}},
		Assignments: []rbac.Assignment{assign("ann", "custom", access.Root)},
	})
}

func TestBuiltInRoles(t *testing.T) {
	t.Parallel()
	// What each role may do of all that Postern checks.
	const (
		no = iota
		yes
	)
	type row struct{ owner, contributor, reader, uaa, secAdmin, secReader, requester int }
	table := map[string]row{
		rbac.PoliciesRead:          {yes, yes, yes, yes, yes, yes, yes},
		rbac.PoliciesWrite:         {yes, yes, no, no, yes, no, no},
		rbac.PoliciesDelete:        {yes, yes, no, no, yes, no, no},
		rbac.PoliciesInitiate:      {yes, yes, no, no, yes, no, yes},
		rbac.MachinesRead:          {yes, yes, yes, yes, yes, yes, yes},
		rbac.MachinesWrite:         {yes, yes, no, no, no, no, no},
		rbac.MachinesDelete:        {yes, yes, no, no, no, no, no},
		rbac.InterfacesRead:        {yes, yes, yes, yes, no, no, no},
		rbac.PublicIPsRead:         {yes, yes, yes, yes, no, no, yes},
		rbac.AssessmentsRead:       {yes, yes, yes, yes, yes, yes, no},
		rbac.PricingsRead:          {yes, yes, yes, yes, yes, yes, no},
		rbac.PricingsWrite:         {yes, yes, no, no, yes, no, no},
		rbac.SecurityPoliciesRead:  {yes, yes, yes, yes, yes, yes, no},
		rbac.SecurityPoliciesWrite: {yes, no, no, no, yes, no, no},
		rbac.RoleAssignmentsRead:   {yes, yes, yes, yes, yes, yes, no},
		rbac.RoleAssignmentsWrite:  {yes, no, no, yes, no, no, no},
		rbac.RoleAssignmentsDelete: {yes, no, no, yes, no, no, no},
		rbac.RoleDefinitionsRead:   {yes, yes, yes, yes, yes, yes, no},
		rbac.RoleDefinitionsWrite:  {yes, no, no, yes, no, no, no},
		rbac.RoleDefinitionsDelete: {yes, no, no, yes, no, no, no},
		rbac.SubscriptionsRead:     {yes, yes, yes, yes, yes, yes, no},
		rbac.ResourceGroupsRead:    {yes, yes, yes, yes, yes, yes, no},
		rbac.ResourceGroupsWrite:   {yes, yes, no, no, no, no, no},
		rbac.EligibilitiesRead:     {yes, yes, yes, yes, yes, yes, no},
		rbac.EligibilitiesWrite:    {yes, no, no, yes, no, no, no},
		rbac.RoleActivate:          {yes, no, no, yes, no, no, no},
		rbac.DenyAssignmentsRead:   {yes, yes, yes, yes, yes, yes, no},
		rbac.AppDefinitionsRead:    {yes, yes, yes, yes, no, no, no},
		rbac.AppDefinitionsWrite:   {yes, yes, no, no, no, no, no},
		rbac.AppDefinitionsDelete:  {yes, yes, no, no, no, no, no},
		rbac.ApplicationsRead:      {yes, yes, yes, yes, no, no, no},
		rbac.ApplicationsWrite:     {yes, yes, no, no, no, no, no},
		rbac.ApplicationsDelete:    {yes, yes, no, no, no, no, no},
		rbac.ApplicationsRefresh:   {yes, yes, no, no, no, no, no},
		rbac.SubscriptionsWrite:    {yes, yes, no, no, no, no, no},
		rbac.ResourceGroupsDelete:  {yes, yes, no, no, no, no, no},
		rbac.ActivityLogRead:       {yes, yes, yes, yes, yes, yes, no},
		rbac.RequestsRead:          {yes, yes, yes, yes, yes, yes, no},
		rbac.RequestsDecide:        {yes, yes, no, no, yes, no, no},
		rbac.RequestsCancel:        {yes, yes, no, no, yes, no, no},
		rbac.GrantsRead:            {yes, yes, yes, yes, yes, yes, no},
		rbac.GrantsRevoke:          {yes, yes, no, no, yes, no, no},
		rbac.AgentsRead:            {yes, yes, yes, yes, yes, yes, no},
		rbac.EnrollmentTokensWrite: {yes, yes, no, no, no, no, no},
		rbac.GatewaysJoin:          {yes, yes, no, no, no, no, no},
		rbac.TenantsRead:           {yes, yes, yes, yes, yes, yes, no},
		rbac.TenantsWrite:          {yes, no, no, no, no, no, no},
		rbac.PrincipalsRead:        {yes, yes, yes, yes, yes, yes, no},
		rbac.PrincipalsWrite:       {yes, no, no, yes, no, no, no},
		rbac.AccessReviewsRead:     {yes, yes, yes, yes, yes, yes, no},
		rbac.AccessReviewsWrite:    {yes, no, no, yes, no, no, no},
		rbac.AccessReviewsDecide:   {yes, yes, no, no, no, no, no},
		rbac.EventsRead:            {yes, yes, yes, yes, yes, yes, no},
		rbac.ChannelsRead:          {yes, yes, yes, yes, yes, yes, no},
		rbac.ChannelsWrite:         {yes, yes, no, no, no, no, no},
		rbac.RoutesRead:            {yes, yes, yes, yes, yes, yes, no},
		rbac.RoutesWrite:           {yes, yes, no, no, no, no, no},
		rbac.DeliveriesRead:        {yes, yes, yes, yes, yes, yes, no},
		rbac.DeliveriesRequeue:     {yes, yes, no, no, no, no, no},
		rbac.AlertsRead:            {yes, yes, yes, yes, yes, yes, no},
		rbac.AlertsWrite:           {yes, yes, no, no, yes, no, no},
		rbac.NetworksRead:          {yes, yes, yes, yes, yes, yes, no},
		rbac.NetworksWrite:         {yes, yes, no, no, yes, no, no},
		rbac.GlassCodesWrite:       {yes, yes, no, no, no, no, no},
		rbac.AlertRulesWrite:       {yes, yes, no, no, yes, no, no},
	}
	for _, action := range rbac.Actions() {
		want, ok := table[action]
		if !ok {
			t.Errorf("action %s is missing in this table", action)
			continue
		}
		for role, allowed := range map[rbac.DefinitionID]int{
			rbac.Owner: want.owner, rbac.Contributor: want.contributor, rbac.Reader: want.reader,
			rbac.UserAccessAdministrator: want.uaa,
			rbac.SecurityAdmin:           want.secAdmin, rbac.SecurityReader: want.secReader,
			rbac.JITAccessRequester: want.requester,
		} {
			d := directory([]rbac.Assignment{assign("ann", role, sub)}, nil)
			if got := d.Check("ann", action, machine, noon()); got.Allowed != (allowed == yes) {
				t.Errorf("%s with role %s: allowed %v (%s)", action, role, got.Allowed, got.Reason)
			}
		}
	}
	if len(table) != len(rbac.Actions()) {
		t.Errorf("the table has %d actions, Actions has %d", len(table), len(rbac.Actions()))
	}
	for _, d := range rbac.BuiltIn() {
		if reasons := rbac.ValidateDefinition(d); reasons != nil {
			t.Errorf("built-in role %s: %v", d.Name, reasons)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		assigned, asked access.ResourceID
		want            bool
	}{
		{access.Root, machine, true},
		{access.Root, access.Root, true},
		{sub, machine, true},
		{"/SUBSCRIPTIONS/6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10/RESOURCEGROUPS/OPS", machine, true},
		{machine, machine, true},
		{machine, group, false},
		{sub, access.Root, false},
		{group, group + "-2", false}, // not at a segment boundary
		{group, sub + "/resourceGroups/other", false},
		{"", machine, false}, // an assignment without a scope gives nothing
		{"/subscriptions//x", "/subscriptions//x/y", false},
		{access.Root, "", false},
		{access.Root, "subscriptions", false},
	} {
		d := directory([]rbac.Assignment{assign("ann", rbac.Owner, tc.assigned)}, nil)
		if got := d.Check("ann", rbac.MachinesRead, tc.asked, noon()); got.Allowed != tc.want {
			t.Errorf("assigned at %q, asked at %q: %+v", tc.assigned, tc.asked, got)
		}
	}
}

func TestTimeBounds(t *testing.T) {
	t.Parallel()
	start, end := noon(), noon().Add(time.Hour)
	bounded := assign("ann", rbac.Owner, sub)
	bounded.Start, bounded.End = start, end
	d := directory([]rbac.Assignment{bounded}, nil)
	for at, want := range map[time.Time]bool{start.Add(-1): false, start: true, end.Add(-1): true, end: false} {
		got := d.Check("ann", rbac.MachinesRead, machine, at)
		if got.Allowed != want {
			t.Errorf("at %v: %+v", at, got)
		}
		if !want && got.Reason != "a role that has the action is assigned here, but not for now" {
			t.Errorf("at %v: reason %q", at, got.Reason)
		}
	}
}

func TestNotActions(t *testing.T) {
	t.Parallel()
	// What one assignment's notActions take, another may still give; within one role each Permission stands alone.
	two := directory([]rbac.Assignment{
		assign("ann", rbac.Contributor, sub),
		assign("ann", rbac.UserAccessAdministrator, group),
	},
		nil)
	if got := two.Check("ann", rbac.RoleAssignmentsWrite, machine,
		noon()); !got.Allowed || got.Definition != rbac.UserAccessAdministrator {
		t.Errorf("contributor and user access administrator: %+v", got)
	}
	if got := two.Check("ann", rbac.RoleAssignmentsWrite, sub, noon()); got.Allowed {
		t.Errorf("above the second assignment: %+v", got)
	}
	one := custom(rbac.Permission{Actions: []string{"*"}, NotActions: []string{"*/delete"}},
		rbac.Permission{Actions: []string{"A.B/c/delete"}})
	for action, want := range map[string]bool{"A.B/c/delete": true, "A.B/d/delete": false, "A.B/d/write": true} {
		if got := one.Check("ann", action, sub, noon()); got.Allowed != want {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

func TestDataActions(t *testing.T) {
	t.Parallel()
	d := custom(rbac.Permission{
		Actions: []string{"*"}, DataActions: []string{"A.B/*"},
		NotDataActions: []string{"*/delete"},
	})
	for action, want := range map[string]bool{"A.B/c/read": true, "A.B/c/delete": false, "C.D/e/read": false} {
		if got := d.CheckData("ann", action, sub, noon()); got.Allowed != want {
			t.Errorf("data action %s: %+v", action, got)
		}
	}
	if got := directory([]rbac.Assignment{assign("ann", rbac.Owner, sub)}, nil).CheckData("ann", "A.B/c/read", sub,
		noon()); got.Allowed {
		t.Errorf("control-plane wildcard covers a data action: %+v", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	memberships := []rbac.Membership{
		{Group: "team", Member: "ann"},
		{Group: "team", Member: "bob"},
		{Group: "ops", Member: "team"},
		{Group: "all", Member: "ops"},
		{Group: "team", Member: "all"}, // a cycle
		{Group: "ops", Member: "bob"},
		{Group: "empty", Member: "nobody"},
	}
	assignments := []rbac.Assignment{assign("all", rbac.Reader, sub)}

	d := directory(assignments, memberships)
	got := d.Check("ann", rbac.MachinesRead, machine, noon())
	want := rbac.Decision{
		Allowed: true, Assignment: assignments[0].ID, Definition: rbac.Reader,
		Via:    []access.PrincipalID{"team", "ops", "all"},
		Reason: "role Reader assigned at " + string(sub),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ann (-want +got):\n%s", diff)
	}
	if got := d.Check("bob", rbac.MachinesRead, machine,
		noon()); !cmp.Equal(got.Via, []access.PrincipalID{"ops", "all"}) {
		t.Errorf("bob goes the long way: %v", got.Via)
	}
	if got := d.GroupsOf("ann"); !cmp.Equal(got, []access.PrincipalID{"team", "ops", "all"}) {
		t.Errorf("groups of ann: %v", got)
	}
	if got := d.Members("all"); !cmp.Equal(got, []access.PrincipalID{"ann", "bob"}) {
		t.Errorf("members of all: %v", got)
	}

	broken := directory(assignments, memberships, "ops", "bob")
	if got := broken.Check("ann", rbac.MachinesRead, machine, noon()); got.Allowed {
		t.Errorf("through a disabled group: %+v", got)
	}
	if got := broken.GroupsOf("ann"); !cmp.Equal(got, []access.PrincipalID{"team"}) {
		t.Errorf("groups of ann behind a disabled group: %v", got)
	}
	if got := broken.Members("team"); !cmp.Equal(got, []access.PrincipalID{"ann"}) {
		t.Errorf("members of team with bob and ops disabled: %v", got)
	}
	if got := broken.Members("ops"); got != nil {
		t.Errorf("members of a disabled group: %v", got)
	}
	if got := directory([]rbac.Assignment{assign("ann", rbac.Owner, access.Root)}, nil, "ann").Check("ann",
		rbac.MachinesRead, machine, noon()); got.Allowed || got.Reason != "the principal is disabled" {
		t.Errorf("a disabled principal: %+v", got)
	}
}

func TestScopesOf(t *testing.T) {
	t.Parallel()
	d := directory([]rbac.Assignment{
		assign("ann", rbac.Reader, group), assign("ann", rbac.Reader, machine),
		assign("ann", rbac.Owner, "/subscriptions/b"),
		assign("ann", rbac.JITAccessRequester, "/subscriptions/c"), assign("team", rbac.Reader, "/subscriptions/a"),
	}, []rbac.Membership{{Group: "team", Member: "ann"}})
	want := []access.ResourceID{group, "/subscriptions/a", "/subscriptions/b"}
	if diff := cmp.Diff(want, d.Scopes("ann", rbac.RequestsRead, noon())); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
}

// A check remembers what it found of the first 64 roles only.
func TestManyRoles(t *testing.T) {
	t.Parallel()
	var data rbac.Data
	for i := range 70 {
		id := rbac.DefinitionID(fmt.Sprintf("role-%02d", i))
		data.Definitions = append(data.Definitions,
			rbac.Definition{
				ID:          id,
				Permissions: []rbac.Permission{{Actions: []string{fmt.Sprintf("A.B/c%02d/read", i)}}},
			})
		data.Assignments = append(data.Assignments, assign("ann", id, sub), assign("ann", id, group))
	}
	d := rbac.Compile(data)
	for i := range 71 {
		if got := d.Check("ann", fmt.Sprintf("A.B/c%02d/read", i), machine, noon()); got.Allowed != (i < 70) {
			t.Errorf("role %d: %+v", i, got)
		}
	}
}

// TestRolesAboveSubscriptionsEndAtTheTenant holds a role at the root against a subscription of somebody else.
func TestRolesAboveSubscriptionsEndAtTheTenant(t *testing.T) {
	t.Parallel()
	owner := assign("ann", rbac.Owner, access.Root)
	owner.Tenant, owner.Home = "ours", "ours"
	d := rbac.Compile(rbac.Data{
		Subscriptions: []access.Subscription{
			{ID: "00000000-0000-0000-0000-000000000001", Tenant: "ours"},
			{ID: "00000000-0000-0000-0000-000000000002", Tenant: "theirs"},
		},
		Definitions: rbac.BuiltIn(), Assignments: []rbac.Assignment{owner},
	})
	for scope, want := range map[access.ResourceID]bool{
		access.Root: true,
		"/subscriptions/00000000-0000-0000-0000-000000000001":                  true,
		"/subscriptions/00000000-0000-0000-0000-000000000002":                  false,
		"/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/a": false,
		"/subscriptions/00000000-0000-0000-0000-000000000003":                  false,
	} {
		if got := d.Check("ann", rbac.MachinesRead, scope, noon()); got.Allowed != want {
			t.Errorf("Owner at the root of its tenant, at %s: %+v", scope, got)
		}
	}
}

// TestUntilStopsAtAGap has a second assignment that begins only after the first has ended.
func TestUntilStopsAtAGap(t *testing.T) {
	t.Parallel()
	first, second := assign("ann", rbac.Owner, sub), assign("ann", rbac.Contributor, sub)
	first.End = noon().Add(time.Hour)
	for name, c := range map[string]struct{ start, end, want time.Time }{
		"without a gap":                {first.End, noon().Add(3 * time.Hour), noon().Add(3 * time.Hour)},
		"after a gap":                  {first.End.Add(time.Second), noon().Add(3 * time.Hour), first.End},
		"after a gap, without an end":  {first.End.Add(time.Second), time.Time{}, first.End},
		"before the end, without one":  {first.End.Add(-time.Second), time.Time{}, time.Time{}},
		"within the first, ended soon": {noon(), noon().Add(time.Minute), first.End},
	} {
		second.Start, second.End = c.start, c.end
		d := directory([]rbac.Assignment{first, second}, nil)
		if got := d.Until("ann", rbac.MachinesRead, sub, noon()); !got.Equal(c.want) {
			t.Errorf("%s: until %s, want %s", name, got, c.want)
		}
	}
}
