package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func requestColumns() []column[api.Request] {
	return []column[api.Request]{
		{"ID", func(s style, r api.Request) string { return s.id(r.ID) }},
		{"WHO", func(_ style, r api.Request) string { return r.Requester }},
		{"ASKED", func(s style, r api.Request) string { return s.ago(&r.CreatedAt) }},
		{"FOR", func(s style, r api.Request) string { return s.list(placeTexts(s, r)) }},
		{"FROM", func(s style, r api.Request) string { return s.list(sourceTexts(s, r)) }},
		{"LENGTH", func(s style, r api.Request) string { return s.list(lengthTexts(s, r)) }},
		{"STATE", func(_ style, r api.Request) string { return r.State }},
		{"OPEN", func(_ style, r api.Request) string { return grantStates(r.Grants) }},
		{"REASON", func(_ style, r api.Request) string { return r.Justification }},
	}
}

// requestDetails are what a list of requests says where there is room for it.
func requestDetails() []column[api.Request] {
	return []column[api.Request]{
		{"START", func(s style, r api.Request) string { return s.timeIf(r.Start) }},
		{"TICKET", func(_ style, r api.Request) string { return r.Ticket }},
		{"EMERGENCY", func(_ style, r api.Request) string { return yesNo(r.BreakGlass) }},
		{"EXTENSION OF", func(s style, r api.Request) string { return s.id(r.Extends) }},
		{"MOVE OF", func(s style, r api.Request) string { return s.id(r.Moves) }},
		{"WAITS FOR", func(_ style, r api.Request) string {
			if r.State != "pending" {
				return ""
			}
			return strings.Join(approvalTexts(r), "; ")
		}},
		{"DECIDED", func(s style, r api.Request) string { return s.timeIf(r.DecidedAt) }},
		{"REQUESTED FROM", func(_ style, r api.Request) string { return r.Address }},
		{"DIGEST", func(_ style, r api.Request) string { return r.Digest }},
	}
}

func (a *app) requestListCommand() *cobra.Command {
	var q api.RequestQuery
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List requests, newest first",
		Long:  "List requests, newest first: your own, and those for machines whose requests you may read.",
		Example: "  postern request list --who me\n  postern request list --needs-me\n  postern request list " +
			"--state pending -o json",
		Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			requests, err := shown(a, cl.Requests(c.Context(), q), limit)
			if err != nil {
				return err
			}
			return printList(a, requests, requestColumns(), "No requests found.", requestDetails()...)
		}),
	}
	f := c.Flags()
	f.BoolVar(&q.NeedsMe, "needs-me", false, "only requests that you can decide now")
	f.StringVar(&q.State, "state", "", "filter by state: pending, approved, denied, canceled, timedOut")
	f.StringVar(&q.Machine, "machine", "", "filter by machine")
	f.StringVar(&q.Requester, "who", "", "filter by principal; me is you")
	amountFlag(c, &limit, "limit", 50, "maximum number of results")
	return c
}

func (a *app) requestShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show REQUEST",
		Short:   "Show a request and its outcome",
		Long:    "Show a request and its outcome. REQUEST is an id or its last characters as shown in lists.",
		Example: "  postern request show 7f3a9c12",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			r, err := findRequest(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			return a.printRequest(r)
		}),
	}
}

// findRequest takes an id or the end of one.
func findRequest(ctx context.Context, cl *api.Client, ref string) (api.Request, error) {
	if whole(ref) {
		return cl.Request(ctx, ref, 0)
	}
	newest, err := take(cl.Requests(ctx, api.RequestQuery{}), searched)
	if err != nil {
		return api.Request{}, err
	}
	// Whoever may decide sees requests that are in no list of theirs.
	mine, err := take(cl.Requests(ctx, api.RequestQuery{NeedsMe: true}), searched)
	if err != nil {
		return api.Request{}, err
	}
	for _, r := range mine {
		if !slices.ContainsFunc(newest, func(other api.Request) bool { return other.ID == r.ID }) {
			newest = append(newest, r)
		}
	}
	found, err := byTail("request", "postern request list", ref, newest, func(r api.Request) string { return r.ID })
	if err != nil {
		return api.Request{}, err
	}
	return cl.Request(ctx, found.ID, 0)
}
