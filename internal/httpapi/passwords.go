package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) passwordRoutes() {
	const tag = "Principals"
	register(a, operation{
		method: http.MethodPost, path: "/me/password", id: "changePassword", tag: tag, entry: people,
		summary: "Replace one's own password, and end every other session of one's own",
	}, a.changePassword)
	register(a, operation{
		method: http.MethodPost, path: "/principals/{principal}/password", id: "resetPassword", tag: tag, entry: people,
		summary: "Give somebody else another password, and end their sessions",
	}, a.resetPassword)
	register(a, operation{
		method: http.MethodGet, path: "/principals/{principal}/passkeys", id: "listPasskeysOf", tag: tag, entry: people,
		summary: "List a person's passkeys; there is one page",
	}, a.listPasskeysOf)
	register(a, operation{
		method: http.MethodDelete, path: "/principals/{principal}/passkeys/{passkey}", id: "deletePasskeyOf", tag: tag,
		entry:   people,
		summary: "Forget a passkey that somebody else has lost",
	}, a.deletePasskeyOf)
}

type changePasswordInput struct {
	calling

	Body api.PasswordChange
}

func (a *API) changePassword(ctx context.Context, in *changePasswordInput) (*nothing, error) {
	return &nothing{}, a.identity.ChangePassword(ctx, in.caller, in.Body.Password, in.Body.NewPassword)
}

type resetPasswordInput struct {
	calling

	Principal string `path:"principal" maxLength:"256" doc:"Name or id."`
	Body      api.PasswordReset
}

func (a *API) resetPassword(ctx context.Context, in *resetPasswordInput) (*answer[api.PasswordWasReset], error) {
	oneTime, err := a.identity.ResetPassword(ctx, in.caller, in.Principal, in.Body.Password)
	return &answer[api.PasswordWasReset]{api.PasswordWasReset{Password: oneTime}}, err
}

func (a *API) listPasskeysOf(ctx context.Context, in *principalInput) (*answer[api.Page[api.Passkey]], error) {
	list, err := a.engine.Directory.PasskeysOf(ctx, in.caller, in.Principal)
	return &answer[api.Page[api.Passkey]]{page(engine.Listed[engine.Passkey]{Items: list}, passkeyOut)}, err
}

type passkeyOfInput struct {
	calling

	Principal string `path:"principal" maxLength:"256" doc:"Name or id."`
	Passkey   string `path:"passkey" maxLength:"2048" doc:"Id."`
}

func (a *API) deletePasskeyOf(ctx context.Context, in *passkeyOfInput) (*nothing, error) {
	return &nothing{}, a.engine.Directory.DeletePasskeyOf(ctx, in.caller, in.Principal, in.Passkey)
}
