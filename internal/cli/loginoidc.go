package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"

	"github.com/postern-dev/postern/api"
)

// oidcSession signs in through the browser: it prints an address of the server, which leads to the identity provider of
// a tenant and back to a port of the loopback interface, where the code arrives that only this program can exchange.
func (a *app) oidcSession(ctx context.Context, conf config, tenant string) (api.Session, error) {
	cl, err := a.connect(conf)
	if err != nil {
		return api.Session{}, err
	}
	waiting, err := listenForBrowser(ctx)
	if err != nil {
		return api.Session{}, err
	}
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"redirect_uri": {waiting.URL}, "state": {waiting.State},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if tenant != "" {
		query.Set("tenant", tenant)
	}
	a.say("Open this address in a browser on this machine:\n\n  %s/auth/oidc/start?%s\n", conf.Server, query.Encode())
	code, err := waiting.receive(ctx, "code")
	if err != nil {
		return api.Session{}, err
	}
	return cl.ExchangeCode(ctx, api.CodeExchange{Code: code, Verifier: verifier})
}
