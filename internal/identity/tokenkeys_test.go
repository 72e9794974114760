package identity

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// settings keeps keys as the engine does.
type settings struct {
	mu   sync.Mutex // protects text
	text []byte
}

func (s *settings) TokenKeys(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text, nil
}

func (s *settings) SwapTokenKeys(_ context.Context, was, next []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(s.text, was) {
		return access.Fault(access.KindConflict, "keysChanged", "the token signing keys have changed in the meantime")
	}
	s.text = next
	return nil
}

// replica is an Identity that can do nothing but sign and verify.
func replica(s *settings, at *time.Time) *Identity {
	now := func() time.Time { return *at }
	return &Identity{now: now, tokens: &tokenKeys{engine: s, now: now}}
}

const here = "https://postern.example:8443"

func (i *Identity) mustSign(t *testing.T) string {
	t.Helper()
	token, err := i.sign(t.Context(), typeAccess, claims{Audience: here, Subject: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestReplicasShareKeys proves that each replica takes the other's tokens, over a change of keys, and nobody's old
// ones.
func TestReplicasShareKeys(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	s := &settings{}
	a, b := replica(s, &at), replica(s, &at)
	var wait sync.WaitGroup
	for _, i := range []*Identity{a, b} { // both find no key, and one is faster
		wait.Go(func() { i.mustSign(t) })
	}
	wait.Wait()
	first := a.mustSign(t)
	if _, err := b.verifyAccess(t.Context(), first, here); err != nil {
		t.Errorf("the other replica's token: %v", err)
	}
	at = at.Add(keyTime)
	second := b.mustSign(t)
	if strings.Split(first, ".")[0] == strings.Split(second, ".")[0] {
		t.Error("the key was not changed")
	}
	if said, err := a.verifyAccess(t.Context(), second, here); err != nil || said.Subject != "p" {
		t.Errorf("a token of a new key is %+v, %v", said, err)
	}
	at = at.Add(accessTime)
	if _, err := a.verifyAccess(t.Context(), second, here); access.CodeOf(err) != "accessTokenExpired" {
		t.Errorf("an expired token gave %v", err)
	}
}

func TestTokensOfAnotherKind(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	i := replica(&settings{}, &at)
	stranger := replica(&settings{}, &at)
	id, err := i.sign(t.Context(), typeID, claims{Audience: here})
	if err != nil {
		t.Fatal(err)
	}
	good := i.mustSign(t)
	for what, token := range map[string]string{
		"an id token": id, "a stranger's": stranger.mustSign(t), "nothing": "", "text": "x.y.z",
		"no signature":    good[:strings.LastIndex(good, ".")+1],
		"an unsigned one": "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(good, ".")[1] + ".",
		"a long one":      strings.Repeat("x", maxToken+1),
	} {
		if _, err := i.verifyAccess(t.Context(), token, here); access.KindOf(err) != access.KindUnauthenticated {
			t.Errorf("%s gave %v", what, err)
		}
	}
	if _, err := i.verifyAccess(t.Context(), good,
		"https://elsewhere.example"); access.CodeOf(err) != "accessTokenAudience" {
		t.Errorf("another audience gave %v", err)
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	for _, one := range []struct{ scope, resource string }{
		{"", ""},
		{here + "/.default", ""},
		{here + "//.default openid profile", ""},
		{"openid " + strings.ToUpper(here) + "/user_impersonation", ""},
		{"openid", here + "/"},
		// What programs have written into them of Azure Resource Manager.
		{"https://management.azure.com/.default", ""},
		{"https://management.azure.com//.default", ""},
		{"https://management.core.windows.net//user_impersonation openid", ""},
		{"", "https://management.azure.com/"},
		{"", "https://management.core.windows.net/"},
		{"", "https://Management.Azure.com"},
	} {
		if got, err := Audience("Postern.example:8443", one.scope, one.resource); err != nil || got != here {
			t.Errorf("%q %q is %q, %v", one.scope, one.resource, got, err)
		}
	}
	for _, scope := range []string{
		"https://graph.microsoft.com/.default",
		"https://management.azure.com.evil.example/.default", "http://management.azure.com/.default",
		"https://postern.example/.default", here + ".evil.example/.default",
	} {
		if got, err := Audience("postern.example:8443", scope, ""); err == nil {
			t.Errorf("%q is taken as %q", scope, got)
		}
	}
}

func TestTenantRef(t *testing.T) {
	t.Parallel()
	for authority, want := range map[string]string{
		"/adfs": "", "/adfs/adfs": "", "/adfs/T": "T", "/T": "T",
		"/common": "", "/Organizations": "",
	} {
		if got := TenantRef(authority); got != want {
			t.Errorf("%s is %q, want %q", authority, got, want)
		}
	}
	for path, want := range map[string]bool{
		"/adfs/oauth2/token": true, "/T/oauth2/v2.0/token": true, "/a/b/c/oauth2/token": false, "/oauth2/token": false,
		"/api/v1/me": false,
		"//adfs/.well-known/openid-configuration": true, "/adfs/oauth2/token/": true,
	} {
		if got := ServesOAuth(path); got != want {
			t.Errorf("%s is %t, want %t", path, got, want)
		}
	}
}

func FuzzVerifyAccess(f *testing.F) {
	at := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	i := &Identity{now: now, tokens: &tokenKeys{engine: &settings{}, now: now}}
	good, err := i.sign(context.Background(), typeAccess, claims{Audience: here})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := i.verifyAccess(t.Context(), token,
			here); err == nil && token != good && strings.Split(token, ".")[1] != strings.Split(good, ".")[1] {
			t.Errorf("%q is taken", token)
		}
	})
}

// TestTokensOfTheFuture verifies a token with a clock that is behind the one that made it.
func TestTokensOfTheFuture(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
	i := replica(&settings{}, &at)
	token := i.mustSign(t)
	made := at
	for behind, good := range map[time.Duration]bool{0: true, time.Minute: true, 2 * time.Minute: false} {
		at = made.Add(-behind)
		_, err := i.verifyAccess(t.Context(), token, here)
		if (err == nil) != good || err != nil && access.CodeOf(err) != "accessTokenInvalid" {
			t.Errorf("%s behind: %v, want it taken: %t", behind, err, good)
		}
	}
}
