package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ApprovalCase is what a policy asks for where its condition and hours hold. Of several cases the first that applies
// counts; without any, requests inside the limits are approved at once.
type ApprovalCase struct {
	Name   string          `json:"name,omitempty" maxLength:"256"`
	When   string          `json:"when,omitempty" maxLength:"4096" doc:"A CEL expression over requester, machine, request and now; absent always holds."`
	Hours  *Hours          `json:"hours,omitempty" doc:"When the case holds; absent is always."`
	Stages []ApprovalStage `json:"stages,omitempty" maxItems:"8" doc:"In order; none approves at once."`
	Denies int             `json:"denies,omitempty" minimum:"0" maximum:"50" doc:"Denies that end the request; one if absent."`
	StepUp bool            `json:"stepUp,omitempty" doc:"Requesting and deciding need a fresh sign-in with a passkey."`
}

// Hours is a weekly span of a time zone.
type Hours struct {
	Zone string   `json:"zone" maxLength:"64" doc:"IANA name, such as Europe/Berlin."`
	Days []string `json:"days,omitempty" maxItems:"7" enum:"mon,tue,wed,thu,fri,sat,sun" doc:"Absent: every day."`
	From string   `json:"from" pattern:"^[0-2][0-9]:[0-5][0-9]$" doc:"Such as 08:00."`
	To   string   `json:"to" pattern:"^[0-2][0-9]:[0-5][0-9]$" doc:"Such as 18:00; not after from means over midnight."`
}

// ApprovalStage is met by distinct people: by every quorum of allOf and, where there are any, one of anyOf.
type ApprovalStage struct {
	AllOf          []Quorum `json:"allOf,omitempty" maxItems:"16"`
	AnyOf          []Quorum `json:"anyOf,omitempty" maxItems:"16"`
	TimeoutSeconds int64    `json:"timeoutSeconds,omitempty" minimum:"0" doc:"Not met so long, the next stage decides in its place."`
}

// Quorum asks for a number of distinct people.
type Quorum struct {
	Count  int      `json:"count" minimum:"1" maximum:"50"`
	Groups []string `json:"groups,omitempty" maxItems:"200" doc:"Names or ids: whoever is in one of them, directly or not."`
	People []string `json:"people,omitempty" maxItems:"200" doc:"Names or ids."`
}

// TicketRule says what a ticket must be.
type TicketRule struct {
	Required bool   `json:"required,omitempty"`
	Pattern  string `json:"pattern,omitempty" maxLength:"512" doc:"A regular expression (RE2) that the whole of it must match."`
	Checked  bool   `json:"checked,omitempty" doc:"The server's ticket webhook must agree; where it does not answer, the request is refused."`
}

// BreakGlassRule says who may open without approval in an emergency.
type BreakGlassRule struct {
	Groups     []string `json:"groups,omitempty" maxItems:"200" doc:"Names or ids."`
	People     []string `json:"people,omitempty" maxItems:"200" doc:"Names or ids."`
	MaxSeconds int64    `json:"maxSeconds" minimum:"1"`
}

// NewDecision approves or denies a request.
type NewDecision struct {
	Approve bool   `json:"approve"`
	Comment string `json:"comment,omitempty" maxLength:"4096"`
	Digest  string `json:"digest" minLength:"1" maxLength:"128" doc:"The digest of the request as it was shown: what has changed since is not decided."`
}

// Decision is one approver's approve or deny.
type Decision struct {
	Person   string    `json:"person" doc:"Name."`
	PersonID string    `json:"personId"`
	Approve  bool      `json:"approve"`
	Comment  string    `json:"comment,omitempty"`
	At       time.Time `json:"at"`
	Approval int       `json:"approval" doc:"Which of the request's approvals it counts for, from 0."`
	Stage    int       `json:"stage" doc:"The stage that was being decided, from 0."`
}

