package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
)

func (a *API) eventRoutes(mux *http.ServeMux) {
	const tag = "Activity log"
	register(a, operation{
		method: http.MethodGet, path: "/events", id: "listEvents", tag: tag, entry: people,
		summary: "List the activity log, the newest first",
	}, a.listEvents)
	register(a, operation{
		method: http.MethodGet, path: "/events.csv", id: "exportEvents", tag: tag, entry: people, media: csvType,
		summary: "Download every record that a filter finds as CSV, with names",
	}, a.exportEvents)
	register(a, operation{
		method: http.MethodGet, path: "/events/{seq}", id: "getEvent", tag: tag, entry: people,
		summary: "Get one record",
	}, a.getEvent)
	register(a, operation{
		method: http.MethodGet, path: "/events/{seq}/proof", id: "proveInclusion", tag: tag, entry: people,
		summary: "Prove that a record is in the log",
	}, a.proveInclusion)
	register(a, operation{
		method: http.MethodGet, path: "/audit/checkpoint", id: "getCheckpoint", tag: tag, entry: people,
		summary: "Get the newest signed checkpoint",
	}, a.checkpoint)
	register(a, operation{
		method: http.MethodGet, path: "/audit/checkpoints", id: "listCheckpoints", tag: tag, entry: people,
		summary: "List the signed checkpoints, the newest first",
	}, a.listCheckpoints)
	register(a, operation{
		method: http.MethodGet, path: "/audit/consistency", id: "proveConsistency", tag: tag, entry: people,
		summary: "Prove that one checkpoint's log begins with another's",
	}, a.proveConsistency)
	mux.HandleFunc("GET "+Prefix+"/audit/export", a.export)
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: Prefix + "/audit/export", OperationID: "exportAudit", Tags: []string{tag},
		Security: security(people),
		Summary:  "Export the records for offline verification, one a line, and at the end the checkpoint",
		Parameters: []*huma.Param{{
			Name: "from", In: "query", Description: "The first record; 0 if absent.",
			Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"},
		}},
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK",
				Content:     map[string]*huma.MediaType{exportType: {Schema: a.schemaOf(api.ExportLine{})}},
			},
			"default": a.problemResponse(),
		},
	})
}

// EventQuery is the part of an input that narrows the activity log.
type EventQuery struct {
	Since   time.Time `query:"since" doc:"Only records from then on."`
	Before  time.Time `query:"before" doc:"Only records before then."`
	Kind    string    `query:"kind" maxLength:"64" doc:"Only records of this kind, such as request.refused."`
	Actor   string    `query:"actor" maxLength:"256" doc:"Name or id of who did it; me is the caller."`
	Machine string    `query:"machine" maxLength:"2048" doc:"Name, id or resource id."`
	Request string    `query:"request" maxLength:"64"`
	Outcome string    `query:"outcome" enum:"succeeded,refused,failed"`
}

type listEventsInput struct {
	calling
	Paging
	EventQuery
}

func (a *API) listEvents(ctx context.Context, in *listEventsInput) (*answer[api.Page[api.Event]], error) {
	f, err := a.eventFilter(ctx, in.caller, in.EventQuery)
	if err != nil {
		return nil, err
	}
	list, err := a.engine.Records.Log(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Event]]{page(list, eventOut)}, err
}

func (a *API) eventFilter(ctx context.Context, c engine.Caller, q EventQuery) (f engine.EventFilter, err error) {
	f = engine.EventFilter{
		Since: q.Since, Before: q.Before, Kind: access.EventKind(q.Kind), Request: access.RequestID(q.Request),
		Outcome: access.Outcome(q.Outcome),
	}
	if f.Actor, err = a.principalID(ctx, c, q.Actor); err != nil {
		return f, err
	}
	f.Machine, err = a.machineID(ctx, c, q.Machine)
	return f, err
}

type exportEventsInput struct {
	calling
	EventQuery
}

func (a *API) exportEvents(ctx context.Context, in *exportEventsInput) (*huma.StreamResponse, error) {
	f, err := a.eventFilter(ctx, in.caller, in.EventQuery)
	if err != nil {
		return nil, err
	}
	return csvOf(ctx, a, "postern-activity.csv", eventCSV(),
		func(ctx context.Context, p engine.Page) (engine.Listed[records.EventDetail], error) {
			return a.engine.Records.Log(ctx, in.caller, f, p)
		})
}

// eventCSV are the columns of the activity log as a table: names first, ids behind them, and what else an event says
// as one JSON object, which can be read back without doubt.
func eventCSV() []csvColumn[records.EventDetail] {
	type detail = records.EventDetail
	said := func(names ...string) func(detail) string {
		return func(d detail) string {
			for _, name := range names {
				if text := d.Event.Details[name]; text != "" {
					return text
				}
			}
			return ""
		}
	}
	return []csvColumn[detail]{
		{"seq", func(d detail) string { return strconv.FormatInt(d.Event.Seq, 10) }},
		{"at", func(d detail) string { return tableInstant(d.Event.At) }},
		{"subscription", func(d detail) string { return d.Subscription }},
		{"resourceGroup", func(d detail) string { return d.ResourceGroup }},
		{"kind", func(d detail) string { return string(d.Event.Kind) }},
		{"outcome", func(d detail) string { return string(d.Event.Outcome) }},
		{"summary", func(d detail) string { return d.Summary }},
		{"who", func(d detail) string { return d.Event.Actor.Name }},
		{"forWhom", said("principal", "requester", "person")},
		{"machine", func(d detail) string { return d.Machine }},
		{"ports", said("ports")},
		{"source", said("sources", "source")},
		{"reason", said("justification", "comment", "reason", "message")},
		{"address", func(d detail) string { return addressText(d.Event.Actor.Address) }},
		{"via", func(d detail) string { return d.Event.Actor.Via }},
		{"action", func(d detail) string { return d.Event.Action }},
		{"request", func(d detail) string { return string(d.Event.Request) }},
		{"grant", func(d detail) string { return string(d.Event.Grant) }},
		{"scope", func(d detail) string { return string(d.Event.Scope) }},
		{"details", func(d detail) string {
			if len(d.Event.Details) == 0 {
				return ""
			}
			var text strings.Builder
			e := json.NewEncoder(&text)
			e.SetEscapeHTML(false)
			if e.Encode(d.Event.Details) != nil { // texts can always be encoded
				return ""
			}
			return strings.TrimSpace(text.String())
		}},
	}
}

