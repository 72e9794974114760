package rbac_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// oracle decides by the book, with regular expressions and fixed points instead of indexes.
type oracle struct{ rbac.Data }

func (o oracle) check(principal access.PrincipalID, action string, scope access.ResourceID, now time.Time) bool {
	if slices.Contains(o.Disabled, principal) {
		return false
	}
	holders := o.holders(principal)
	return o.given(holders, action, scope, now) && !o.denied(holders, action, scope)
}

// holders gives a principal and the groups that it is in.
func (o oracle) holders(principal access.PrincipalID) map[access.PrincipalID]bool {
	holders := map[access.PrincipalID]bool{principal: true}
	for range o.Memberships {
		for _, m := range o.Memberships {
			if holders[m.Member] && !slices.Contains(o.Disabled, m.Group) {
				holders[m.Group] = true
			}
		}
	}
	return holders
}

func (o oracle) denied(holders map[access.PrincipalID]bool, action string, scope access.ResourceID) bool {
	holds := func(p access.PrincipalID) bool { return holders[p] }
	return slices.ContainsFunc(o.Denials, func(x rbac.DenyAssignment) bool {
		return under(scope,
			x.Scope) && (len(x.Principals) == 0 || slices.ContainsFunc(x.Principals,
			holds)) && !slices.ContainsFunc(x.Exclude, holds) &&
			slices.ContainsFunc(x.Permissions,
				func(p rbac.Permission) bool { return anyLike(p.Actions, action) && !anyLike(p.NotActions, action) })
	})
}

func under(scope, outer access.ResourceID) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSuffix(string(scope), "/")+"/"),
		strings.ToLower(strings.TrimSuffix(string(outer), "/")+"/"))
}

func (o oracle) given(holders map[access.PrincipalID]bool, action string, scope access.ResourceID, now time.Time) bool {
	for _, a := range o.Assignments {
		if !holders[a.Principal] || !a.Start.IsZero() && now.Before(a.Start) || !a.End.IsZero() && !now.Before(a.End) {
			continue
		}
		if !under(scope, a.Scope) {
			continue
		}
		if a.Through != "" && (a.Through == a.Principal || slices.Contains(o.Disabled,
			a.Principal) || !o.holders(a.Principal)[a.Through]) {
			continue
		}
		at, inside := o.owner(a.Scope)
		asked, below := o.owner(scope)
		if inside && at != a.Tenant || !inside && (a.Home != a.Tenant || below && asked != a.Tenant) {
			continue
		}
		for _, d := range o.Definitions {
			for _, p := range d.Permissions {
				if d.ID == a.Definition && anyLike(p.Actions, action) && !anyLike(p.NotActions, action) {
					return true
				}
			}
		}
	}
	return false
}

// owner gives whose subscription scope lies in, if it lies in one.
func (o oracle) owner(scope access.ResourceID) (access.TenantID, bool) {
	parts := strings.Split(strings.ToLower(string(scope)), "/")
	if len(parts) < 3 || parts[1] != "subscriptions" {
		return "", false
	}
	for _, s := range o.Subscriptions {
		if string(s.ID) == parts[2] {
			return s.Tenant, true
		}
	}
	return "", true
}

func anyLike(patterns []string, action string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, action) })
}

func like(pattern, action string) bool {
	return regexp.MustCompile(`(?is)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`).MatchString(
		action)
}

