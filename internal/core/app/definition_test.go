package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
)

func TestDefinitionIsRefusedWithEveryReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*app.Definition)
		want   []string
	}{
		"as it should be": {func(*app.Definition) {}, nil},
		"short name": {
			func(d *app.Definition) { d.Resource = "/subscriptions/x/y/ab" },
			[]string{"malformedName"},
		},
		"version":             {func(d *app.Definition) { d.Version = "1.4" }, []string{"malformedVersion"}},
		"version with a zero": {func(d *app.Definition) { d.Version = "01.4.0" }, []string{"malformedVersion"}},
		"nobody":              {func(d *app.Definition) { d.Authorizations = nil }, []string{"authorizationsMissing"}},
		"unmanaged needs nobody, and has nothing to activate": {
			func(d *app.Definition) { d.Authorizations, d.Unmanaged = nil, true }, []string{"unmanaged"},
		},
		"stranger, no role, twice": {func(d *app.Definition) {
			d.Authorizations = []app.Authorization{
				{Principal: "nobody", Role: rbac.Reader},
				{Principal: "vic", Role: "none"},
				{Principal: "vic", Role: "none"},
			}
		}, []string{"duplicateAuthorization", "unknownPrincipal", "unknownRole", "unknownRole"}},
		"a role of the publisher's own": {
			func(d *app.Definition) { d.Authorizations[0].Role = "own" },
			[]string{"customRole"},
		},
		"a role for giving roles": {
			func(d *app.Definition) { d.Authorizations[0].Role = rbac.UserAccessAdministrator },
			[]string{"roleGivesRoles"},
		},
		"ceilings": {
			func(d *app.Definition) { d.Authorizations[0].Longest, d.JIT.Longest = time.Minute, 25*time.Hour },
			[]string{"durationOutOfRange", "durationOutOfRange"},
		},
		"required but not there": {
			func(d *app.Definition) { d.JIT = app.Offer{Required: true} },
			[]string{"jitNotAvailable"},
		},
		"lock and actions": {
			func(d *app.Definition) { d.Lock, d.Allowed = "Open", []string{"", "what"} },
			[]string{"malformedAction", "malformedAction", "unknownLockLevel"},
		},
		"endpoint in the clear": {
			func(d *app.Definition) { d.Endpoint = "http://hooks.vendor.example" },
			[]string{"malformedEndpoint"},
		},
		"endpoint with a user": {
			func(d *app.Definition) { d.Endpoint = "https://a:b@hooks.vendor.example" }, []string{"malformedEndpoint"},
		},
		"template": {
			func(d *app.Definition) { d.Template = "[]" },
			[]string{"malformedTemplate"},
		},
		"form": {func(d *app.Definition) { d.Form = "{" }, []string{"malformedForm"}},
		"form asks for what is not offered": {
			func(d *app.Definition) { d.Form, d.JIT = form(generationB), app.Offer{} }, []string{"jitNotAvailable"},
		},
		"tags": {
			func(d *app.Definition) { d.Tags = map[string]string{"": "x"} },
			[]string{"malformedTag"},
		},
		"too long a document": {
			func(d *app.Definition) { d.Form = strings.Repeat(" ", app.MaxDocument+1) }, []string{"documentTooLong"},
		},
	} {
		d := offer()
		tc.change(&d)
		if diff := cmp.Diff(tc.want, codes(d.Validate(known()))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSettingsAreRefusedWithEveryReason(t *testing.T) {
	t.Parallel()
	manual := func(change func(*app.Settings)) app.Settings {
		s := app.Settings{
			JIT: true, Mode: app.Manual, Longest: 2 * time.Hour,
			Approvers: []app.Approver{{ID: "ann", Kind: access.User}},
		}
		change(&s)
		return s
	}
	for name, tc := range map[string]struct {
		settings app.Settings
		offer    app.Offer
		want     []string
	}{
		"as they should be": {manual(func(*app.Settings) {}), offer().JIT, nil},
		"permanent":         {app.Settings{}, offer().JIT, nil},
		"not offered":       {manual(func(*app.Settings) {}), app.Offer{}, []string{"jitNotAvailable"}},
		"required":          {app.Settings{}, app.Offer{Available: true, Required: true}, []string{"jitRequired"}},
		"over the ceiling, and a mode that is none": {
			manual(func(s *app.Settings) { s.Longest, s.Mode = 5*time.Hour, "often" }), offer().JIT,
			[]string{"durationOutOfRange", "unknownMode"},
		},
		"too short": {
			manual(func(s *app.Settings) { s.Longest = time.Minute }), offer().JIT,
			[]string{"durationOutOfRange"},
		},
		"nobody approves": {
			manual(func(s *app.Settings) { s.Approvers = nil }), offer().JIT,
			[]string{"approversMissing"},
		},
		"who approves": {manual(func(s *app.Settings) {
			s.Approvers = []app.Approver{
				{ID: "gone", Kind: access.User},
				{ID: "robot", Kind: access.User},
				{ID: "oncall", Kind: access.User},
				{ID: "ann", Kind: access.User},
				{ID: "ann", Kind: access.User},
			}
		}), offer().JIT, []string{"approverKind", "approverNotAPerson", "duplicateApprover", "unknownApprover"}},
	} {
		if diff := cmp.Diff(tc.want, codes(tc.settings.Validate(tc.offer, known()))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestNextVersion(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ was, asked, want, code string }{
		"the first": {"", "", "1.0.0", ""}, "as asked": {"", "0.9.0", "0.9.0", ""},
		"the next patch": {"1.4.9", "", "1.4.10", ""},
		"higher":         {"1.9.0", "1.10.0", "1.10.0", ""}, "the same": {"1.4.0", "1.4.0", "", "versionNotRaised"},
		"lower": {"1.4.0", "1.3.9", "", "versionNotRaised"},
	} {
		got, err := app.NextVersion(tc.was, tc.asked)
		if got != tc.want || tc.code != "" && access.CodeOf(err) != tc.code || tc.code == "" && err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestDefaultsAreAzures(t *testing.T) {
	t.Parallel()
	if got, want := app.DefaultSettings(
		app.Offer{Available: true}), (app.Settings{
		JIT: true, Mode: app.Automatic,
		Longest: 8 * time.Hour,
	}); !got.Equal(want) {
		t.Errorf("got %+v", got)
	}
	if got := app.DefaultSettings(offer().JIT); got.Longest != 4*time.Hour {
		t.Errorf("the default goes beyond the ceiling: %+v", got)
	}
	if got := app.DefaultSettings(app.Offer{}); got.JIT {
		t.Errorf("what is not offered is the default: %+v", got)
	}
}

func TestJITIsTurnedOnLaterAndNeverOff(t *testing.T) {
	t.Parallel()
	on, off := app.Settings{JIT: true}, app.Settings{}
	if err := off.CheckMove(on); err != nil {
		t.Error(err)
	}
	if err := on.CheckMove(off); access.CodeOf(err) != "jitCannotBeTurnedOff" {
		t.Errorf("got %v", err)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	reads := []app.Authorization{{Principal: "ops", Role: rbac.Reader}, {Principal: "vic", Role: rbac.Reader}}
	jit := deployed(app.Settings{JIT: true, Mode: app.Automatic, Longest: 2 * time.Hour}).Rights()
	want := app.Rights{Permanent: reads, Eligible: []app.Authorization{
		{Principal: "ops", Role: rbac.Contributor, Longest: 2 * time.Hour},
		{Principal: "vic", Role: rbac.Owner, Longest: time.Hour},
	}}
	if diff := cmp.Diff(want, jit); diff != "" {
		t.Error(diff)
	}
	permanent := deployed(app.Settings{}).Rights()
	if len(permanent.Eligible) != 0 || len(permanent.Permanent) != 4 {
		t.Errorf("without JIT the roles are permanent: %+v", permanent)
	}
}

// TestLocks checks what the deny assignments come to, with everybody holding every right that a role can give.
func TestLocks(t *testing.T) {
	t.Parallel()
	for level, want := range map[app.LockLevel]map[string]bool{ // the actions of the customer's owner
		app.LockReadOnly: {
			rbac.MachinesRead: true, rbac.MachinesWrite: false, rbac.MachinesDelete: false, rbac.PoliciesWrite: false,
			rbac.RoleAssignmentsWrite: false,
			rbac.GrantsRevoke:         true, rbac.RequestsDecide: true, rbac.RequestsCancel: true,
			rbac.EnrollmentTokensWrite:                         true,
			"Microsoft.Compute/virtualMachines/restart/action": true, app.GroupDelete: false,
		},
		app.LockCanNotDelete: {
			rbac.MachinesWrite: true, rbac.MachinesDelete: false, rbac.PoliciesDelete: false,
			app.GroupDelete: false,
		},
		app.LockNone: {rbac.MachinesDelete: true, app.GroupDelete: false},
	} {
		a := deployed(app.Settings{JIT: true})
		a.Terms.Lock = level
		data := rbac.Data{
			Definitions: rbac.BuiltIn(), Denials: a.Locks(),
			Memberships: []rbac.Membership{{Group: "ops", Member: "olga"}},
		}
		for i := range data.Denials {
			data.Denials[i].ID = rbac.DenyID(rune('a' + i))
		}
		for _, who := range []access.PrincipalID{"ann", "vic", "olga"} {
			data.Assignments = append(data.Assignments,
				rbac.Assignment{ID: rbac.AssignmentID(who), Principal: who, Definition: rbac.Owner, Scope: access.Root})
		}
		dir := rbac.Compile(data)
		for action, allowed := range want {
			if got := dir.Check("ann", action, host, noon()); got.Allowed != allowed {
				t.Errorf("%s: the customer's owner, %s: %+v", level, action, got)
			}
		}
		for _, who := range []access.PrincipalID{"vic", "olga"} {
			for action, allowed := range map[string]bool{
				rbac.MachinesWrite: true, rbac.PoliciesWrite: true, rbac.RoleAssignmentsWrite: false,
				rbac.RoleAssignmentsDelete: false, rbac.GlassCodesWrite: false, app.GroupDelete: false,
			} {
				if got := dir.Check(who, action, host, noon()); got.Allowed != allowed {
					t.Errorf("%s: the publisher's %s, %s: %+v", level, who, action, got)
				}
			}
		}
		if !dir.Check("ann", rbac.MachinesDelete,
			"/subscriptions/0a0a0a0a-0000-4000-8000-000000000000/resourceGroups/other", noon()).Allowed {
			t.Errorf("%s reaches beyond the managed resource group", level)
		}
	}
}

func TestRule(t *testing.T) {
	t.Parallel()
	if !(app.Settings{
		JIT: true, Mode: app.Automatic,
		Approvers: []app.Approver{{ID: "ann", Kind: access.User}},
	}).Rule().Automatic() {
		t.Error("automatic settings ask somebody")
	}
	rule := app.Settings{
		JIT: true, Mode: app.Manual,
		Approvers: []app.Approver{{ID: "ann", Kind: access.User}, {ID: "oncall", Kind: access.Group}},
	}.Rule()
	want := []access.Quorum{{Count: 1, People: []access.PrincipalID{"ann"}, Groups: []access.PrincipalID{"oncall"}}}
	if diff := cmp.Diff(want, rule.Cases[0].Stages[0].AllOf); diff != "" {
		t.Error(diff)
	}
}
