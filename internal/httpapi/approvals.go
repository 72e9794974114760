package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

func (a *API) approvalRoutes() {
	const tag = "Approvals"
	register(a, operation{
		method: http.MethodPost, path: "/requests/{request}/decisions", id: "decideRequest", tag: tag, entry: people,
		summary: "Approve or deny a request as it was shown",
	}, a.decide)
	register(a, operation{
		method: http.MethodPost, path: "/grants/{grant}/extend", id: "extendGrant", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Ask for a later end of a grant, under the same rule",
	}, a.extend)
	register(a, operation{
		method: http.MethodPost, path: "/grants/{grant}/move", id: "moveGrant", tag: tag,
		status: http.StatusCreated, entry: people,
		summary: "Ask for a grant to be open from another address in the place of its own, under the same rule",
	}, a.move)
	register(a, operation{
		method: http.MethodPost, path: "/principals/{principal}/revoke", id: "revokePrincipal", tag: tag, entry: people,
		summary: "End everything that a principal holds, and take back what it asks for",
	}, a.revokePrincipal)
	register(a, operation{
		method: http.MethodGet, path: "/reviews", id: "listReviews", tag: tag, entry: people,
		summary: "List the debts of review that breaking glass left, the newest first",
	}, a.listReviews)
	register(a, operation{
		method: http.MethodPost, path: "/reviews/{review}/close", id: "closeReview", tag: tag, entry: people,
		summary: "Close a review, as an approver, with what was found",
	}, a.closeReview)
	register(a, operation{
		method: http.MethodPost, path: "/policies/explain", id: "explainPolicies", tag: "Policies", entry: people,
		summary: "Tell what would happen to a request, step by step, without making it",
	}, a.explain)
}

type decideInput struct {
	calling

	Request string `path:"request" maxLength:"64"`
	Body    api.NewDecision
}

func (a *API) decide(ctx context.Context, in *decideInput) (*answer[api.Request], error) {
	d, err := a.engine.Requests.Decide(ctx, in.caller, access.RequestID(in.Request), in.Body.Approve, in.Body.Comment,
		in.Body.Digest)
	return &answer[api.Request]{requestOut(d)}, err
}

type extendInput struct {
	calling

	Grant string `path:"grant" maxLength:"64"`
	Body  api.Extension
}

func (a *API) extend(ctx context.Context, in *extendInput) (*answer[api.Request], error) {
	d, err := a.engine.Requests.Extend(ctx, in.caller, access.GrantID(in.Grant), requests.ExtendInput{
		For: seconds(in.Body.ForSeconds), Until: moment(in.Body.Until), Justification: in.Body.Justification,
		Ticket: in.Body.Ticket,
	})
	return &answer[api.Request]{requestOut(d)}, err
}

type moveInput struct {
	calling

	Grant string `path:"grant" maxLength:"64"`
	Key   string `header:"Idempotency-Key" maxLength:"255" doc:"Two calls with one key happen once; with another body, the second is refused."`
	Body  api.Move
}

func (a *API) move(ctx context.Context, in *moveInput) (*answer[api.Request], error) {
	var wrong invalid
	ask := requests.MoveInput{
		Justification: in.Body.Justification, Ticket: in.Body.Ticket, IdempotencyKey: in.Key,
	}
	wrong.sources("sources", in.Body.Sources, in.caller.Address, &ask.Sources, &ask.Networks)
	if len(wrong) > 0 {
		a.recordRefusal(ctx, in.caller, problemOf(wrong.err()).Reasons)
		return nil, wrong.err()
	}
	var err error
	if ask.Digest, err = digestOf([]any{in.Grant, in.Body}); err != nil {
		return nil, err
	}
	d, err := a.engine.Requests.Move(ctx, in.caller, access.GrantID(in.Grant), ask)
	if err != nil {
		return nil, err
	}
	out := requestOut(d)
	own := access.SingleAddress(in.caller.Address)
	a.warnOf(ctx, in.caller, in.warning, &out, len(in.Body.Sources) == 0 || slices.Contains(ask.Sources, own))
	return &answer[api.Request]{out}, nil
}

