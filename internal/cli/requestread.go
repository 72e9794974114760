package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func requestColumns() []column[api.Request] {
	return []column[api.Request]{
		{"ID", func(s style, r api.Request) string { return s.id(r.ID) }},
		{"WHO", func(_ style, r api.Request) string { return r.Requester }},
		{"ASKED", func(s style, r api.Request) string { return s.ago(&r.CreatedAt) }},
		{"FOR", func(s style, r api.Request) string { return s.list(itemTexts(r)) }},
		{"STATE", func(_ style, r api.Request) string { return r.State }},
		{"OPEN", func(_ style, r api.Request) string { return grantStates(r.Grants) }},
		{"REASON", func(s style, r api.Request) string {
			if s.plain {
				return r.Justification
			}
			return clip(r.Justification, 32)
		}},
	}
}

func itemTexts(r api.Request) []string {
	texts := make([]string, len(r.Items))
	for i, it := range r.Items {
		if it.Role != nil {
			texts[i] = "role " + it.Role.Name
			continue
		}
		texts[i] = it.Machine + ":" + portText(it.Ports, it.Protocol)
	}
	return texts
}

// accessTexts says all that a decision on a request gives: of each item what, from where or at which scope, and for how
// long.
func accessTexts(s style, r api.Request) []string {
	texts := itemTexts(r)
	for i, it := range r.Items {
		switch from := strings.Join(it.Sources, ", "); {
		case it.Role != nil:
			texts[i] += " at " + it.Role.Scope
		case slices.ContainsFunc(it.Sources, func(p string) bool { return strings.HasSuffix(p, "/0") }):
			texts[i] += " from anywhere (" + from + ")"
		case len(it.Networks) > 0:
			texts[i] += " from " + strings.Join(it.Networks, ", ") + " (" + from + ")"
		default:
			texts[i] += " from " + from
		}
		if it.Until != nil {
			texts[i] += " until " + s.time(*it.Until)
		} else {
			texts[i] += " for " + seconds(it.ForSeconds)
		}
	}
	return texts
}

// chainTexts says how long each item would be open without a break, with what its requester has of it before and after.
func chainTexts(s style, r api.Request) []string {
	items, texts := itemTexts(r), []string{}
	for _, c := range r.Chains {
		text := fmt.Sprintf("%s from %s to %s, %s", items[c.Item], s.time(c.Start), s.time(c.End), seconds(c.Seconds))
		if c.Beyond {
			text += "; more than " + seconds(c.LongestSeconds) + " only people approve"
		}
		texts = append(texts, text)
	}
	return texts
}

// grantStates sums up what became of a request's grants: "active", or "1 active, 2 opening".
func grantStates(grants []api.Grant) string {
	counts := map[string]int{}
	for _, g := range grants {
		counts[g.State]++
	}
	var parts []string
	for _, state := range append(live(), "expired", "revoked", "superseded") {
		if n := counts[state]; n == len(grants) && n > 0 {
			return state
		} else if n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+state)
		}
	}
	return strings.Join(parts, ", ")
}

func (a *app) printRequest(r api.Request) error {
	if err := printItem(a, r, []column[api.Request]{
		{"Id", func(_ style, r api.Request) string { return r.ID }},
		{"State", func(_ style, r api.Request) string { return r.State }},
		{"Reason", func(_ style, r api.Request) string { return r.Reason }},
		{"Who", func(_ style, r api.Request) string { return r.Requester }},
		{"Asked", func(s style, r api.Request) string { return s.time(r.CreatedAt) }},
		{"Requested from", func(_ style, r api.Request) string { return r.Address }},
		{"Reason", func(_ style, r api.Request) string { return r.Justification }},
		{"Ticket", func(_ style, r api.Request) string { return r.Ticket }},
		{"Access", func(s style, r api.Request) string { return strings.Join(accessTexts(s, r), "; ") }},
		{"Start", func(s style, r api.Request) string { return s.timeIf(r.Start) }},
		{"Continuous access", func(s style, r api.Request) string { return strings.Join(chainTexts(s, r), "; ") }},
		{"Pending until", func(s style, r api.Request) string {
			if r.State != "pending" {
				return ""
			}
			return s.timeIf(r.PendingUntil)
		}},
		{"Decided", func(s style, r api.Request) string { return s.timeIf(r.DecidedAt) }},
		{"Windows", func(s style, r api.Request) string {
			if len(r.Windows) == 0 {
				return ""
			}
			return fmt.Sprintf("%d, from %s to %s", len(r.Windows), s.time(r.Windows[0]),
				s.time(r.Windows[len(r.Windows)-1]))
		}},
		{"Extension of", func(s style, r api.Request) string {
			if r.Extends == "" {
				return ""
			}
			return s.id(r.Extends)
		}},
		{"Emergency", func(_ style, r api.Request) string {
			if !r.BreakGlass {
				return ""
			}
			return "break-glass: an approver has to review it"
		}},
		{"Approval", func(_ style, r api.Request) string { return strings.Join(approvalTexts(r), "; ") }},
		{"Decisions", func(_ style, r api.Request) string { return strings.Join(decisionTexts(r), "; ") }},
	}); err != nil || a.output != "table" || len(r.Grants) == 0 {
		return err
	}
	a.line("")
	return printList(a, openSorted(r.Grants), grantColumns(), "")
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
			return printList(a, requests, requestColumns(), "No requests found.")
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
