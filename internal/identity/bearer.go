package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// A session's token is this prefix, so that scanners for leaked secrets know it, and 32 random bytes in base64url.
const (
	tokenPrefix = "pst_"
	tokenBytes  = 32
)

func newToken() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(random(tokenBytes))
}

// hashToken gives what is kept of a token. A token has 256 random bits, so a plain hash is enough.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ParseBearer gives the token of an Authorization header. It fails with access.KindUnauthenticated where there is none,
// or where it does not have the form of one of ours.
func ParseBearer(header string) (token string, err error) {
	if header == "" {
		return "", access.Fault(access.KindUnauthenticated, "tokenMissing",
			"sign in first: this needs the header Authorization: Bearer TOKEN")
	}
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return "", malformedToken()
	}
	if err := checkToken(token); err != nil {
		return "", err
	}
	return token, nil
}

func checkToken(token string) error {
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		encoded, ok = strings.CutPrefix(token, directory.APITokenPrefix)
	}
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return malformedToken()
	}
	// The decoder skips line breaks, so the length of the result counts too.
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded); err != nil || len(raw) != tokenBytes {
		return malformedToken()
	}
	return nil
}

func malformedToken() error {
	return access.Fault(access.KindUnauthenticated, "tokenMalformed",
		"the token in the header Authorization is not one of ours: sign in again")
}
