package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// client is a service principal with a certificate.
type client struct {
	key         *ecdsa.PrivateKey
	credentials directory.ClientCredentials
}

func newClient(tb testing.TB) client {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0),
		NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return client{
		key,
		directory.ClientCredentials{Secrets: []engine.Secret{
			{ID: "other", Hash: "x"},
			{ID: "mine", Certificate: string(text)},
		}},
	}
}

func (c client) assert(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		tb.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return compact
}

const tokenURL = "https://postern.example/adfs/oauth2/token"

// TestAssertions holds what a client's assertion must say beside being signed with its certificate's key.
func TestAssertions(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	i := &Identity{now: func() time.Time { return now }}
	c, other := newClient(t), newClient(t)
	at := func(d time.Duration) float64 { return float64(now.Add(d).Unix()) }
	for what, one := range map[string]struct {
		by     client
		change map[string]any
		proves bool
	}{
		"right":                {c, nil, true},
		"times with fractions": {c, map[string]any{"exp": at(10*time.Minute) + 0.25, "nbf": at(0) + 0.25}, true},
		"a list of audiences": {
			c,
			map[string]any{"aud": []string{"https://elsewhere.example", tokenURL + "/"}},
			true,
		},
		"clock a little ahead":        {c, map[string]any{"nbf": at(30 * time.Second)}, true},
		"another's key":               {other, nil, false},
		"another issuer":              {c, map[string]any{"iss": "b"}, false},
		"another subject":             {c, map[string]any{"sub": "b"}, false},
		"another audience":            {c, map[string]any{"aud": "https://login.microsoftonline.com/x"}, false},
		"no audience":                 {c, map[string]any{"aud": nil}, false},
		"expired":                     {c, map[string]any{"exp": at(0)}, false},
		"good for ever":               {c, map[string]any{"exp": at(24 * time.Hour)}, false},
		"without an end":              {c, map[string]any{"exp": nil}, false},
		"an end that is text":         {c, map[string]any{"exp": "soon"}, false},
		"an end beyond all numbers":   {c, map[string]any{"exp": 1e300}, false},
		"a beginning that is to come": {c, map[string]any{"nbf": at(5 * time.Minute)}, false},
	} {
		claims := map[string]any{"iss": "a", "sub": "a", "aud": tokenURL, "exp": at(10 * time.Minute), "nbf": at(0)}
		maps.Copy(claims, one.change)
		proof, proven := i.proveByCertificate(c.credentials, "a", one.by.assert(t, claims), tokenURL)
		if proven != one.proves || proven && proof.Secret.ID != "mine" {
			t.Errorf("%s proves %t by %q", what, proven, proof.Secret.ID)
		}
	}
}

func FuzzAssertion(f *testing.F) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	i := &Identity{now: func() time.Time { return now }}
	c := newClient(f)
	f.Add(c.assert(f, map[string]any{"iss": "a", "sub": "a", "aud": tokenURL, "exp": now.Add(24 * time.Hour).Unix()}))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		if proof, proven := i.proveByCertificate(c.credentials, "a", text, tokenURL); proven {
			t.Errorf("%q proves %+v, which nobody signed", text, proof)
		}
	})
}
