package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

// TestKeysOfOtherTools holds that a key of an authority is read in the forms in which openssl writes it.
func TestKeysOfOtherTools(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := encodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	own := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	for name, text := range map[string][]byte{
		"SEC 1": own, "SEC 1 after its curve": append(curve, own...),
		"PKCS 8": pkcs8,
	} {
		if got, err := parseKey("ca.key", text); err != nil || !key.Equal(got) {
			t.Errorf("%s: read %v, %v", name, got, err)
		}
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "a curve alone": curve,
		"garbage": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
	} {
		if _, err := parseKey("ca.key", text); err == nil || !strings.Contains(err.Error(), "ca.key") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
