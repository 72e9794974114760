package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func (a *API) credentialRoutes() {
	const tag = "Credentials"
	register(a, operation{
		method: http.MethodGet, path: "/principals/{principal}/credentials", id: "listCredentials", tag: tag,
		entry: people,
		summary: "List everything that lets somebody in as a principal; one's own, or with the right to read " +
			"principals",
	}, a.listCredentials)
	register(a, operation{
		method: http.MethodDelete, path: "/principals/{principal}/credentials", id: "endCredentials", tag: tag,
		entry:   people,
		summary: "End all credentials of a principal, or all of some kinds; the session that calls and passwords stay",
	}, a.endCredentials)
	register(a, operation{
		method: http.MethodDelete, path: "/principals/{principal}/credentials/{credential}", id: "endCredential",
		tag: tag, entry: people,
		summary: "End one session, API token, passkey or secret of a principal",
	}, a.endCredential)
	register(a, operation{
		method: http.MethodPost, path: "/sessions/current/proof", id: "prove", tag: tag, entry: people,
		summary: "Show one's password once more, which the first passkey needs",
	}, a.prove)
}

// whose gives the principal that a path names; me is the caller.
func (c *calling) whose(ref string) string {
	if ref == "me" {
		return string(c.caller.Principal)
	}
	return ref
}

func (a *API) listCredentials(ctx context.Context, in *principalInput) (*answer[api.Credentials], error) {
	set, err := a.engine.Directory.CredentialsOf(ctx, in.caller, in.whose(in.Principal))
	if err != nil {
		return nil, err
	}
	out := api.Credentials{
		Principal: set.Principal.Name, Sessions: []api.OpenSession{}, Tokens: each(set.Tokens, tokenOut),
		Passkeys: each(set.Passkeys, passkeyOut),
		Secrets:  each(set.Secrets, secretOut), Providers: []api.ExternalSignInWay{}, Places: []api.SignInPlace{},
	}
	if !set.Password.ChangedAt.IsZero() {
		out.Password = &api.PasswordState{ChangedAt: set.Password.ChangedAt.UTC(), OneTime: set.Password.MustChange}
	}
	for _, s := range set.Sessions {
		out.Sessions = append(out.Sessions, api.OpenSession{
			ID: s.PublicID(), Current: s.Hash == in.caller.Session, CreatedAt: s.CreatedAt.UTC(),
			UsedAt: instant(s.UsedAt), ExpiresAt: s.ExpiresAt.UTC(),
			Address: s.Address, Client: s.Client, Method: s.Method,
		})
	}
	for _, p := range set.Providers {
		out.Providers = append(out.Providers,
			api.ExternalSignInWay{Issuer: p.Issuer, Subject: p.Subject, Since: p.CreatedAt.UTC()})
	}
	for _, p := range set.Places {
		out.Places = append(out.Places, api.SignInPlace{Prefix: p.Place, SignedInAt: p.SignedInAt.UTC()})
	}
	return &answer[api.Credentials]{out}, nil
}

func each[A, B any](list []A, out func(A) B) []B {
	all := make([]B, len(list))
	for i, x := range list {
		all[i] = out(x)
	}
	return all
}

type endCredentialsInput struct {
	calling

	Principal string   `path:"principal" maxLength:"256" doc:"Name or id; me is the caller."`
	Kind      []string `query:"kind" enum:"session,token,passkey,secret" maxItems:"4" doc:"Only credentials of these kinds; absent: all."`
}

func (a *API) endCredentials(ctx context.Context, in *endCredentialsInput) (*nothing, error) {
	kinds := each(in.Kind, func(k string) directory.CredentialKind { return directory.CredentialKind(k) })
	return &nothing{}, a.engine.Directory.EndCredentials(ctx, in.caller, in.whose(in.Principal), kinds)
}

type credentialInput struct {
	calling

	Principal  string `path:"principal" maxLength:"256" doc:"Name or id; me is the caller."`
	Credential string `path:"credential" maxLength:"2048" doc:"Id."`
}

func (a *API) endCredential(ctx context.Context, in *credentialInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.EndCredential(ctx, in.caller, in.whose(in.Principal), in.Credential)
}

type proofInput struct {
	calling

	Body api.IdentityProof
}

func (a *API) prove(ctx context.Context, in *proofInput) (*nothing, error) {
	return &nothing{}, a.identity.Prove(ctx, in.caller, in.Body.Password)
}
