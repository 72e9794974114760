package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestNobodyIsTakenForWhoIsCalledAlike holds that a name means one principal, to who asks whether it is their own as to
// who finds it: an identity provider may let people choose what they are called.
func TestNobodyIsTakenForWhoIsCalledAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("boss", "")
	alike := w.user("boſſ", "")
	for what, err := range map[string]error{
		"reads who they are":   second(w.Directory.Principal(w.ctx, alike, "boss")),
		"reads credentials":    second(w.Directory.CredentialsOf(w.ctx, alike, "boss")),
		"ends credentials":     w.Directory.EndCredentials(w.ctx, alike, "boss", nil),
		"reads identities":     second(w.Directory.ExternalIdentities(w.ctx, alike, "boss")),
		"revokes what is held": second(w.Requests.RevokePrincipal(w.ctx, alike, "boss", "")),
	} {
		if access.KindOf(err) != access.KindForbidden {
			t.Errorf("somebody called alike %s: %v", what, err)
		}
	}
	if p := must(w.Directory.Principal(w.ctx, alike, "BOſſ"))(t); p.ID != alike.Principal {
		t.Errorf("they themselves are %q", p.Name)
	}
}

func second[T any](_ T, err error) error { return err }
