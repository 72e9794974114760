package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) alertCommand() *cobra.Command {
	return group("alert", "View and handle alerts",
		"View and handle alerts: attempts at closed ports, refused requests, silent agents, and more.",
		a.listing(a.alertListCommand()), a.alertShowCommand(), a.alertAckCommand(), a.alertCloseCommand(),
		a.listing(a.alertRulesCommand()))
}

func alertColumns() []column[api.Alert] {
	return []column[api.Alert]{
		{"ID", func(s style, v api.Alert) string { return s.id(v.ID) }},
		{"SEVERITY", func(_ style, v api.Alert) string { return v.Severity }},
		{"STATE", func(_ style, v api.Alert) string { return v.State }},
		{"WHAT", func(_ style, v api.Alert) string { return v.Title }},
		{"ABOUT", func(_ style, v api.Alert) string {
			if v.About != "" {
				return v.About
			}
			return v.Source
		}},
		{"COUNT", func(_ style, v api.Alert) string { return strconv.FormatInt(v.Count, 10) }},
		{"LAST SEEN", func(s style, v api.Alert) string { return s.clock(v.LastSeen) }},
	}
}

// alertDetails are what an alert says beside that.
func alertDetails() []column[api.Alert] {
	return []column[api.Alert]{
		{"DETAIL", func(_ style, v api.Alert) string { return v.Detail }},
		{"FROM", func(_ style, v api.Alert) string { return v.Source }},
		{"FIRST SEEN", func(s style, v api.Alert) string { return s.time(v.FirstSeen) }},
		{"RULE", func(_ style, v api.Alert) string { return v.Rule }},
		{"EVIDENCE", func(_ style, v api.Alert) string { return strings.Trim(fmt.Sprint(v.Evidence), "[]") }},
		{"BY", func(_ style, v api.Alert) string { return v.ChangedBy }},
		{"COMMENT", func(_ style, v api.Alert) string { return v.Comment }},
	}
}

func (a *app) alertListCommand() *cobra.Command {
	var q api.AlertQuery
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "List alerts",
		Long:    "List open and acknowledged alerts, newest first; with --all or --state also closed ones.",
		Example: "  postern alert list\n  postern alert list --state closed --rule denied.rate", Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			found, err := api.All(cl.Alerts(c.Context(), q))
			if err != nil {
				return err
			}
			var shown []api.Alert
			for _, v := range found {
				if all || q.State != "" || v.State != "closed" {
					shown = append(shown, v)
				}
			}
			return printList(a, shown, alertColumns(), "No alerts found.", alertDetails()...)
		}),
	}
	c.Flags().StringVar(&q.State, "state", "", "filter by state: open, acknowledged or closed")
	c.Flags().StringVar(&q.Rule, "rule", "", "filter by rule")
	c.Flags().BoolVar(&all, "all", false, "include closed alerts")
	return c
}

// alert gives the alert that ref names: an id, or its last characters.
func (a *app) alert(c *cobra.Command, cl *api.Client, ref string) (api.Alert, error) {
	if whole(ref) {
		return cl.Alert(c.Context(), ref)
	}
	found, err := take(cl.Alerts(c.Context(), api.AlertQuery{}), searched)
	if err != nil {
		return api.Alert{}, err
	}
	return byTail("alert", "postern alert list --all", ref, found, func(v api.Alert) string { return v.ID })
}

func (a *app) alertShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ALERT", Short: "Show one alert with its evidence",
		Long: "Show one alert with its evidence: record numbers in the activity log. ALERT is an id or its last " +
			"characters.",
		Example: "  postern alert show 7f3a9c12", Args: takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			v, err := a.alert(c, cl, args[0])
			if err != nil {
				return err
			}
			return printItem(a, v, append(alertColumns(), alertDetails()...))
		}),
	}
}