type revokePrincipalInput struct {
	calling

	Principal string `path:"principal" maxLength:"256" doc:"Name or id."`
	Body      api.Note
}

func (a *API) revokePrincipal(ctx context.Context, in *revokePrincipalInput) (*answer[api.Revoked], error) {
	ended, err := a.engine.Requests.RevokePrincipal(ctx, in.caller, in.Principal, in.Body.Reason)
	return &answer[api.Revoked]{api.Revoked{
		Items: page(engine.Listed[engine.GrantDetail]{Items: ended.Grants}, grantOut).Items, More: ended.More,
	}}, err
}

type listReviewsInput struct {
	calling
	Paging

	Open bool `query:"open" doc:"Only those that nobody has closed."`
}

func (a *API) listReviews(ctx context.Context, in *listReviewsInput) (*answer[api.Page[api.Review]], error) {
	list, err := a.engine.Requests.Reviews(ctx, in.caller, engine.ReviewFilter{Open: in.Open}, in.page())
	return &answer[api.Page[api.Review]]{page(list, reviewOut)}, err
}

type closeReviewInput struct {
	calling

	Review string `path:"review" maxLength:"64"`
	Body   api.ReviewComment
}

func (a *API) closeReview(ctx context.Context, in *closeReviewInput) (*answer[api.Review], error) {
	d, err := a.engine.Requests.CloseReview(ctx, in.caller, access.ReviewID(in.Review), in.Body.Comment)
	return &answer[api.Review]{reviewOut(d)}, err
}

type explainInput struct {
	calling

	Body api.Question
}

func (a *API) explain(ctx context.Context, in *explainInput) (*answer[api.Explanation], error) {
	var wrong invalid
	b := in.Body
	q := requests.Question{
		Person: b.Person, Machine: b.Machine, Ports: wrong.portRange("ports", b.Ports),
		Protocol: access.Protocol(b.Protocol),
		Duration: seconds(b.ForSeconds), At: moment(b.At), Start: moment(b.Start), Justification: b.Justification,
		Ticket: b.Ticket,
	}
	wrong.sources("sources", b.Sources, in.caller.Address, &q.Sources, &q.Networks)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	x, err := a.engine.Requests.Explain(ctx, in.caller, q)
	if err != nil {
		return nil, err
	}
	out := api.Explanation{
		Outcome: string(x.Outcome), Steps: make([]api.ExplainStep, 0, len(x.Steps)),
		Approvers: x.Approvers,
	}
	for _, s := range x.Steps {
		out.Steps = append(out.Steps, api.ExplainStep{Step: s.Step, OK: s.OK, Text: s.Text})
	}
	for _, r := range x.Reasons {
		out.Reasons = append(out.Reasons, api.Reason{Code: r.Code, Field: r.Field, Message: r.Message})
	}
	for _, one := range x.Cases {
		out.Cases = append(out.Cases, caseOut(one, x.Names))
	}
	if len(out.Cases) > 0 {
		out.Case = &out.Cases[0]
	}
	if x.Chain != nil {
		chain := chainOut(*x.Chain)
		out.Chain = &chain
	}
	return &answer[api.Explanation]{out}, nil
}

func days() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// approval reads the cases of a rule.
func (in *invalid) approval(cases []api.ApprovalCase) access.Rule {
	var rule access.Rule
	for i, c := range cases {
		next := access.Case{Name: c.Name, When: c.When, Denies: c.Denies, StepUp: c.StepUp}
		if c.Hours != nil {
			next.Hours = in.hours(fmt.Sprintf("approval[%d].hours", i), *c.Hours)
		}
		for _, s := range c.Stages {
			next.Stages = append(next.Stages,
				access.Stage{AllOf: quorums(s.AllOf), AnyOf: quorums(s.AnyOf), Timeout: seconds(s.TimeoutSeconds)})
		}
		rule.Cases = append(rule.Cases, next)
	}
	return rule
}

