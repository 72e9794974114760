package httpapi

import (
	"bufio"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/reviews"
)

func (a *API) accessReviewRoutes(mux *http.ServeMux) {
	const tag = "Access reviews"
	register(a, operation{
		method: http.MethodGet, path: "/access-reviews", id: "listAccessReviews", tag: tag, entry: people,
		summary: "List the access reviews that you own or review, or may read, newest first",
	}, a.listAccessReviews)
	register(a, operation{
		method: http.MethodPost, path: "/access-reviews", id: "createAccessReview", tag: tag, entry: people,
		status:  http.StatusCreated,
		summary: "List who has access at a scope, and have reviewers confirm or remove it",
	}, a.createAccessReview)
	register(a, operation{
		method: http.MethodGet, path: "/access-reviews/{accessReview}", id: "getAccessReview", tag: tag, entry: people,
		summary: "Get an access review",
	}, a.getAccessReview)
	register(a, operation{
		method: http.MethodPatch, path: "/access-reviews/{accessReview}", id: "changeAccessReview", tag: tag,
		entry:   people,
		summary: "Change the reviewers or the due date of an open access review",
	}, a.changeAccessReview)
	register(a, operation{
		method: http.MethodGet, path: "/access-reviews/{accessReview}/items", id: "listAccessReviewItems", tag: tag,
		entry:   people,
		summary: "List the items of an access review",
	}, a.listAccessReviewItems)
	register(a, operation{
		method: http.MethodPost, path: "/access-reviews/{accessReview}/decisions", id: "decideAccess", tag: tag,
		entry:   people,
		summary: "Keep or remove access; each item is decided on its own, and bound to what was shown",
	}, a.decideAccess)
	register(a, operation{
		method: http.MethodPost, path: "/access-reviews/{accessReview}/close", id: "closeAccessReview", tag: tag,
		entry:   people,
		summary: "End an access review before it is due, and carry out what it removes",
	}, a.closeAccessReview)
	register(a, operation{
		method: http.MethodPost, path: "/access-reviews/{accessReview}/cancel", id: "cancelAccessReview", tag: tag,
		entry:   people,
		summary: "End an access review without anything further being removed",
	}, a.cancelAccessReview)
	mux.HandleFunc("GET "+Prefix+"/access-reviews/{accessReview}/evidence", a.accessReviewEvidence)
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: Prefix + "/access-reviews/{accessReview}/evidence",
		OperationID: "getAccessReviewEvidence", Tags: []string{tag}, Security: security(people),
		Summary: "Get what proves an access review offline: its items, its records with proofs, and a signed checkpoint",
		Parameters: []*huma.Param{{
			Name: "accessReview", In: "path", Required: true, Description: "Name or id.",
			Schema: &huma.Schema{Type: huma.TypeString},
		}},
		Responses: map[string]*huma.Response{
			"200": {
				Description: "OK", Content: map[string]*huma.MediaType{exportType: {Schema: &huma.Schema{Type: huma.TypeObject}}},
			},
			"default": a.problemResponse(),
		},
	})
}

type listAccessReviewsInput struct {
	calling
	Paging

	State string `query:"state" enum:"starting,open,closing,closed,canceled"`
}

func (a *API) listAccessReviews(ctx context.Context, in *listAccessReviewsInput,
) (*answer[api.Page[api.AccessReview]], error) {
	list, err := a.engine.Reviews.AccessReviews(ctx, in.caller,
		engine.AccessReviewFilter{State: review.State(in.State)}, in.page())
	return &answer[api.Page[api.AccessReview]]{page(list, accessReviewOut)}, err
}

type createAccessReviewInput struct {
	calling

	Body api.NewAccessReview
}

type accessReviewAnswer struct {
	ETag string `header:"ETag" doc:"The revision of the access review; send it as If-Match to change what you saw."`
	Body api.AccessReview
}

