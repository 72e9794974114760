package identity

import (
	"encoding/base64"
	"strings"
)

// SessionOf gives the hash by which the session of a sign-in is known.
func SessionOf(s SignedIn) string { return hashToken(s.Token) }

// NewCode makes an authorization code, and the hash by which it is kept.
func NewCode() (code, hash string) {
	code = base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	return code, hashToken(code)
}

// Audience gives whom tokens are asked for by a scope or a resource, in the one form that is compared: this server, under
// the host that the client knows it by. Both https://host and https://host/ name it, and so does nothing at all.
func Audience(host, scope, resource string) (string, error) {
	own := "https://" + strings.ToLower(host)
	for one := range strings.FieldsSeq(scope) {
		for _, suffix := range []string{"/.default", "/user_impersonation"} {
			if named, found := strings.CutSuffix(one, suffix); found {
				resource = named
			}
		}
	}
	if resource = strings.TrimRight(resource, "/"); resource != "" && !strings.EqualFold(resource, own) {
		return "", fail("invalid_resource", 500011, "The resource '%s' is not served here; ask for the scope %s/.default.", clip(resource), own)
	}
	return own, nil
}
