package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) glassRoutes() {
	register(a, operation{
		method: http.MethodPost, path: "/machines/{machine}/break-glass-codes", id: "issueBreakGlassCodes", tag: "Machines", status: http.StatusCreated, entry: people,
		summary: "Issue codes that open the machine while the server is out of reach",
	}, a.issueGlassCodes)
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
	codes, m, err := a.engine.IssueGlassCodes(ctx, in.caller, in.Machine, in.Body.Count)
	return &answer[api.GlassCodes]{api.GlassCodes{Machine: m.Name, Codes: codes}}, err
}

type glassUseInput struct {
	calling

	Body api.GlassUse
}

func (a *API) glassUsed(ctx context.Context, in *glassUseInput) (*nothing, error) {
	var wrong invalid
	b := in.Body
	use := engine.GlassUse{
		Code: engine.GlassCodeID(b.Code), Ports: wrong.portRange("ports", b.Ports), Protocol: access.Protocol(b.Protocol), Source: wrong.prefix("source", b.Source),
		Opened: time.UnixMicro(b.OpenedMicros).UTC(), Duration: seconds(b.ForSeconds), Reason: b.Reason,
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.GlassUsed(ctx, in.agent.ID, in.address, use)
}

func codesOut(codes []access.SealedCode, now time.Time) (out []api.SealedCode) {
	for _, c := range codes {
		out = append(out, api.SealedCode{
			ID: c.ID, Machine: string(c.Machine), Hash: c.Hash, MaxSeconds: int64(c.Most / time.Second), RemainingMillis: c.Until.Sub(now).Milliseconds(),
		})
	}
	return out
}