// Approval is how deciding stands for the items of one case.
type Approval struct {
	Case         ApprovalCase `json:"case"`
	Items        []int        `json:"items" doc:"The items that it is asked for, from 0."`
	State        string       `json:"state" enum:"waiting,approved,denied"`
	Stage        int          `json:"stage" doc:"The stage that decides now, from 0."`
	Until        *time.Time   `json:"until,omitempty" doc:"When the next stage takes over."`
	Wanted       []Quorum     `json:"wanted,omitempty" doc:"Quorums of this stage that are not met yet, with the count still wanted."`
	Counted      []string     `json:"counted,omitempty" doc:"Names of those whose approvals count in this stage."`
	Deciders     []string     `json:"deciders,omitempty" doc:"Names of who may decide now and has not; the first 50."`
	DeciderCount int          `json:"deciderCount,omitempty"`
}

// Extension asks for a later end of a grant. Exactly one of ForSeconds and Until is given.
type Extension struct {
	ForSeconds    int64      `json:"forSeconds,omitempty" minimum:"1" doc:"Beyond the present end."`
	Until         *time.Time `json:"until,omitempty"`
	Justification string     `json:"justification,omitempty" maxLength:"4096" doc:"Absent: that of the first request."`
	Ticket        string     `json:"ticket,omitempty" maxLength:"256" doc:"Absent: that of the first request."`
}

// Move asks for a grant to be open from other sources in the place of its own, until the same end.
type Move struct {
	Sources       []string `json:"sources,omitempty" maxItems:"100" doc:"Prefixes, addresses, or names of networks; absent, or \"me\", is the caller's own address."`
	Justification string   `json:"justification,omitempty" maxLength:"4096" doc:"Absent: that of the first request."`
	Ticket        string   `json:"ticket,omitempty" maxLength:"256" doc:"Absent: that of the first request."`
}

// Review is the debt that breaking glass leaves, until an approver closes it.
type Review struct {
	ID        string     `json:"id"`
	Person    string     `json:"person" doc:"Name of who broke the glass."`
	PersonID  string     `json:"personId"`
	Offline   bool       `json:"offline,omitempty" doc:"Opened on the machine itself, with a sealed code."`
	CreatedAt time.Time  `json:"createdAt"`
	ClosedAt  *time.Time `json:"closedAt,omitempty"`
	ClosedBy  string     `json:"closedBy,omitempty" doc:"Id of who closed it."`
	Comment   string     `json:"comment,omitempty"`
	Request   *Request   `json:"request,omitempty"`
	Mine      bool       `json:"mine,omitempty" doc:"The caller may close it."`
}

// ReviewComment closes a review.
type ReviewComment struct {
	Comment string `json:"comment" minLength:"1" maxLength:"4096" doc:"What was found."`
}

// Question asks what would happen to a request.
type Question struct {
	Person        string     `json:"person,omitempty" maxLength:"256" doc:"Name or id of who would ask; absent is the caller."`
	Machine       string     `json:"machine" maxLength:"2048"`
	Ports         string     `json:"ports" maxLength:"16"`
	Protocol      string     `json:"protocol,omitempty" enum:"tcp,udp,any"`
	Sources       []string   `json:"sources,omitempty" maxItems:"100" doc:"Prefixes, names of networks, or me; the caller's address if absent."`
	ForSeconds    int64      `json:"forSeconds,omitempty" minimum:"1" doc:"One hour if absent."`
	At            *time.Time `json:"at,omitempty" doc:"When it would be asked; absent is now."`
	Start         *time.Time `json:"start,omitempty" doc:"For when; absent is at once."`
	Justification string     `json:"justification,omitempty" maxLength:"4096" doc:"Absent: one that fits is assumed."`
	Ticket        string     `json:"ticket,omitempty" maxLength:"256" doc:"Absent: one that fits is assumed."`
}

// Chain is how long something would be open without a break, with what the same person has, had or will have of it less
// than the policy's gap before or after. Limits hold for that, and not for one request of many.
type Chain struct {
	Item           int       `json:"item" doc:"Of the request, from 0."`
	Start          time.Time `json:"start"`
	End            time.Time `json:"end"`
	Seconds        int64     `json:"seconds" doc:"From start to end; where it is beyond the longest, perhaps more."`
	LongestSeconds int64     `json:"longestSeconds" doc:"The most that is approved without people."`
	GapSeconds     int64     `json:"gapSeconds" doc:"What lies less than so long apart counts as one."`
	Beyond         bool      `json:"beyond,omitempty" doc:"It is longer than that: only people can approve it."`
}