type eventInput struct {
	calling

	Seq int64 `path:"seq" minimum:"0"`
}

func (a *API) getEvent(ctx context.Context, in *eventInput) (*answer[api.Event], error) {
	e, err := a.engine.Records.LogEvent(ctx, in.caller, in.Seq)
	return &answer[api.Event]{eventOut(e)}, err
}

type inclusionInput struct {
	calling

	Seq  int64 `path:"seq" minimum:"0"`
	Size int64 `query:"size" minimum:"0" doc:"Size of the log to prove it for; absent is the newest checkpoint's."`
}

func (a *API) proveInclusion(ctx context.Context, in *inclusionInput) (*answer[api.Proof], error) {
	p, err := a.engine.Records.InclusionProof(ctx, in.caller, in.Seq, in.Size)
	return &answer[api.Proof]{proofOut(p)}, err
}

type consistencyInput struct {
	calling

	From int64 `query:"from" required:"true" minimum:"0" doc:"The smaller size."`
	To   int64 `query:"to" minimum:"0" doc:"The larger size; absent is the newest checkpoint's."`
}

func (a *API) proveConsistency(ctx context.Context, in *consistencyInput) (*answer[api.Proof], error) {
	p, err := a.engine.Records.ConsistencyProof(ctx, in.caller, in.From, in.To)
	return &answer[api.Proof]{proofOut(p)}, err
}

func (a *API) checkpoint(ctx context.Context, in *callInput) (*answer[api.Checkpoint], error) {
	d, err := a.engine.Records.Checkpoint(ctx, in.caller)
	return &answer[api.Checkpoint]{checkpointOut(d)}, err
}

func (a *API) listCheckpoints(ctx context.Context, in *listInput) (*answer[api.Page[api.Checkpoint]], error) {
	list, err := a.engine.Records.Checkpoints(ctx, in.caller, in.page())
	return &answer[api.Page[api.Checkpoint]]{page(list, checkpointOut)}, err
}

func proofOut(p records.Proof) api.Proof {
	out := api.Proof{Hashes: make([]string, 0, len(p.Hashes))}
	for _, h := range p.Hashes {
		out.Hashes = append(out.Hashes, hashText(h))
	}
	if p.Record != nil {
		out.Leaf = base64.StdEncoding.EncodeToString(p.Record)
	}
	return out
}

func checkpointOut(d records.CheckpointDetail) api.Checkpoint {
	c := d.Checkpoint
	return api.Checkpoint{Size: c.Size, Root: hashText(c.Root), At: c.At.UTC(), Note: c.Text, Key: d.Key}
}

func hashText(h audit.Hash) string { return base64.StdEncoding.EncodeToString(h[:]) }

const exportType = "application/x-ndjson"

// export writes records as they come, so that a log of any size passes through. An export that breaks off has no
// checkpoint at its end, by which the reader knows.
func (a *API) export(w http.ResponseWriter, r *http.Request) {
	address, _, err := a.identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	caller, err := a.person(r, address)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var from int64
	if text := r.URL.Query().Get("from"); text != "" {
		if from, err = strconv.ParseInt(text, 10, 64); err != nil || from < 0 {
			var wrong invalid
			wrong.add("invalidField", "from", "%q is not the number of a record; send 0 or more", clip(text))
			a.fail(w, r, wrong.err())
			return
		}
	}
	control := http.NewResponseController(w)
	out := bufio.NewWriterSize(w, 64<<10)
	began := false
	var line []byte
	d, err := a.engine.Records.Export(r.Context(), caller, from, func(seq int64, record []byte) error {
		if !began {
			began = true
			w.Header().Set("Content-Type", exportType)
		}
		if out.Available() < len(record)*2 {
			if err := control.SetWriteDeadline(a.now().Add(answerTimeout)); err != nil {
				return err
			}
		}
		line = audit.AppendRecordLine(line[:0], seq, record)
		_, err := out.Write(line)
		return err
	})
	if err != nil {
		if !began {
			a.fail(w, r, err)
			return
		}
		a.log.WarnContext(r.Context(), "export broke off", "request_id", w.Header().Get(requestIDHeader), "error", err)
		panic(http.ErrAbortHandler) // the caller must not take it for whole
	}
	w.Header().Set("Content-Type", exportType)
	if line, err = audit.AppendCheckpointLine(line[:0], checkpointOut(d).Note); err == nil {
		_, err = out.Write(line)
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		a.log.DebugContext(r.Context(), "the caller left an export", "error", err)
	}
}
