package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// AccessReview is a list of who has access at a scope that reviewers confirm or remove by a due date.
type AccessReview struct {
	ID        string           `json:"id"`
	Name      string           `json:"name"`
	Scope     string           `json:"scope" doc:"What lies there and below is reviewed."`
	Kinds     []string         `json:"kinds" doc:"assignment, eligibility, membership, approver, breakGlass."`
	Owner     string           `json:"owner" doc:"By whose right access is removed."`
	Reviewers []AccessReviewer `json:"reviewers"`
	Effect    string           `json:"effect" doc:"atOnce: access is removed with the decision. atEnd: when the review ends."`
	Undecided string           `json:"undecided" doc:"keep or remove: what becomes of items that nobody has decided when the review ends."`
	Due       time.Time        `json:"due"`
	State     string           `json:"state" doc:"starting, open, closing, closed, canceled."`
	Items     int              `json:"items"`
	Counts    AccessReviewed   `json:"counts"`
	CreatedAt time.Time        `json:"createdAt"`
	EndedAt   *time.Time       `json:"endedAt,omitempty" doc:"When decisions ceased to be taken."`
	Reason    string           `json:"reason,omitempty" doc:"Why it was ended before it was due, or canceled."`
	MayDecide bool             `json:"mayDecide" doc:"The caller is one of the reviewers."`
	MayManage bool             `json:"mayManage" doc:"The caller may change, close and cancel it."`
	Revision  int64            `json:"revision" doc:"Also in the ETag header; send it as If-Match to change what you saw."`
}

// AccessReviewer is a person or a group that reviews.
type AccessReviewer struct {
	ID   string `json:"id"`
	Kind string `json:"kind" doc:"user or group."`
	Name string `json:"name"`
}

// AccessReviewed counts the items of an access review.
type AccessReviewed struct {
	Undecided int `json:"undecided"`
	Keep      int `json:"keep"`
	Remove    int `json:"remove" doc:"Decided so, whether or not it was carried out."`
	Removed   int `json:"removed"`
	Gone      int `json:"gone" doc:"Were not there any more."`
	Failed    int `json:"failed" doc:"Could not be removed."`
}

// NewAccessReview is an access review to create.
type NewAccessReview struct {
	Name      string    `json:"name" minLength:"1" maxLength:"64"`
	Scope     string    `json:"scope,omitempty" maxLength:"2048" doc:"Resource id; absent: everything."`
	Kinds     []string  `json:"kinds,omitempty" maxItems:"5" doc:"assignment, eligibility, membership, approver, breakGlass; absent: all."`
	Reviewers []string  `json:"reviewers" minItems:"1" maxItems:"50" doc:"Names or ids of people and groups."`
	Due       time.Time `json:"due"`
	Effect    string    `json:"effect" enum:"atOnce,atEnd"`
	Undecided string    `json:"undecided" enum:"keep,remove" doc:"What becomes of items that nobody has decided when the review ends."`
}

// AccessReviewChange changes an open access review; what is absent stays.
type AccessReviewChange struct {
	Reviewers []string   `json:"reviewers,omitempty" maxItems:"50" doc:"Names or ids of people and groups."`
	Due       *time.Time `json:"due,omitempty"`
}