// Explanation is the answer: every step, and what they come to.
type Explanation struct {
	Outcome   string         `json:"outcome" enum:"automatic,approval,refused"`
	Steps     []ExplainStep  `json:"steps"`
	Reasons   []Reason       `json:"reasons,omitempty" doc:"Every reason for the refusal."`
	Case      *ApprovalCase  `json:"case,omitempty" doc:"The first of the cases."`
	Cases     []ApprovalCase `json:"cases,omitempty" doc:"The cases of the rule under which it falls: those that apply when it is asked, and at some time of what is asked for. It needs what all of them ask for."`
	Chain     *Chain         `json:"chain,omitempty" doc:"How long it would be open without a break."`
	Approvers []string       `json:"approvers,omitempty" doc:"Names of who may decide in some stage; the first 50."`
}

// ExplainStep is one step of an explanation.
type ExplainStep struct {
	Step string `json:"step" doc:"machine, authorization, limits, chain, case, stage or step-up."`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Decide approves or denies a request; digest is that of the request as it was shown.
func (c *Client) Decide(ctx context.Context, request string, in NewDecision) (Request, error) {
	return ask[Request](ctx, c,
		call{method: http.MethodPost, path: "/requests/" + url.PathEscape(request) + "/decisions", body: in})
}

// Extend asks for a later end of a grant.
func (c *Client) Extend(ctx context.Context, grant string, in Extension) (Request, error) {
	return ask[Request](ctx, c,
		call{method: http.MethodPost, path: "/grants/" + url.PathEscape(grant) + "/extend", body: in})
}

// Move asks for a grant to be open from other sources in the place of its own. Where the policy approves by itself, the
// grant that took its place is in the answer. An empty key makes one.
func (c *Client) Move(ctx context.Context, grant string, in Move, idempotencyKey string) (Request, error) {
	if idempotencyKey == "" {
		idempotencyKey = NewIdempotencyKey()
	}
	return ask[Request](ctx, c, call{
		method: http.MethodPost, path: "/grants/" + url.PathEscape(grant) + "/move",
		header: http.Header{"Idempotency-Key": {idempotencyKey}}, body: in,
	})
}

// Revoked is what one call ended.
type Revoked struct {
	Items []Grant `json:"items" doc:"The grants that were ended: what was open comes first."`
	More  bool    `json:"more,omitempty" doc:"There are more. Agents are told to close all of it at once, and each is marked as ended within seconds."`
}

// RevokePrincipal ends everything that a principal holds, and gives the grants that were ended.
func (c *Client) RevokePrincipal(ctx context.Context, principal, reason string) (Revoked, error) {
	return ask[Revoked](ctx, c,
		call{
			method: http.MethodPost, path: "/principals/" + url.PathEscape(principal) + "/revoke",
			body: Note{Reason: reason},
		})
}

// Reviews lists debts of review, the newest first; only the open ones where open says so.
func (c *Client) Reviews(ctx context.Context, open bool) iter.Seq2[Review, error] {
	v := url.Values{}
	if open {
		v.Set("open", "true")
	}
	return pages[Review](ctx, c, "/reviews", v)
}

// CloseReview pays a debt of review.
func (c *Client) CloseReview(ctx context.Context, id, comment string) (Review, error) {
	return ask[Review](ctx, c,
		call{
			method: http.MethodPost, path: "/reviews/" + url.PathEscape(id) + "/close",
			body: ReviewComment{Comment: comment},
		})
}

// Explain tells what would happen to a request, step by step.
func (c *Client) Explain(ctx context.Context, in Question) (Explanation, error) {
	return ask[Explanation](ctx, c, call{method: http.MethodPost, path: "/policies/explain", body: in})
}
