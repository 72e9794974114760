package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestDeceptiveNames proves that nobody gets a name that looks like another, and that names of all languages are taken.
func TestDeceptiveNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{".", "..", "an\u200bna", "anna\u202e", "\u2066anna", "anna\ufe0f", "аnna", "annа", "Αnna", "anna@evil", "an\u00adna", "anna\u2028", "ann\ufeffa", "anna\u3164"} {
		_, err := w.CreatePrincipal(w.ctx, w.admin, engine.PrincipalInput{Kind: access.User, Name: name})
		wantCode(t, err, access.KindInvalid, "malformedName")
	}
	for _, name := range []string{"anna", "Ann-Marie O'Neil", "anna@contoso.example", "Анна Каренина", "Ελένη", "村上 春樹", "Zoë", "søren_2", "اَحمد", "user of login.example (2)", "Борис (Boris)"} {
		if _, err := w.CreatePrincipal(w.ctx, w.admin, engine.PrincipalInput{Kind: access.User, Name: name}); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
}
