package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postern-dev/postern/api"
)

// oidcPatience is how long a person has to sign in at the identity provider.
const oidcPatience = 10 * time.Minute

// oidcSession signs in through the browser: it prints an address of the server, which leads to the identity provider and back to
// a port of the loopback interface, where the code arrives that only this program can exchange.
func (a *app) oidcSession(ctx context.Context, conf config) (api.Session, error) {
	cl, err := a.connect(conf)
	if err != nil {
		return api.Session{}, err
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return api.Session{}, fmt.Errorf("wait for the browser: %w", err)
	}
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	codes := make(chan string, 1)
	waiting := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		code := r.URL.Query().Get("code")
		if r.URL.Path != "/" || code == "" || subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("state")), []byte(state)) != 1 {
			http.Error(w, "This is not the answer that postern login waits for.", http.StatusBadRequest)
			return
		}
		select {
		case codes <- code:
		default:
		}
		_, _ = fmt.Fprintln(w, "You are signed in. Close this page and go back to the terminal.")
	})}
	go func() { _ = waiting.Serve(listener) }()
	defer waiting.Close() //nolint:errcheck // it has done its work

	query := url.Values{
		"redirect_uri": {"http://" + listener.Addr().String() + "/"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	a.say("Open this address in a browser on this machine:\n\n  %s/auth/oidc/start?%s\n", conf.Server, query.Encode())
	ctx, cancel := context.WithTimeout(ctx, oidcPatience)
	defer cancel()
	select {
	case code := <-codes:
		return cl.ExchangeCode(ctx, api.CodeExchange{Code: code, Verifier: verifier})
	case <-ctx.Done():
		return api.Session{}, fail(exitRefused, "Run the command again.", "nobody signed in within %s", oidcPatience)
	}
}
