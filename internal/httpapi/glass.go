package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/hosts"
	"github.com/postern-dev/postern/internal/engine/requests"
)

func (a *API) glassRoutes() {
	register(a, operation{
		method: http.MethodPost, path: "/machines/{machine}/break-glass-codes", id: "issueBreakGlassCodes",
		tag: "Machines", status: http.StatusCreated, entry: people,
		summary: "Issue codes that open the machine while the server is out of reach",
	}, a.issueGlassCodes)
	register(a, operation{
		method: http.MethodGet, path: "/machines/{machine}/break-glass-codes", id: "listBreakGlassCodes",
		tag: "Machines", entry: people,
		summary: "List the codes of a machine, the oldest first, without the codes themselves; there is one page",
	}, a.listGlassCodes)
	register(a, operation{
		method: http.MethodDelete, path: "/machines/{machine}/break-glass-codes", id: "revokeBreakGlassCodes",
		tag: "Machines", entry: people,
		summary: "End the unused codes of a machine",
	}, a.revokeGlassCodes)
	register(a, operation{
		method: http.MethodPost, path: "/agent/break-glass", id: "reportBreakGlass", tag: "Agents", entry: agents,
		summary: "Say that a code was used while the server was out of reach",
	}, a.glassUsed)
}

type glassCodesInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id, escaped."`
	Body    api.NewGlassCodes
}

func (a *API) issueGlassCodes(ctx context.Context, in *glassCodesInput) (*answer[api.GlassCodes], error) {
	codes, m, err := a.engine.Hosts.IssueGlassCodes(ctx, in.caller, in.Machine, in.Body.Count)
	return &answer[api.GlassCodes]{api.GlassCodes{Machine: m.Name, Codes: codes}}, err
}

type machineCodesInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id, escaped."`
}

func (a *API) listGlassCodes(ctx context.Context, in *machineCodesInput) (*answer[api.Page[api.GlassCode]], error) {
	list, err := a.engine.Hosts.GlassCodes(ctx, in.caller, in.Machine)
	now := a.now()
	return &answer[api.Page[api.GlassCode]]{
		page(engine.Listed[hosts.GlassCodeDetail]{Items: list}, func(d hosts.GlassCodeDetail) api.GlassCode {
			c := d.Code
			out := api.GlassCode{
				ID: string(c.ID), State: "unused", MaxSeconds: int64(c.Most / time.Second), IssuedBy: d.IssuerName,
				IssuedAt: c.IssuedAt.UTC(), ExpiresAt: c.ExpiresAt.UTC(),
				UsedAt: instant(c.UsedAt),
			}
			switch {
			case out.UsedAt != nil:
				out.State = "used"
			case !now.Before(c.ExpiresAt):
				out.State = "over"
			}
			return out
		}),
	}, err
}

func (a *API) revokeGlassCodes(ctx context.Context, in *machineCodesInput) (*answer[api.RevokedGlassCodes], error) {
	n, err := a.engine.Hosts.RevokeGlassCodes(ctx, in.caller, in.Machine)
	return &answer[api.RevokedGlassCodes]{api.RevokedGlassCodes{Revoked: n}}, err
}

type glassUseInput struct {
	calling

	Body agentwire.GlassUse
}

func (a *API) glassUsed(ctx context.Context, in *glassUseInput) (*nothing, error) {
	var wrong invalid
	b := in.Body
	use := requests.GlassUse{
		Code: engine.GlassCodeID(b.Code), Ports: wrong.portRange("ports", b.Ports),
		Protocol: access.Protocol(b.Protocol), Source: wrong.prefix("source", b.Source),
		Opened: time.UnixMicro(b.OpenedMicros).UTC(), Duration: seconds(b.ForSeconds), Reason: b.Reason,
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.Requests.GlassUsed(ctx, in.agent.ID, in.address, use)
}
