package identity

import (
	"encoding/base64"
	"slices"
	"strings"
)

// SessionOf gives the hash by which the session of a sign-in is known.
func SessionOf(s SignedIn) string { return hashToken(s.Token) }

// NewCode makes an authorization code, and the hash by which it is kept.
func NewCode() (code, hash string) {
	code = base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	return code, hashToken(code)
}

// resourceOf gives the resource that a scope names, and the part of the scope that does; empty where it names none.
func resourceOf(scope string) (resource, part string) {
	for one := range strings.FieldsSeq(scope) {
		for _, suffix := range []string{"/.default", "/user_impersonation"} {
			if named, found := strings.CutSuffix(one, suffix); found {
				resource, part = named, one
			}
		}
	}
	return resource, part
}

// Audience gives whom tokens are asked for by a scope or a resource, in the one form that is compared: this server,
// under the name that Identity.Host gives. https://host and https://host/ name it, an alias does, and so does nothing
// at all.
func Audience(host, scope, resource string) (string, error) {
	own := "https://" + strings.ToLower(host)
	if named, _ := resourceOf(scope); named != "" {
		resource = named
	}
	resource = strings.TrimRight(resource, "/")
	names := append(aliases(), "", own)
	if !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, resource) }) {
		return "", fail("invalid_resource", 500011,
			"The resource '%s' is not served here; ask for the scope %s/.default.", clip(resource), own)
	}
	return own, nil
}
