package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// requestFlags are the flags of postern request.
type requestFlags struct {
	items, ports, from  []string
	length, until, at   string
	reason, ticket, key string
	wait                bool
	waitFor             string
	repeat, zone        string
	selector, group     string
	breakGlass          bool
}

func (a *app) requestCommand() *cobra.Command {
	var in requestFlags
	c := &cobra.Command{
		Use: "request {MACHINE… --port PORT[/PROTOCOL]… | --item ITEM…} [--from me|PREFIX]… " +
			"[--for DURATION | --until TIME] --reason TEXT",
		Short: "Request access to ports of machines",
		Long: `Request access to ports of machines, for you, from one address, for a limited time. If the policy approves
automatically, they open at once; otherwise the request stays pending until it is decided. They close by themselves.

Durations are written like 45m, 1h30m or 2d; times like 15:04, "tomorrow 09:00", "2026-01-31 15:04" (all local) or
2026-01-31T15:04:00Z. With --wait, the command returns when every port is open, and prints what is open and until
when.

Machines that differ in their ports, sources or duration go into one request with --item, once for each:
  MACHINE:PORT[/PROTOCOL][,PORT…] [from SOURCE[,SOURCE…]] [for DURATION | until TIME]
What an item does not say is taken from --from, --for and --until.`,
		Example: `  postern request web-1 --port 22 --for 1h --reason "roll back release 42" --wait
  postern request web-1 web-2 --port 22 --port 8443/tcp --from 203.0.113.7 --until 18:00 --reason upgrade --ticket OPS-7
  postern request db-1 --port 5432 --at "tomorrow 09:00" --for 30m --reason "index rebuild"
  postern request --selector env=prod,role=web --port 22 --for 1h --reason "certificates" --ticket OPS-8
  postern request --item "web-1:22,443 from 203.0.113.0/24 for 1h" --item "db-1:5432 until 18:00" --reason migration
  postern request db-1 --port 22 --at "tomorrow 09:00" --for 1h --repeat "FREQ=WEEKLY;BYDAY=MO;COUNT=8" --reason "weekly patches"
  postern request web-1 --port 22 --for 15m --break-glass --reason "site down, nobody answers"`,
		Args: takes(0, -1),
		RunE: func(c *cobra.Command, args []string) error {
			ask, patience, err := a.newRequest(c, args, in)
			if err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			request, err := cl.Submit(c.Context(), ask, in.key)
			if err != nil {
				return err
			}
			for _, warning := range request.Warnings {
				a.say("Warning: %s.", warning)
			}
			if in.wait {
				if request, err = a.waitOpen(c.Context(), cl, request, patience); err != nil {
					return err
				}
				if a.forPeople() {
					return a.printOpen(c.Context(), cl, request)
				}
			}
			return a.printRequest(request)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&in.items, "item", nil,
		"machine with its own ports, sources and duration, such as \"web-1:22,443 from office for 1h\"; may be repeated")
	f.StringArrayVar(&in.ports, "port", nil, "port or range, such as 22, 53/udp or 8000-8010; may be repeated")
	f.StringSliceVar(&in.from, "from", nil,
		"address, prefix or named network to open for; me is your address as the server sees it (default me)")
	f.StringVar(&in.length, "for", "", "duration (default 1h)")
	f.StringVar(&in.until, "until", "", "end, in place of --for")
	f.StringVar(&in.at, "at", "", "when to open (default on approval)")
	f.StringVar(&in.reason, "reason", "", "reason, for approvers and for the activity log")
	f.StringVar(&in.ticket, "ticket", "", "ticket reference")
	f.StringVar(&in.key, "idempotency-key", "",
		"idempotency key: a repeated call with the same key submits only one request")
	f.StringVar(&in.selector, "selector", "",
		"select every machine with these labels, such as env=prod,role=web, instead of naming machines")
	f.StringVar(&in.group, "group", "",
		"select every machine of this resource group instead of naming machines; with --selector, those with both")
	f.StringVar(&in.repeat, "repeat", "",
		"request a series, approved once: an RRULE such as FREQ=WEEKLY;BYDAY=MO;COUNT=8")
	f.StringVar(&in.zone, "zone", "", "time zone of the series, such as Europe/Berlin (default UTC)")
	f.BoolVar(&in.breakGlass, "break-glass", false,
		"break-glass: open at once without approval, if the policy allows it; requires a review")
	f.BoolVar(&in.wait, "wait", false, "wait until everything is open; exit code 7 on timeout")
	f.StringVar(&in.waitFor, "wait-timeout", "2m", "timeout for --wait, from the start of a scheduled request")
	c.SuggestFor = []string{"open", "ask", "ssh", "connect"}
	c.AddCommand(a.listing(a.requestListCommand()), a.requestShowCommand(), a.requestCancelCommand())
	return c
}

func (a *app) newRequest(c *cobra.Command, machines []string, in requestFlags) (api.NewRequest, time.Duration, error) {
	none := api.NewRequest{}
	if err := oneOf(c, "for", "until"); err != nil {
		return none, 0, err
	}
	ask := api.NewRequest{
		Justification: in.reason, Ticket: in.ticket, Repeat: in.repeat, Zone: in.zone,
		BreakGlass: in.breakGlass,
	}
	patience, err := parseDuration(in.waitFor)
	if err != nil {
		return none, 0, usage(c, "--wait-timeout: %s", err)
	}
	now := a.now()
	if in.at != "" {
		start, err := parseTime(in.at, now, a.local)
		if err != nil {
			return none, 0, usage(c, "--at: %s", err)
		}
		ask.Start = &start
		patience += max(0, start.Sub(now))
		now = start
	}
	if in.until != "" {
		until, err := parseTime(in.until, now, a.local)
		if err != nil {
			return none, 0, usage(c, "--until: %s", err)
		}
		ask.Until = &until
	} else if ask.ForSeconds, err = wholeSeconds(orElse(in.length, "1h")); err != nil {
		return none, 0, usage(c, "--for: %s", err)
	}
	if len(in.items) > 0 {
		ask.Items, err = a.ownItems(c, machines, in, now)
	} else {
		ask.Items, err = sameItems(c, machines, in)
	}
	return ask, patience, err
}

// sameItems are the items of a request in which every machine has the same ports.
func sameItems(c *cobra.Command, machines []string, in requestFlags) ([]api.NewItem, error) {
	if len(in.ports) == 0 {
		if len(machines) > 0 && len(like(c, machines[0])) > 0 { // a mistyped command, and no machine
			return nil, noCommand(c, machines[0])
		}
		return nil, usage(c, "which port? Use --port, such as --port 22")
	}
	picked := in.selector != "" || in.group != ""
	switch {
	case picked && len(machines) > 0:
		return nil, usage(c, "name the machines, or select them with --selector or --group, not both")
	case !picked && len(machines) == 0:
		return nil, usage(c, "which machine? Name one, or select some with --selector or --group")
	case picked:
		machines = []string{""}
	}
	var items []api.NewItem
	for _, machine := range machines {
		for _, p := range in.ports {
			ports, protocol := splitPort(p)
			items = append(items,
				api.NewItem{
					Machine: machine, Selector: in.selector, ResourceGroup: in.group, Ports: ports,
					Protocol: protocol, Sources: in.from,
				})
		}
	}
	return items, nil
}

// ownItems are the items of a request in which each machine has its own ports, sources and duration.
func (a *app) ownItems(c *cobra.Command, machines []string, in requestFlags, now time.Time) ([]api.NewItem, error) {
	if len(machines)+len(in.ports) > 0 || in.selector != "" || in.group != "" {
		return nil, usage(c, "an item names its machine and its ports: with --item, omit other machines, --port, "+
			"--selector and --group")
	}
	var items []api.NewItem
	for _, text := range in.items {
		some, err := parseItem(text, now, a.local)
		if err != nil {
			return nil, usage(c, "--item %q: %s", text, err)
		}
		for _, item := range some {
			if item.Sources == nil {
				item.Sources = in.from
			}
			items = append(items, item)
		}
	}
	return items, nil
}

func (a *app) requestCancelCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "cancel REQUEST",
		Short:   "Cancel a pending request",
		Long:    "Cancel a pending request. To end access that is already open, use postern revoke.",
		Example: "  postern request cancel 7f3a9c12 --reason \"not needed any more\"",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			r, err := findRequest(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			if r, err = cl.CancelRequest(c.Context(), r.ID, reason); err != nil {
				return err
			}
			return a.printRequest(r)
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "reason, for the activity log")
	return c
}
