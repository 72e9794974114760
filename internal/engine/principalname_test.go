package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// TestDeceptiveNames proves that nobody gets a name that looks like another, and that names of all languages are taken.
func TestDeceptiveNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{
		".", "..", "me", "Me", "ME", "an\u200bna", "anna\u202e", "\u2066anna", "anna\ufe0f",
		"аnna", "annа", "Αnna", "anna@evil", "an\u00adna", "anna\u2028", "ann\ufeffa", "anna\u3164",
	} {
		_, err := w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.User, Name: name})
		wantCode(t, err, access.KindInvalid, "malformedName")
	}
	for _, name := range []string{
		"anna", "Ann-Marie O'Neil", "anna@contoso.example", "Анна Каренина", "Ελένη", "村上 春樹",
		"Zoë", "søren_2", "اَحمد", "user of login.example (2)", "Борис (Boris)",
	} {
		if _, err := w.Directory.CreatePrincipal(w.ctx, w.admin,
			directory.PrincipalInput{Kind: access.User, Name: name}); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
}

// TestNoNameStandsForTheCaller proves that nobody is called by a word that calls take for whoever makes them, and no
// tenant: neither by an administrator's will nor by a provider's.
func TestNoNameStandsForTheCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"mine", "Mine", "MINE"} {
		_, err := w.Directory.CreateTenant(w.ctx, w.admin, directory.TenantInput{Name: name, PasswordHash: "x"})
		wantCode(t, err, access.KindInvalid, "reservedName")
	}
	for i, name := range []string{"me", "Me", " mE "} {
		p := must(w.Directory.SignInExternally(w.ctx, directory.ExternalSignIn{
			Tenant: w.admin.Tenant, Issuer: "https://login.example", Subject: name, Name: name,
			Session: engine.Session{Hash: name, CreatedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour)},
			Address: office, Via: "portal",
		}))(t)
		if want := []string{
			"user of login.example", "user of login.example (login.example)", "user of login.example (login.example) 2",
		}[i]; p.Name != want {
			t.Errorf("a provider's %q is called %q, want %q", name, p.Name, want)
		}
	}
}

// TestDeceptiveDisplayNames holds that what people are shown beside names turns nothing round and hides nothing,
// whoever says it, and that the joiners of some languages may stand in it.
func TestDeceptiveDisplayNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for text, fine := range map[string]bool{
		"Anna Müller": true, "می\u200cخواهم": true, "李 小龍": true, "": true,
		"anna\u202enimda": false, "an\u200bna": false, "anna\x1b[2J": false, "anna\nowner": false, "anna\u0085": false,
		"anna\u2066": false,
	} {
		_, err := w.Directory.CreatePrincipal(w.ctx, w.admin,
			directory.PrincipalInput{Kind: access.Group, Name: fmt.Sprintf("%x", text) + "g", DisplayName: text})
		if (err == nil) != fine {
			t.Errorf("created with %q: %v", text, err)
		}
		p := must(w.Directory.SignInExternally(w.ctx, directory.ExternalSignIn{
			Tenant: w.admin.Tenant, Issuer: "https://login.example", Subject: text + "s",
			Name: fmt.Sprintf("%x", text) + "u", DisplayName: text,
			Session: engine.Session{Hash: text, CreatedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour)},
			Address: office, Via: "portal",
		}))(t)
		if (p.DisplayName == text) != fine {
			t.Errorf("a provider's %q is taken as %q", text, p.DisplayName)
		}
	}
}

// TestWordsSteerNothing holds that control characters of either kind, of which terminals take both, get neither into
// labels nor into what an agent says of itself.
func TestWordsSteerNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	for _, r := range []string{"\x1b", "\x7f", "\u0085", "\u009b"} {
		_, err := w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": r + "31m"}, nil)
		wantCode(t, err, access.KindInvalid, "malformedLabel")
	}
	w.report(host.Agent.ID, access.Report{Problem: "a\u009b31m\x1b[2J\u202eb\u2066\u2028c"})
	agents := must(w.Machines.Agents(w.ctx, w.admin, engine.Page{}))(t)
	if got := agents.Items[0].Problem; got != "a 31m [2J b  c" {
		t.Errorf("the problem is %q", got)
	}
}