func accessReviewAnswerOf(d reviews.Detail, err error) (*accessReviewAnswer, error) {
	return &accessReviewAnswer{ETag: etag(d.Review.Revision), Body: accessReviewOut(d)}, err
}

func (a *API) createAccessReview(ctx context.Context, in *createAccessReviewInput) (*accessReviewAnswer, error) {
	var wrong invalid
	scope := wrong.scope("scope", in.Body.Scope)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return accessReviewAnswerOf(a.engine.Reviews.Create(ctx, in.caller, reviews.Input{
		Name: in.Body.Name, Scope: scope, Kinds: typed[review.Kind](in.Body.Kinds), Reviewers: in.Body.Reviewers,
		Due: moment(&in.Body.Due), Effect: review.Effect(in.Body.Effect), Undecided: review.Decision(in.Body.Undecided),
	}))
}

// typed gives texts another type.
func typed[T ~string](list []string) (out []T) {
	for _, text := range list {
		out = append(out, T(text))
	}
	return out
}

// NamedAccessReview is the part of an input that names an access review.
type NamedAccessReview struct {
	Review string `path:"accessReview" maxLength:"64" doc:"Name or id."`
}

type accessReviewInput struct {
	calling
	NamedAccessReview
}

func (a *API) getAccessReview(ctx context.Context, in *accessReviewInput) (*accessReviewAnswer, error) {
	return accessReviewAnswerOf(a.engine.Reviews.AccessReview(ctx, in.caller, in.Review))
}

type changeAccessReviewInput struct {
	calling
	NamedAccessReview

	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
	Body    api.AccessReviewChange
}

func (a *API) changeAccessReview(ctx context.Context, in *changeAccessReviewInput) (*accessReviewAnswer, error) {
	var wrong invalid
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return accessReviewAnswerOf(a.engine.Reviews.ChangeAccessReview(ctx, in.caller, in.Review, reviews.Change{
		Reviewers: in.Body.Reviewers, Due: moment(in.Body.Due), IfRevision: revision,
	}))
}

type listAccessReviewItemsInput struct {
	calling
	NamedAccessReview
	Paging

	Kind      string `query:"kind" enum:"assignment,eligibility,membership,approver,breakGlass"`
	Principal string `query:"principal" maxLength:"256" doc:"Name or id of who has the access."`
	Decision  string `query:"decision" enum:"keep,remove,undecided"`
}

func (a *API) listAccessReviewItems(ctx context.Context, in *listAccessReviewItemsInput,
) (*answer[api.Page[api.AccessReviewItem]], error) {
	f := engine.AccessReviewItemFilter{
		Kind: review.Kind(in.Kind), Principal: access.PrincipalID(in.Principal), Decision: review.Decision(in.Decision),
	}
	if in.Decision == "undecided" {
		f.Decision, f.Undecided = "", true
	}
	list, err := a.engine.Reviews.Items(ctx, in.caller, in.Review, f, in.page())
	return &answer[api.Page[api.AccessReviewItem]]{page(list, accessReviewItemOut)}, err
}

type decideAccessInput struct {
	calling
	NamedAccessReview

	Body api.AccessDecisions
}

func (a *API) decideAccess(ctx context.Context, in *decideAccessInput) (*answer[api.AccessDecided], error) {
	var choices []review.Choice
	for _, it := range in.Body.Items {
		choices = append(choices, review.Choice{
			Number: it.Number, Digest: it.Digest, Revision: it.Revision,
			Decision: review.Decision(in.Body.Decision), Reason: in.Body.Reason,
		})
	}
	list, err := a.engine.Reviews.Decide(ctx, in.caller, in.Review, choices)
	out := api.AccessDecided{Items: make([]api.AccessDecision, 0, len(list))}
	for _, d := range list {
		one := api.AccessDecision{Item: accessReviewItemOut(d.Detail)}
		if d.Err != nil {
			one.Problem = &problemOf(d.Err).Problem
		}
		out.Items = append(out.Items, one)
	}
	return &answer[api.AccessDecided]{out}, err
}

