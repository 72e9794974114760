package audit_test

import (
	"crypto/rand"
	"testing"

	"github.com/postern-dev/postern/internal/core/audit"
)

// TestVerifierKeyOfAnyKey draws many keys, since base64 may hold the sign that separates a key's parts.
func TestVerifierKeyOfAnyKey(t *testing.T) {
	t.Parallel()
	for range 300 {
		signer, verifier, err := audit.GenerateKey(rand.Reader, "log")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := audit.VerifierKey(signer); err != nil || got != verifier {
			t.Fatalf("VerifierKey gave %q, %v; want %q", got, err, verifier)
		}
	}
}
