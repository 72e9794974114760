package cli

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/review"
)

func (a *app) accessReviewExportCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export ACCESS-REVIEW [--file FILE]",
		Short: "Export what proves an access review",
		Long: `Export what proves an access review: its entries, every record of the activity log about it, the proof that
each is in the log, and a signed checkpoint. An auditor verifies the file offline with postern access-review verify.`,
		Example: "  postern access-review export q4-2026 --file q4-2026.ndjson\n" +
			"  postern access-review verify q4-2026.ndjson",
		Args: takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			body, err := cl.AccessReviewEvidence(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer body.Close() //nolint:errcheck // it was read to its end, or the error says why not
			if file == "" {
				_, err := io.Copy(a.out, body)
				return err
			}
			f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the user names the file
			if err != nil {
				return err
			}
			if _, err := io.Copy(f, body); err != nil {
				_ = f.Close()
				return fail(exitUnavailable, "Try again.", "the export broke off: %w", err)
			}
			return f.Close()
		}),
	}
	c.Flags().StringVar(&file, "file", "", "output file (default standard output)")
	return c
}

// provenReview is what evidence proves, for programs.
type provenReview struct {
	Review    string        `json:"review"`
	Name      string        `json:"name"`
	Scope     string        `json:"scope"`
	State     string        `json:"state"`
	Complete  bool          `json:"complete"`
	Owner     string        `json:"owner"`
	Started   time.Time     `json:"started"`
	Due       time.Time     `json:"due"`
	Closed    time.Time     `json:"closed,omitzero"`
	Items     int           `json:"items"`
	Keep      int           `json:"keep"`
	Remove    int           `json:"remove"`
	Removed   int           `json:"removed"`
	Undecided int           `json:"undecided"`
	Failed    int           `json:"failed"`
	Gone      int           `json:"gone"`
	Records   int           `json:"records"`
	SignedAt  time.Time     `json:"signedAt"`
	Root      string        `json:"root"`
	Decisions []provenEntry `json:"decisions"`
}

// provenEntry is what evidence proves of one item.
type provenEntry struct {
	Item      int       `json:"item"`
	Kind      string    `json:"kind"`
	Principal string    `json:"principal"`
	Place     string    `json:"place,omitempty"`
	Role      string    `json:"role,omitempty"`
	Group     string    `json:"group,omitempty"`
	Gives     string    `json:"gives,omitempty"`
	Decision  string    `json:"decision,omitempty"`
	By        string    `json:"by,omitempty"`
	At        time.Time `json:"at,omitzero"`
	Reason    string    `json:"reason,omitempty"`
	Outcome   string    `json:"outcome,omitempty"`
	Problem   string    `json:"problem,omitempty"`
}

func (a *app) accessReviewVerifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify an exported access review offline",
		Long: `Verify an exported access review without the server: that the checkpoint is signed with the key of the activity
log, that each record is in the log that it signs, that the entries are those that were listed at the start, and that
each decision and outcome follows from the records. Of a closed review, a missing record is found as well. Nothing in
the file is trusted: the key is the one stored when the log was first exported or its checkpoint first shown, or the one
from --key. -o json lists every decision. FILE may be - for standard input.`,
		Example: "  postern access-review verify q4-2026.ndjson\n" +
			"  postern access-review verify q4-2026.ndjson --key 'log+9f2c01ab+AbC…' -o json",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if key == "" {
				conf, err := a.stored()
				if err != nil {
					return err
				}
				if key = conf.AuditKey; key == "" {
					return usage(c,
						"no verification key is known: give --key, which postern audit checkpoint shows, from a "+
							"source that you trust")
				}
			}
			in := a.in
			if args[0] != "-" {
				data, err := os.ReadFile(args[0]) //nolint:gosec // the user names the file
				if err != nil {
					return usage(c, "%s", err)
				}
				in = bytes.NewReader(data)
			}
			proven, err := review.VerifyEvidence(in, key)
			if err != nil {
				return fail(exitError, "The file is incomplete or differs from what was recorded. Do not rely on it.",
					"%s does not verify: %w", args[0], err)
			}
			if err := printItem(a, provenOut(proven), provenColumns()); err != nil {
				return err
			}
			if !proven.Complete() {
				a.say("The review is %s: the file proves these decisions, but not that there are no others.",
					proven.Review.State)
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "verifier key of the log (default the stored one)")
	return c
}

func provenOut(p review.Proven) provenReview {
	out := provenReview{
		Review: string(p.Review.ID), Name: p.Review.Name, Scope: string(p.Review.Scope), State: string(p.Review.State),
		Complete: p.Complete(), Owner: p.Review.OwnerName, Started: p.StartedAt, Due: p.Review.Due, Closed: p.ClosedAt,
		Items: len(p.Items), Keep: p.Tally.Keep, Remove: p.Tally.Remove, Removed: p.Tally.Removed,
		Undecided: p.Tally.Undecided, Failed: p.Tally.Failed, Gone: p.Tally.Gone, Records: p.Records,
		SignedAt: p.Checkpoint.At, Root: p.Checkpoint.Root.String(), Decisions: make([]provenEntry, 0, len(p.Items)),
	}
	for _, it := range p.Items {
		f := it.Facts
		out.Decisions = append(out.Decisions, provenEntry{
			Item: it.Number, Kind: string(f.Kind), Principal: f.PrincipalName, Place: f.Place, Role: f.RoleName,
			Group: f.GroupName, Gives: f.Gives, Decision: string(it.Decision), By: it.ByName, At: it.At,
			Reason: it.Reason, Outcome: string(it.Outcome), Problem: it.Problem,
		})
	}
	return out
}

func provenColumns() []column[provenReview] {
	return []column[provenReview]{
		{"Verified", func(_ style, p provenReview) string { return count(p.Records, "record") }},
		{"Access review", func(_ style, p provenReview) string { return p.Name }},
		{"Scope", func(_ style, p provenReview) string { return p.Scope }},
		{"State", func(_ style, p provenReview) string { return p.State }},
		{"Started", func(s style, p provenReview) string { return s.time(p.Started) }},
		{"Closed", func(s style, p provenReview) string {
			if p.Closed.IsZero() {
				return ""
			}
			return s.time(p.Closed)
		}},
		{"Items", func(_ style, p provenReview) string { return strconv.Itoa(p.Items) }},
		{"Kept", func(_ style, p provenReview) string { return strconv.Itoa(p.Keep) }},
		{"Removed", func(_ style, p provenReview) string { return strconv.Itoa(p.Removed) }},
		{"Undecided", func(_ style, p provenReview) string { return strconv.Itoa(p.Undecided) }},
		{"Failed", func(_ style, p provenReview) string { return strconv.Itoa(p.Failed) }},
		{"Gone", func(_ style, p provenReview) string { return strconv.Itoa(p.Gone) }},
		{"Root", func(_ style, p provenReview) string { return p.Root }},
		{"Signed", func(s style, p provenReview) string { return s.time(p.SignedAt) }},
	}
}