type accessReviewReasonInput struct {
	calling
	NamedAccessReview

	Body api.AccessReviewReason
}

func (a *API) closeAccessReview(ctx context.Context, in *accessReviewReasonInput) (*accessReviewAnswer, error) {
	return accessReviewAnswerOf(a.engine.Reviews.CloseAccessReview(ctx, in.caller, in.Review, in.Body.Reason))
}

func (a *API) cancelAccessReview(ctx context.Context, in *accessReviewReasonInput) (*accessReviewAnswer, error) {
	return accessReviewAnswerOf(a.engine.Reviews.CancelAccessReview(ctx, in.caller, in.Review, in.Body.Reason))
}

// accessReviewEvidence writes evidence as it comes. One that breaks off does not verify.
func (a *API) accessReviewEvidence(w http.ResponseWriter, r *http.Request) {
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
	control, out, began := http.NewResponseController(w), bufio.NewWriterSize(w, 64<<10), false
	err = a.engine.Reviews.Evidence(r.Context(), caller, r.PathValue("accessReview"), func(line []byte) error {
		if !began {
			began = true
			w.Header().Set("Content-Type", exportType)
			w.Header().Set("Content-Disposition", `attachment; filename="access-review.ndjson"`)
		}
		if out.Available() < len(line) {
			if err := control.SetWriteDeadline(a.now().Add(answerTimeout)); err != nil {
				return err
			}
		}
		_, err := out.Write(line)
		return err
	})
	switch {
	case err != nil && !began:
		a.fail(w, r, err)
	case err != nil:
		a.log.WarnContext(r.Context(), "evidence broke off", "request_id", w.Header().Get(requestIDHeader), "error", err)
		panic(http.ErrAbortHandler) // the caller must not take it for whole
	default:
		if err := out.Flush(); err != nil {
			a.log.DebugContext(r.Context(), "the caller left evidence", "error", err)
		}
	}
}

func accessReviewOut(d reviews.Detail) api.AccessReview {
	r, t := d.Review, d.Tally
	out := api.AccessReview{
		ID: string(r.ID), Name: r.Name, Scope: string(r.Scope), Kinds: plain(r.Kinds), Owner: r.OwnerName,
		Reviewers: make([]api.AccessReviewer, 0, len(d.Reviewers)), Effect: string(r.Effect),
		Undecided: string(r.Undecided), Due: r.Due.UTC(), State: string(r.State), Items: r.Items,
		Counts: api.AccessReviewed{
			Undecided: t.Undecided, Keep: t.Keep, Remove: t.Remove, Removed: t.Removed, Gone: t.Gone, Failed: t.Failed,
		},
		CreatedAt: r.CreatedAt.UTC(), EndedAt: instant(r.EndedAt), Reason: r.Reason,
		MayDecide: d.MayDecide, MayManage: d.MayManage, Revision: r.Revision,
	}
	for _, p := range d.Reviewers {
		out.Reviewers = append(out.Reviewers, api.AccessReviewer{ID: string(p.ID), Kind: string(p.Kind), Name: p.Name})
	}
	return out
}

func accessReviewItemOut(d reviews.ItemDetail) api.AccessReviewItem {
	it, f := d.Item, d.Item.Facts
	return api.AccessReviewItem{
		Number: it.Number, Kind: string(f.Kind), Principal: f.PrincipalName, PrincipalID: string(f.Principal),
		PrincipalKind: string(f.PrincipalKind), Group: f.GroupName, Role: f.RoleName, Scope: string(f.Scope),
		Place: f.Place, Start: f.Start, End: f.End, Gives: f.Gives, Digest: f.Digest(), Changed: len(it.Former) > 0,
		Own: d.Own, Decision: string(it.Decision), DecidedBy: it.ByName, DecidedAt: instant(it.At), Reason: it.Reason,
		Outcome: string(it.Outcome), Problem: it.Problem, Revision: it.Revision,
	}
}
