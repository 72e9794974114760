package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/internal/identity"
)

// AfterThePasskey adds a route that does what signing in with a passkey does once the passkey is right.
func (a *API) AfterThePasskey(path string, s identity.SignedIn) {
	register(a, operation{method: http.MethodPost, path: path, id: "afterThePasskey", entry: anybody},
		func(ctx context.Context, in *passkeySignInInput) (*browserSession, error) {
			return a.signedIn(ctx, in, s), nil
		})
}