func drawData(t *rapid.T) rbac.Data {
	principal := rapid.SampledFrom([]access.PrincipalID{"a", "b", "c", "d", "e", "f"})
	text := rapid.StringMatching(`[aAbB/*]{1,6}`)
	patterns := rapid.SliceOfN(text, 0, 3)
	scope := rapid.SampledFrom([]access.ResourceID{
		"/", "/s", "/S/g", "/s/g/m", "/s/gg", "/t", "/subscriptions", "/subscriptions/one", "/subscriptions/ONE/g",
		"/subscriptions/two", "/subscriptions/none",
	})
	tenant := rapid.SampledFrom([]access.TenantID{"home", "other"})
	second := rapid.Custom(func(t *rapid.T) time.Time {
		n := rapid.IntRange(-1, 4).Draw(t, "second")
		if n < 0 {
			return time.Time{}
		}
		return noon().Add(time.Duration(n) * time.Second)
	})
	d := rbac.Data{
		Subscriptions: []access.Subscription{{ID: "one", Tenant: "home"}, {ID: "two", Tenant: "other"}},
		Disabled:      rapid.SliceOfN(principal, 0, 2).Draw(t, "disabled"),
	}
	for _, id := range []rbac.DefinitionID{"r1", "r2"} {
		d.Definitions = append(d.Definitions,
			rbac.Definition{ID: id, Permissions: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rbac.Permission {
				return rbac.Permission{
					Actions: patterns.Draw(t, "actions"), NotActions: patterns.Draw(t, "not"),
					DataActions: []string{"*"},
				}
			}), 0, 2).Draw(t, "permissions")})
	}
	d.Memberships = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rbac.Membership {
		return rbac.Membership{Group: principal.Draw(t, "group"), Member: principal.Draw(t, "member")}
	}), 0, 8).Draw(t, "memberships")
	d.Assignments = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rbac.Assignment {
		return rbac.Assignment{
			ID:         rbac.AssignmentID(rapid.StringMatching(`[a-z0-9]{8}`).Draw(t, "id")),
			Principal:  principal.Draw(t, "principal"),
			Definition: rapid.SampledFrom([]rbac.DefinitionID{"r1", "r2", "gone"}).Draw(t, "role"),
			Scope:      scope.Draw(t, "scope"),
			Through:    rapid.SampledFrom([]access.PrincipalID{"", "", "a", "b"}).Draw(t, "through"),
			Tenant:     tenant.Draw(t, "tenant"), Home: tenant.Draw(t, "home"), Start: second.Draw(t, "start"),
			End: second.Draw(t, "end"),
		}
	}), 0, 6).Draw(t, "assignments")
	d.Denials = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rbac.DenyAssignment {
		return rbac.DenyAssignment{
			ID: rbac.DenyID(rapid.StringMatching(`[a-z0-9]{8}`).Draw(t, "id")), Scope: scope.Draw(t, "scope"),
			Permissions: []rbac.Permission{{Actions: patterns.Draw(t, "actions"), NotActions: patterns.Draw(t, "not")}},
			Principals:  rapid.SliceOfN(principal, 0, 2).Draw(t, "principals"),
			Exclude:     rapid.SliceOfN(principal, 0, 2).Draw(t, "exclude"),
		}
	}), 0, 3).Draw(t, "denials")
	return d
}

func TestCheckEqualsOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := drawData(t)
		d := rbac.Compile(data)
		for range 10 {
			principal := rapid.SampledFrom([]access.PrincipalID{"a", "b", "c", "d", "e", "f", "stranger"}).Draw(t,
				"who")
			action := rapid.StringMatching(`[aAbB/]{1,6}`).Draw(t, "what")
			scope := rapid.SampledFrom([]access.ResourceID{
				"/", "/S", "/s/g", "/s/G/m", "/s/ggg", "/t/x", "/subscriptions", "/subscriptions/One/g/m",
				"/subscriptions/one", "/Subscriptions/two/g", "/subscriptions/none/g",
			}).Draw(t, "where")
			now := noon().Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "when")) * time.Second)
			got := d.Check(principal, action, scope, now)
			if want := (oracle{data}).check(principal, action, scope, now); got.Allowed != want {
				t.Fatalf("%s %s %s: got %+v, want %v", principal, action, scope, got, want)
			}
			listed := rbac.Reaches(d.Scopes(principal, action, now),
				scope) && !slices.ContainsFunc(d.Denied(principal, action), scope.Within)
			if listed != got.Allowed {
				t.Fatalf("%s %s %s: checked %v, listed %v", principal, action, scope, got.Allowed, listed)
			}
			leads := slices.ContainsFunc(data.Memberships, func(m rbac.Membership) bool { return m.Group == principal })
			if holds := slices.Contains(slices.Collect(d.Holders(action, scope, now)),
				principal); !leads && holds != got.Allowed {
				t.Fatalf("%s %s %s: got %+v, and among the holders: %v", principal, action, scope, got, holds)
			}
			if !got.Allowed {
				continue
			}
			// What is given as the reason must be one: the way leads from the principal to who holds the assignment.
			at := principal
			for _, next := range got.Via {
				if !slices.Contains(data.Memberships, rbac.Membership{Group: next, Member: at}) {
					t.Fatalf("%s is not in %s: %+v", at, next, got)
				}
				at = next
			}
			if !slices.ContainsFunc(data.Assignments, func(a rbac.Assignment) bool {
				return a.ID == got.Assignment && a.Principal == at && a.Definition == got.Definition && scope.Within(
					a.Scope)
			}) {
				t.Fatalf("the assignment of %+v is not one of %s", got, at)
			}
		}
	})
}

