package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Read, export and verify the activity log",
		`The activity log contains everything that happened and cannot be changed undetected: its records are the leaves of a
Merkle tree whose root the server signs.`,
		a.listing(a.auditListCommand()), a.auditExportCommand(), a.auditCheckpointCommand(),
		a.listing(a.auditCheckpointsCommand()),
		a.auditVerifyCommand(), a.listing(a.auditWhoCommand()))
}

func (a *app) auditListCommand() *cobra.Command {
	var q api.EventQuery
	var since, before string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List events, newest first",
		Long:  "List events, newest first. --since and --before take a time, or a duration that counts back from now.",
		Example: `  postern audit list --machine web-1 --since 24h
  postern audit list --outcome refused --since 7d -o csv
  postern audit list --kind grant.opened --actor me`,
		Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			var err error
			if since != "" {
				if q.Since, err = a.past(since); err != nil {
					return usage(c, "--since: %s", err)
				}
			}
			if before != "" {
				if q.Before, err = a.past(before); err != nil {
					return usage(c, "--before: %s", err)
				}
			}
			events, err := shown(a, cl.Events(c.Context(), q), limit)
			if err != nil {
				return err
			}
			usual, wide := append(eventColumns(), eventDetail()), eventPlaces()
			if !a.forPeople() || a.output == "wide" { // what takes most room comes last
				usual, wide = eventColumns(), append(eventPlaces(), eventDetail())
			}
			return printList(a, events, usual, "No events found.", wide...)
		}),
	}
	f := c.Flags()
	f.StringVar(&since, "since", "", "only from this time on")
	f.StringVar(&before, "before", "", "only before this time")
	f.StringVar(&q.Kind, "kind", "", "filter by kind, such as request.submitted or grant.closed")
	f.StringVar(&q.Actor, "actor", "", "filter by acting principal; me is you")
	f.StringVar(&q.Machine, "machine", "", "filter by machine")
	f.StringVar(&q.Request, "request", "", "filter by request (whole id)")
	f.StringVar(&q.Outcome, "outcome", "", "filter by outcome: succeeded, refused or failed")
	amountFlag(c, &limit, "limit", 50, "maximum number of results")
	return c
}

func eventColumns() []column[api.Event] {
	return []column[api.Event]{
		{"SEQ", func(_ style, e api.Event) string { return fmt.Sprint(e.Seq) }},
		{"TIME", func(s style, e api.Event) string { return s.clock(e.At) }},
		{"WHAT", func(_ style, e api.Event) string { return e.Kind }},
		{"OUTCOME", func(_ style, e api.Event) string { return e.Outcome }},
		{"WHO", func(_ style, e api.Event) string { return e.Actor }},
	}
}

func eventDetail() column[api.Event] {
	return column[api.Event]{"DETAILS", func(s style, e api.Event) string { return details(s, e.Details) }}
}

// eventPlaces are what a list of events says where there is room for it.
func eventPlaces() []column[api.Event] {
	return []column[api.Event]{
		{"ADDRESS", func(_ style, e api.Event) string { return e.Address }},
		{"VIA", func(_ style, e api.Event) string { return e.Via }},
		{"SCOPE", func(_ style, e api.Event) string { return e.Scope }},
		{"ACTION", func(_ style, e api.Event) string { return e.Action }},
		{"REQUEST", func(s style, e api.Event) string { return s.id(e.Request) }},
		{"GRANT", func(s style, e api.Event) string { return s.id(e.Grant) }},
		{"MACHINE", func(s style, e api.Event) string { return s.id(e.Machine) }},
		{"AGENT", func(s style, e api.Event) string { return s.id(e.Agent) }},
	}
}

// details writes what an event adds, what says most coming first. What people wrote stands in quotes where it could be
// taken for more than one value; for programs it is a JSON object, which can be read back without doubt.
func details(s style, m map[string]string) string {
	if s.plain {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if e.Encode(m) != nil || len(m) == 0 { // texts can always be encoded
			return ""
		}
		return strings.TrimSpace(text.String())
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	rank := func(name string) int {
		return slices.Index([]string{
			"digest", "start", "end", "protocol", "sources", "ports", "principal", "requester",
			"justification", "reason", "kind", "name", "machine",
		},
			name)
	}
	slices.SortFunc(names, func(x, y string) int {
		if by := rank(y) - rank(x); by != 0 {
			return by
		}
		return strings.Compare(x, y)
	})
	parts := make([]string, len(names))
	for i, name := range names {
		value := s.id(m[name])
		if value == "" || strings.ContainsAny(value, " =\"'\\") || strconv.Quote(value) != `"`+value+`"` {
			value = strconv.Quote(value)
		}
		parts[i] = name + "=" + value
	}
	return strings.Join(parts, " ")
}

func (a *app) auditCheckpointCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "Show the latest signed checkpoint, to store elsewhere",
		Long: `Show the latest signed checkpoint and the key that verifies it. Stored elsewhere with --file, it proves later that
the log still begins with the same records: postern audit verify LOG --checkpoint FILE.`,
		Example: "  postern audit checkpoint --file monday.checkpoint\n  postern audit verify log.ndjson " +
			"--checkpoint monday.checkpoint",
		Args: takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			checkpoint, err := cl.Checkpoint(c.Context())
			if err != nil {
				return err
			}
			if file != "" {
				if err := os.WriteFile(file, []byte(checkpoint.Note), 0o600); err != nil {
					return err
				}
			}
			if err := a.pinAuditKey(checkpoint.Key); err != nil {
				return err
			}
			return printItem(a, checkpoint, []column[api.Checkpoint]{
				{"Size", func(_ style, p api.Checkpoint) string { return fmt.Sprint(p.Size) }},
				{"Root", func(_ style, p api.Checkpoint) string { return p.Root }},
				{"At", func(s style, p api.Checkpoint) string { return s.time(p.At) }},
				{"Key", func(_ style, p api.Checkpoint) string { return p.Key }},
			})
		}),
	}
	c.Flags().StringVar(&file, "file", "", "also write the signed note to this file")
	return c
}

func (a *app) auditCheckpointsCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:     "checkpoints",
		Short:   "List signed checkpoints, newest first",
		Long:    "List signed checkpoints, newest first. -o json includes the signed notes.",
		Example: "  postern audit checkpoints --limit 5\n  postern audit checkpoints -o json",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			var list []api.Checkpoint
			for one, err := range cl.Checkpoints(c.Context()) {
				if err != nil {
					return err
				}
				if list = append(list, one); len(list) >= limit {
					break
				}
			}
			return printList(a, list, []column[api.Checkpoint]{
				{"SIZE", func(_ style, p api.Checkpoint) string { return fmt.Sprint(p.Size) }},
				{"AT", func(s style, p api.Checkpoint) string { return s.time(p.At) }},
				{"ROOT", func(_ style, p api.Checkpoint) string { return p.Root }},
			}, "There are no checkpoints yet.")
		}),
	}
	amountFlag(c, &limit, "limit", 50, "maximum number of results")
	return c
}