func (in *invalid) hours(field string, h api.Hours) access.Hours {
	out := access.Hours{Zone: h.Zone, From: in.minutes(field+".from", h.From), To: in.minutes(field+".to", h.To)}
	for _, d := range h.Days {
		out.Days = append(out.Days, time.Weekday(slices.Index(days(), d)))
	}
	return out
}

// minutes reads "08:00" up to "24:00" as minutes after midnight.
func (in *invalid) minutes(field, text string) int {
	if text == "24:00" {
		return 24 * 60
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		in.add("malformedHours", field, "%q is not a time of day; write one such as 08:00", clip(text))
	}
	return at.Hour()*60 + at.Minute()
}

func quorums(list []api.Quorum) []access.Quorum {
	var out []access.Quorum
	for _, q := range list {
		out = append(out, access.Quorum{Count: q.Count, Groups: principals(q.Groups), People: principals(q.People)})
	}
	return out
}

// principals takes names for ids: the engine finds out which they are.
func principals(refs []string) []access.PrincipalID {
	var out []access.PrincipalID
	for _, ref := range refs {
		out = append(out, access.PrincipalID(ref))
	}
	return out
}

func namesOut(ids []access.PrincipalID, names map[access.PrincipalID]string) []string {
	var out []string
	for _, id := range ids {
		if name := names[id]; name != "" {
			out = append(out, name)
		} else {
			out = append(out, string(id))
		}
	}
	return out
}

func quorumsOut(list []access.Quorum, names map[access.PrincipalID]string) []api.Quorum {
	var out []api.Quorum
	for _, q := range list {
		out = append(out,
			api.Quorum{Count: q.Count, Groups: namesOut(q.Groups, names), People: namesOut(q.People, names)})
	}
	return out
}

func caseOut(c access.Case, names map[access.PrincipalID]string) api.ApprovalCase {
	out := api.ApprovalCase{Name: c.Name, When: c.When, Denies: c.Denies, StepUp: c.StepUp}
	if !c.Hours.Always() {
		h := api.Hours{Zone: c.Hours.Zone, From: clock(c.Hours.From), To: clock(c.Hours.To)}
		for _, d := range c.Hours.Days {
			h.Days = append(h.Days, strings.ToLower(d.String()[:3]))
		}
		out.Hours = &h
	}
	for _, s := range c.Stages {
		out.Stages = append(out.Stages,
			api.ApprovalStage{
				AllOf: quorumsOut(s.AllOf, names), AnyOf: quorumsOut(s.AnyOf, names),
				TimeoutSeconds: int64(s.Timeout / time.Second),
			})
	}
	return out
}

func chainOut(c requests.Chain) api.Chain {
	return api.Chain{
		Item: c.Item, Start: c.Start.UTC(), End: c.End.UTC(), Seconds: int64(c.Length() / time.Second),
		LongestSeconds: int64(c.Longest / time.Second),
		GapSeconds:     int64(c.Gap / time.Second), Beyond: c.Beyond(),
	}
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

func approvalOut(p requests.ApprovalProgress, names map[access.PrincipalID]string) api.Approval {
	return api.Approval{
		Case: caseOut(p.Case, names), Items: p.Items, State: string(p.Outcome), Stage: p.Stage, Until: instant(p.Until),
		Wanted: quorumsOut(p.Open, names), Counted: namesOut(p.Counted, names), Deciders: namesOut(p.Deciders, names),
		DeciderCount: p.DeciderCount,
	}
}

func reviewOut(d requests.ReviewDetail) api.Review {
	v := d.Review
	out := api.Review{
		ID: string(v.ID), Person: v.PersonName, PersonID: string(v.Person), Offline: v.Offline,
		CreatedAt: v.CreatedAt.UTC(),
		ClosedAt:  instant(v.ClosedAt), ClosedBy: string(v.ClosedBy), Comment: v.Comment, Mine: d.Mine,
	}
	if d.Request != nil {
		r := requestOut(*d.Request)
		out.Request = &r
	}
	return out
}