// TestUntilIsTheFirstGap holds Until against asking at each second.
func TestUntilIsTheFirstGap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := drawData(t)
		d := rbac.Compile(data)
		principal := rapid.SampledFrom([]access.PrincipalID{"a", "b", "c", "stranger"}).Draw(t, "who")
		scope := rapid.SampledFrom([]access.ResourceID{"/", "/s", "/s/g/m"}).Draw(t, "where")
		action := rapid.StringMatching(`[aAbB/]{1,6}`).Draw(t, "what")
		at := noon().Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "when")) * time.Second)
		got := d.Until(principal, action, scope, at)
		want := at
		for d.Check(principal, action, scope, want).Allowed {
			if want = want.Add(time.Second); want.After(noon().Add(time.Minute)) {
				want = time.Time{}
				break
			}
		}
		if !got.Equal(want) {
			t.Fatalf("%s may %s at %s from %s until %s, want %s", principal, action, scope, at, got, want)
		}
	})
}

func TestCompileDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := drawData(t)
		data.Assignments = slices.CompactFunc(data.Assignments, func(a, b rbac.Assignment) bool { return a.ID == b.ID })
		other := data
		other.Assignments = rapid.Permutation(data.Assignments).Draw(t, "assignments in another order")
		other.Memberships = rapid.Permutation(data.Memberships).Draw(t, "memberships in another order")
		a, b := rbac.Compile(data), rbac.Compile(other)
		for _, who := range []access.PrincipalID{"a", "b", "c", "d", "e", "f"} {
			x, y := a.Check(who, "a/b", "/s/g", noon()), b.Check(who, "a/b", "/s/g", noon())
			if x.Allowed != y.Allowed || x.Assignment != y.Assignment || !slices.Equal(x.Via,
				y.Via) || x.Reason != y.Reason {
				t.Fatalf("%s: %+v, in another order %+v", who, x, y)
			}
			if !slices.Equal(a.GroupsOf(who), b.GroupsOf(who)) || !slices.Equal(a.Members(who), b.Members(who)) {
				t.Fatalf("%s: groups or members depend on the order", who)
			}
		}
	})
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, action string
		want            bool
	}{
		{"*", "", true},
		{"*", "A.B/c/read", true},
		{"*/read", "A.B/c/READ", true},
		{"*/read", "A.B/c/readAll", false},
		{"A.B/*/read", "A.B/c/d/read", true},
		{"A.B/*/read", "A.B/read", false},
		{"A.B/c*c/read", "A.B/c/read", false}, // one c cannot be both
		{"*c*c*", "A.B/c/read", false},
		{"*c*c*", "A.B/cc/read", true},
		{"*c/*c*", "A.B/c/c/read", true},
		{"", "", true},
		{"", "a", false},
		{"a?b", "axb", false},
	} {
		if got := rbac.Match(tc.pattern, tc.action); got != tc.want {
			t.Errorf("Match(%q, %q) = %v", tc.pattern, tc.action, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("*/read", "Microsoft.Compute/virtualMachines/read")
	f.Add("Microsoft.Authorization/*/Delete", "microsoft.authorization/roleassignments/delete")
	f.Add("a*ab", "aab")
	f.Add("*a*b*", "xxbaxb")
	f.Fuzz(func(t *testing.T, pattern, action string) {
		if !ascii(pattern) || !ascii(action) {
			t.Skip("actions are ASCII")
		}
		if got, want := rbac.Match(pattern, action), like(pattern, action); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", pattern, action, got, want)
		}
	})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
