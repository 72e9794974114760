package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) inboxCommand() *cobra.Command {
	return group("inbox", "Read what concerns you",
		`What was asked of you, decided, opened, ends soon or has ended: what is also sent by mail and chat, where there are
channels. Entries are kept for 90 days.`,
		a.listing(a.inboxListCommand()), a.inboxReadCommand())
}

func inboxColumns() []column[api.Notification] {
	return []column[api.Notification]{
		{"NEW", func(s style, n api.Notification) string {
			switch {
			case s.plain:
				return yesNo(n.Unread)
			case n.Unread:
				return "*"
			default:
				return ""
			}
		}},
		{"WHEN", func(s style, n api.Notification) string { return s.ago(&n.At) }},
		{"EVENT", func(_ style, n api.Notification) string { return n.Kind }},
		{"WHAT", func(_ style, n api.Notification) string { return n.Title }},
		{"BY", func(_ style, n api.Notification) string { return n.By }},
		{"ENDS", func(s style, n api.Notification) string { return s.timeIf(n.End) }},
		{"REQUEST", func(s style, n api.Notification) string {
			if n.Request == "" {
				return ""
			}
			return s.id(n.Request)
		}},
		{"WHY", func(_ style, n api.Notification) string { return n.Detail }},
	}
}

func (a *app) inboxListCommand() *cobra.Command {
	var unread bool
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List what concerns you, newest first",
		Long: `List what concerns you, newest first. An entry tells how things stand now: once a request that you were asked to
decide is settled, it says by whom. What is new has a star; postern inbox read takes it away.`,
		Example: "  postern inbox list\n  postern inbox list --unread\n  postern inbox list --unread --watch",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			list, err := shown(a, cl.Notifications(c.Context(), unread), limit)
			if err != nil {
				return err
			}
			return printList(a, list, inboxColumns(), "There is nothing new for you.")
		}),
	}
	c.Flags().BoolVar(&unread, "unread", false, "only what you have not read")
	amountFlag(c, &limit, "limit", 50, "maximum number of results")
	return c
}

func (a *app) inboxReadCommand() *cobra.Command {
	return &cobra.Command{
		Use: "read", Short: "Mark everything as read",
		Long:    "Mark everything in your inbox as read.",
		Example: "  postern inbox read", Args: takes(0, 0),
		RunE: a.done(func(ctx context.Context, cl *api.Client, _ []string) (string, error) {
			unread, err := cl.UnreadNotifications(ctx)
			if err != nil {
				return "", err
			}
			if unread.Count == 0 {
				return "There was nothing new.", nil
			}
			return fmt.Sprintf("Everything is marked as read (%d new).", unread.Count), cl.ReadNotifications(ctx, unread.Seq)
		}),
	}
}
