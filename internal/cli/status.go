package cli

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// mostOfStatus is how many of each kind postern status shows.
const mostOfStatus = 50

// standing is what postern status shows.
type standing struct {
	Server    string        `json:"server"`
	Principal api.Principal `json:"principal"`
	Address   string        `json:"address"`
	Warning   string        `json:"warning,omitempty"`
	ExpiresAt *time.Time    `json:"expiresAt,omitempty"` // of the session

	Open      []api.Grant   `json:"open"`      // the caller's, opening and scheduled ones too
	NotClosed []api.Access  `json:"notClosed"` // the caller's that was not seen closed
	Pending   []api.Request `json:"pending"`   // the caller's
	Decide    []api.Request `json:"decide"`    // those that the caller can decide
	Close     []api.Review  `json:"close"`     // those that the caller can close
	Owed      []api.Review  `json:"owed"`      // those of the caller's own break-glass access
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show your sign-in, what is open for you, and what waits for you",
		Long: `Show who you are and on which server, what is open or scheduled for you, which of your requests wait for a decision,
which requests wait for yours, and which break-glass reviews you have to close or still owe.`,
		Example: "  postern status\n  postern status -o json",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			s, err := a.standing(c.Context(), cl)
			if err != nil {
				return err
			}
			if !a.forPeople() {
				return printItem(a, s, standingColumns())
			}
			return a.printStanding(s)
		}),
	}
}

func (a *app) standing(ctx context.Context, cl *api.Client) (s standing, err error) {
	conf, err := a.effective()
	if err != nil {
		return s, err
	}
	me, err := cl.Me(ctx)
	if err != nil {
		return s, err
	}
	s = standing{
		Server: conf.Server, Principal: me.Principal, Address: me.Address, Warning: me.Warning,
		Close: []api.Review{}, Owed: []api.Review{},
	}
	set, err := cl.Credentials(ctx, "me")
	if err != nil && !missing(err) { // an API token may not list them
		return s, err
	}
	for _, session := range set.Sessions {
		if session.Current {
			s.ExpiresAt = &session.ExpiresAt
		}
	}
	if s.Open, err = upTo(cl.Grants(ctx, api.GrantQuery{States: live(), Principal: "me"})); err != nil {
		return s, err
	}
	if s.NotClosed, err = upTo(cl.NotClosed(ctx, "", "me")); err != nil {
		return s, err
	}
	if s.Pending, err = upTo(cl.Requests(ctx, api.RequestQuery{Requester: "me", State: "pending"})); err != nil {
		return s, err
	}
	if s.Decide, err = upTo(cl.Requests(ctx, api.RequestQuery{NeedsMe: true})); err != nil {
		return s, err
	}
	reviews, err := upTo(cl.Reviews(ctx, true))
	for _, v := range reviews {
		switch {
		case v.Mine:
			s.Close = append(s.Close, v)
		case v.PersonID == me.Principal.ID:
			s.Owed = append(s.Owed, v)
		}
	}
	return s, err
}

// upTo gives the first items of a list; what the caller may not list, there is none of for them.
func upTo[T any](list iter.Seq2[T, error]) ([]T, error) {
	items, err := take(list, mostOfStatus)
	if missing(err) {
		return []T{}, nil
	}
	return append([]T{}, items...), err
}

func standingColumns() []column[standing] {
	number := func(n int) string { return strconv.Itoa(n) }
	return []column[standing]{
		{"Server", func(_ style, s standing) string { return s.Server }},
		{"Name", func(_ style, s standing) string { return s.Principal.Name }},
		{"Address", func(_ style, s standing) string { return s.Address }},
		{"Signed in until", func(st style, s standing) string { return st.timeIf(s.ExpiresAt) }},
		{"Open", func(_ style, s standing) string { return number(len(s.Open)) }},
		{"Not seen closed", func(_ style, s standing) string { return number(len(s.NotClosed)) }},
		{"Pending", func(_ style, s standing) string { return number(len(s.Pending)) }},
		{"To decide", func(_ style, s standing) string { return number(len(s.Decide)) }},
		{"To review", func(_ style, s standing) string { return number(len(s.Close)) }},
		{"Reviews owed", func(_ style, s standing) string { return number(len(s.Owed)) }},
	}
}

func (a *app) printStanding(s standing) error {
	if err := printItem(a, s, []column[standing]{
		{"Signed in as", func(_ style, s standing) string {
			if s.Principal.DisplayName != "" {
				return s.Principal.Name + " (" + s.Principal.DisplayName + ")"
			}
			return s.Principal.Name
		}},
		{"Server", func(_ style, s standing) string { return s.Server }},
		{"Until", func(st style, s standing) string { return st.timeIf(s.ExpiresAt) }},
		{"Address", func(_ style, s standing) string { return s.Address }},
		{"Warning", func(_ style, s standing) string { return s.Warning }},
	}); err != nil {
		return err
	}
	if len(s.Open)+len(s.NotClosed)+len(s.Pending)+len(s.Decide)+len(s.Close)+len(s.Owed) == 0 {
		a.line("\nNothing is open for you, and nothing waits for you.")
		return nil
	}
	for _, part := range []func() error{
		section(a, "Open and scheduled for you; end it with: postern revoke GRANT", s.Open, grantColumns()),
		section(a, "May still be open: it ended, and was not seen closed", s.NotClosed, accessColumns()),
		section(a, "Your requests that wait for a decision", s.Pending, requestColumns()),
		section(a, "Wait for your decision; see: postern approve REQUEST", s.Decide, requestColumns()),
		section(a, "Break-glass access for you to review; see: postern review close REVIEW", s.Close, reviewColumns()),
		section(a, "Your break-glass access that an approver has still to review; until then you cannot use it again",
			s.Owed, reviewColumns()),
	} {
		if err := part(); err != nil {
			return err
		}
	}
	if away := openElsewhere(s.Open, s.Address); len(away) > 0 {
		a.line("\nYour address is %s. Open from other addresses: %s. Move it with: postern move %s", s.Address,
			whatTexts(away), away[0].Machine)
	}
	return nil
}

// openElsewhere returns the grants that are open from other addresses than the given one.
func openElsewhere(grants []api.Grant, address string) []api.Grant {
	own, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(grants), func(g api.Grant) bool {
		return g.Role != nil || isScheduled(g) || slices.ContainsFunc(g.Sources, func(text string) bool {
			source, err := netip.ParsePrefix(text)
			return err != nil || source.Contains(own)
		})
	})
}

// whatTexts names what the grants are of.
func whatTexts(grants []api.Grant) string {
	texts := make([]string, len(grants))
	for i, g := range grants {
		texts[i] = whatOf(g)
	}
	return strings.Join(texts, ", ")
}

// section prints one kind of thing below a line that says what it is; nothing where there is none.
func section[T any](a *app, what string, items []T, columns []column[T]) func() error {
	return func() error {
		if len(items) == 0 {
			return nil
		}
		more := ""
		if len(items) == mostOfStatus {
			more = fmt.Sprintf(" (the first %d)", mostOfStatus)
		}
		a.line("\n%s%s:", what, more)
		return printTable(a, items, columns, true)
	}
}