// moveAlert finds an alert, moves it on with a comment, and shows what became of it.
func (a *app) moveAlert(c *cobra.Command, ref, comment string,
	move func(cl *api.Client, ctx context.Context, id, comment string) (api.Alert, error),
) error {
	cl, err := a.client()
	if err != nil {
		return err
	}
	v, err := a.alert(c, cl, ref)
	if err != nil {
		return err
	}
	if v, err = move(cl, c.Context(), v.ID, comment); err != nil {
		return err
	}
	return printList(a, []api.Alert{v}, alertColumns(), "")
}

func (a *app) alertAckCommand() *cobra.Command {
	var comment string
	c := &cobra.Command{
		Use: "ack ALERT", Short: "Acknowledge an alert",
		Long:    "Acknowledge an alert. No further notifications are sent unless it becomes more severe.",
		Example: "  postern alert ack 7f3a9c12 --comment \"calling the data centre\"", Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.moveAlert(c, args[0], comment, (*api.Client).AcknowledgeAlert)
		},
	}
	c.Flags().StringVar(&comment, "comment", "", "what you are doing about it")
	return c
}

func (a *app) alertCloseCommand() *cobra.Command {
	var comment string
	c := &cobra.Command{
		Use: "close ALERT", Short: "Close an alert",
		Long: "Close an alert. An alert about current state, such as a silent agent, reopens as long as the " +
			"state persists.",
		Example: "  postern alert close 7f3a9c12 --comment \"our own scanner\"", Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.moveAlert(c, args[0], comment, (*api.Client).CloseAlert)
		},
	}
	c.Flags().StringVar(&comment, "comment", "", "your findings")
	return c
}

func (a *app) alertRulesCommand() *cobra.Command {
	var threshold int
	var severity string
	var enable, disable bool
	c := &cobra.Command{
		Use: "rules [RULE]", Short: "List alert rules, or change one",
		Long: "List alert rules. With RULE and options, change that rule; other settings are kept.",
		Example: "  postern alert rules\n  postern alert rules denied.rate --threshold 20 --severity error\n  " +
			"postern alert rules request.unusualHour --disable",
		Args: takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if enable && disable {
				return usage(c, "--enable and --disable exclude each other")
			}
			var in api.AlertRuleChange
			if c.Flags().Changed("threshold") {
				in.Threshold = &threshold
			}
			if severity != "" {
				in.Severity = &severity
			}
			if enable || disable {
				in.Enabled = &enable
			}
			change := in != (api.AlertRuleChange{})
			if change && len(args) == 0 {
				return usage(c, "which rule should be changed? Name it")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			rules := []api.AlertRule{}
			if change {
				rule, err := cl.SetAlertRule(c.Context(), args[0], in)
				if err != nil {
					return err
				}
				rules = append(rules, rule)
			} else if rules, err = api.All(cl.AlertRules(c.Context())); err != nil {
				return err
			}
			var shown []api.AlertRule
			for _, r := range rules {
				if len(args) == 0 || r.ID == args[0] {
					shown = append(shown, r)
				}
			}
			if len(shown) == 0 {
				return fail(exitNotFound, "See: postern alert rules", "there is no alert rule %q", args[0])
			}
			return printList(a, shown, []column[api.AlertRule]{
				{"RULE", func(_ style, r api.AlertRule) string { return r.ID }},
				{"SEVERITY", func(_ style, r api.AlertRule) string { return r.Severity }},
				{"TAKES", func(s style, r api.AlertRule) string {
					if s.plain {
						return strconv.Itoa(r.Threshold)
					}
					return r.Takes
				}},
				{"ENABLED", func(_ style, r api.AlertRule) string { return yesNo(r.Enabled) }},
				{"DETECTS", func(_ style, r api.AlertRule) string { return r.Doc }},
			}, "")
		},
	}
	f := c.Flags()
	f.IntVar(&threshold, "threshold", 0, "threshold")
	f.StringVar(&severity, "severity", "", "info, warning, error or critical")
	f.BoolVar(&enable, "enable", false, "enable the rule")
	f.BoolVar(&disable, "disable", false, "disable the rule and close its alerts")
	return c
}