// AccessReviewItem is one entry of an access review.
type AccessReviewItem struct {
	Number        int        `json:"number"`
	Kind          string     `json:"kind" doc:"assignment, eligibility, membership, approver, breakGlass."`
	Principal     string     `json:"principal" doc:"Name of who has the access."`
	PrincipalID   string     `json:"principalId"`
	PrincipalKind string     `json:"principalKind,omitempty"`
	Group         string     `json:"group,omitempty" doc:"Of a membership."`
	Role          string     `json:"role,omitempty"`
	Scope         string     `json:"scope,omitempty"`
	Place         string     `json:"place,omitempty" doc:"Where, in words."`
	Start         string     `json:"start,omitempty"`
	End           string     `json:"end,omitempty"`
	Gives         string     `json:"gives,omitempty" doc:"What the access allows, in words."`
	Digest        string     `json:"digest" doc:"Of what is shown; a decision names it."`
	Changed       bool       `json:"changed,omitempty" doc:"It has changed since the review started."`
	Own           bool       `json:"own,omitempty" doc:"It is access of the caller's own, which another reviewer must decide."`
	Decision      string     `json:"decision,omitempty" doc:"keep or remove."`
	DecidedBy     string     `json:"decidedBy,omitempty"`
	DecidedAt     *time.Time `json:"decidedAt,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	Outcome       string     `json:"outcome,omitempty" doc:"removed, gone or failed."`
	Problem       string     `json:"problem,omitempty" doc:"Why it could not be removed."`
	Revision      int64      `json:"revision" doc:"A decision names it."`
}

// AccessDecisions decides items of an access review.
type AccessDecisions struct {
	Decision string            `json:"decision" enum:"keep,remove"`
	Reason   string            `json:"reason,omitempty" maxLength:"1000" doc:"Required to remove."`
	Items    []AccessReviewRef `json:"items" minItems:"1" maxItems:"100"`
}

// AccessReviewRef names an item as it was shown.
type AccessReviewRef struct {
	Number   int    `json:"number" minimum:"1"`
	Digest   string `json:"digest" maxLength:"64"`
	Revision int64  `json:"revision"`
}

// AccessDecided says for each item what came of a decision.
type AccessDecided struct {
	Items []AccessDecision `json:"items"`
}

// AccessDecision is what came of the decision of one item.
type AccessDecision struct {
	Item    AccessReviewItem `json:"item" doc:"As it is now."`
	Problem *Problem         `json:"problem,omitempty" doc:"Why the decision was refused; absent where it was taken."`
}

// AccessReviewReason is why an access review is closed early or canceled.
type AccessReviewReason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}

// AccessReviewItemQuery narrows the items of an access review; zero fields do not narrow.
type AccessReviewItemQuery struct {
	Kind      string
	Principal string // name or id
	Decision  string // keep, remove or undecided
}

// AccessReviews lists the access reviews that the caller may see, newest first.
func (c *Client) AccessReviews(ctx context.Context, state string) iter.Seq2[AccessReview, error] {
	return pages[AccessReview](ctx, c, "/access-reviews", query("state", state))
}

// AccessReview returns an access review by its name or id.
func (c *Client) AccessReview(ctx context.Context, review string) (AccessReview, error) {
	return ask[AccessReview](ctx, c, call{method: http.MethodGet, path: accessReviewPath(review, "")})
}

// CreateAccessReview lists who has access, and opens the list to its reviewers.
func (c *Client) CreateAccessReview(ctx context.Context, in NewAccessReview) (AccessReview, error) {
	return ask[AccessReview](ctx, c, call{method: http.MethodPost, path: "/access-reviews", body: in})
}

// ChangeAccessReview changes an open access review; with ifRevision only if it is still of that revision.
func (c *Client) ChangeAccessReview(ctx context.Context, review string, in AccessReviewChange,
	ifRevision int64,
) (AccessReview, error) {
	return ask[AccessReview](ctx, c, call{
		method: http.MethodPatch, path: accessReviewPath(review, ""), header: ifMatch(ifRevision), body: in,
	})
}

// AccessReviewItems lists the items of an access review by number.
func (c *Client) AccessReviewItems(ctx context.Context, review string,
	q AccessReviewItemQuery,
) iter.Seq2[AccessReviewItem, error] {
	return pages[AccessReviewItem](ctx, c, accessReviewPath(review, "/items"),
		query("kind", q.Kind, "principal", q.Principal, "decision", q.Decision))
}

// DecideAccess decides at most 100 items, each on its own.
func (c *Client) DecideAccess(ctx context.Context, review string, in AccessDecisions) (AccessDecided, error) {
	return ask[AccessDecided](ctx, c,
		call{method: http.MethodPost, path: accessReviewPath(review, "/decisions"), body: in})
}

// CloseAccessReview ends an access review before it is due, and carries out what it removes.
func (c *Client) CloseAccessReview(ctx context.Context, review, reason string) (AccessReview, error) {
	return ask[AccessReview](ctx, c, call{
		method: http.MethodPost, path: accessReviewPath(review, "/close"), body: AccessReviewReason{Reason: reason},
	})
}

// CancelAccessReview ends an access review without anything further being removed.
func (c *Client) CancelAccessReview(ctx context.Context, review, reason string) (AccessReview, error) {
	return ask[AccessReview](ctx, c, call{
		method: http.MethodPost, path: accessReviewPath(review, "/cancel"), body: AccessReviewReason{Reason: reason},
	})
}

// AccessReviewEvidence returns what proves an access review offline; the caller closes it.
func (c *Client) AccessReviewEvidence(ctx context.Context, review string) (io.ReadCloser, error) {
	response, err := c.send(ctx, call{method: http.MethodGet, path: accessReviewPath(review, "/evidence")})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func accessReviewPath(review, rest string) string {
	return "/access-reviews/" + url.PathEscape(review) + rest
}
