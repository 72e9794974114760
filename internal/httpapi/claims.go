package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) claimRoutes() {
	register(a, operation{
		method: http.MethodGet, path: "/principals/{principal}/external-identities", id: "listExternalIdentities",
		tag: "Principals", entry: people,
		summary: "List how a person signs in by an identity provider, with the claims that were read at the last " +
			"sign-in; there is one page",
	}, a.listExternalIdentities)
}

func (a *API) listExternalIdentities(ctx context.Context,
	in *principalInput,
) (*answer[api.Page[api.ExternalIdentity]], error) {
	list, err := a.engine.Directory.ExternalIdentities(ctx, in.caller, in.Principal)
	return &answer[api.Page[api.ExternalIdentity]]{
		page(engine.Listed[engine.ExternalIdentity]{Items: list}, externalIdentityOut),
	}, err
}

func externalIdentityOut(e engine.ExternalIdentity) api.ExternalIdentity {
	out := api.ExternalIdentity{
		Issuer: e.Issuer, Subject: e.Subject, CreatedAt: e.CreatedAt.UTC(),
		SignedInAt: instant(e.SeenAt), Claims: []api.ClaimRead{},
	}
	for _, r := range e.Read {
		claim := api.ClaimRead{Use: r.Use, Claim: r.Claim, From: r.From, Values: r.Values, Problem: r.Problem}
		if claim.Values == nil {
			claim.Values = []string{}
		}
		out.Claims = append(out.Claims, claim)
	}
	return out
}
