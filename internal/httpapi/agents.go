package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/identity"
)

func (a *API) agentRoutes(mux *http.ServeMux) {
	const tag = "Agents"
	register(a, operation{
		method: http.MethodPost, path: "/agent/enroll", id: "enrollAgent", tag: tag, status: http.StatusCreated,
		entry:   anybody,
		summary: "Show an enrollment token and get the agent's certificate",
	}, a.enroll)
	register(a, operation{
		method: http.MethodPost, path: "/agent/renew", id: "renewAgent", tag: tag, entry: agents,
		summary: "Get a fresh certificate for the one that calls",
	}, a.renew)
	register(a, operation{
		method: http.MethodPost, path: "/agent/report", id: "report", tag: tag, entry: agents, maxBody: maxReport,
		summary: "Say what the agent really has",
	}, a.report)
	register(a, operation{
		method: http.MethodPost, path: "/agent/findings", id: "reportFindings", tag: tag, entry: agents,
		summary: "Say what the agent found on its host",
	}, a.found)
	mux.HandleFunc("GET "+Prefix+"/agent/desired", a.desired)
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: Prefix + "/agent/desired", OperationID: "followDesired", Tags: []string{tag},
		Security: security(agents),
		Summary:  "Follow the desired state: the whole of it at once and after each change, and heartbeats between",
		Description: "A stream of server-sent events. An event \"desired\" has a Desired as data; an event " +
			"\"heartbeat\", at least every " +
			"17 seconds, has a Heartbeat.",
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK",
				Content:     map[string]*huma.MediaType{agentwire.StreamType: {Schema: a.schemaOf(agentwire.Desired{})}},
			},
			"default": a.problemResponse(),
		},
	})
	a.schemaOf(api.Heartbeat{})
}

type enrollInput struct {
	calling

	Body agentwire.Enroll
}

func (a *API) enroll(ctx context.Context, in *enrollInput) (*answer[agentwire.Enrolled], error) {
	var wrong invalid
	b := in.Body
	ask := machines.EnrollInput{Token: b.Token, Name: b.Name, OS: b.OS, Version: b.Version}
	for i, text := range b.Addresses {
		ask.Addresses = append(ask.Addresses, wrong.address(fmt.Sprintf("addresses[%d]", i), text))
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	enrolled, certificate, err := a.identity.Enroll(ctx, in.address, ask, []byte(b.CSR))
	return &answer[agentwire.Enrolled]{enrolledOut(enrolled, certificate)}, err
}

type renewInput struct {
	calling

	Body agentwire.Renew
}

func (a *API) renew(ctx context.Context, in *renewInput) (*answer[agentwire.Enrolled], error) {
	enrolled, certificate, err := a.identity.Renew(ctx, in.agent.ID, in.address, []byte(in.Body.CSR))
	return &answer[agentwire.Enrolled]{enrolledOut(enrolled, certificate)}, err
}

func enrolledOut(e machines.Enrolled, c identity.AgentCertificate) agentwire.Enrolled {
	return agentwire.Enrolled{
		Agent: string(e.Agent.ID), Machine: string(e.Machine.ID), Name: e.Agent.Name, Mode: string(e.Agent.Mode),
		Certificate: string(c.PEM), CA: string(c.Authority),
	}
}

type reportInput struct {
	calling

	Body agentwire.Report
}

func (a *API) report(ctx context.Context, in *reportInput) (*nothing, error) {
	var wrong invalid
	r := agentwire.DecodeReport(in.Body, wrong.fault)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.Machines.Report(ctx, in.agent.ID, in.address, r)
}

type findingsInput struct {
	calling

	Body agentwire.Findings
}

func (a *API) found(ctx context.Context, in *findingsInput) (*nothing, error) {
	var wrong invalid
	f := agentwire.DecodeFindings(in.Body, wrong.fault)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.Hosts.Find(ctx, in.agent.ID, f)
}
