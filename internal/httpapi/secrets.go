package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func (a *API) secretRoutes() {
	const tag = "Principals"
	register(a, operation{
		method: http.MethodGet, path: "/principals/{principal}/secrets", id: "listSecrets", tag: tag, entry: people,
		summary: "List the secrets and certificates of a service principal; there is one page",
	}, a.listSecrets)
	register(a, operation{
		method: http.MethodPost, path: "/principals/{principal}/secrets", id: "addSecret", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Give a service principal one more secret or certificate",
	}, a.addSecret)
	register(a, operation{
		method: http.MethodDelete, path: "/principals/{principal}/secrets/{secret}", id: "deleteSecret", tag: tag,
		entry:   people,
		summary: "Take a secret away; the tokens that came from it end with it",
	}, a.deleteSecret)
}

func secretOut(s engine.Secret) api.Secret {
	kind := "secret"
	if s.Certificate != "" {
		kind = "certificate"
	}
	return api.Secret{
		ID: string(s.ID), Name: s.Name, Kind: kind, CreatedAt: s.CreatedAt.UTC(),
		ExpiresAt: s.ExpiresAt.UTC(),
	}
}

func (a *API) listSecrets(ctx context.Context, in *principalInput) (*answer[api.Page[api.Secret]], error) {
	list, err := a.engine.Directory.Secrets(ctx, in.caller, in.Principal)
	return &answer[api.Page[api.Secret]]{page(engine.Listed[engine.Secret]{Items: list}, secretOut)}, err
}

type addSecretInput struct {
	calling

	Principal string `path:"principal" doc:"Name or id of the service principal." maxLength:"256"`
	Body      api.NewSecret
}

func (a *API) addSecret(ctx context.Context, in *addSecretInput) (*answer[api.CreatedSecret], error) {
	text, s, err := a.engine.Directory.AddSecret(ctx, in.caller, in.Principal, directory.SecretInput{
		Name: in.Body.Name, Certificate: in.Body.Certificate, TTL: time.Duration(in.Body.TTLSeconds) * time.Second,
	})
	return &answer[api.CreatedSecret]{api.CreatedSecret{
		Secret: secretOut(s), ClientID: string(s.Principal),
		Tenant: string(in.caller.Tenant), Text: text,
	}}, err
}

type deleteSecretInput struct {
	calling

	Principal string `path:"principal" doc:"Name or id of the service principal." maxLength:"256"`
	Secret    string `path:"secret" maxLength:"64"`
}

func (a *API) deleteSecret(ctx context.Context, in *deleteSecretInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.DeleteSecret(ctx, in.caller, in.Principal, engine.SecretID(in.Secret))
}
