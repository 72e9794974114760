package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/audit"
)

func (a *app) auditExportCommand() *cobra.Command {
	var file string
	var from int64
	c := &cobra.Command{
		Use:   "export [--file FILE]",
		Short: "Export the activity log",
		Long: `Export the activity log: one line of JSON per record, followed by the signed checkpoint. The checkpoint's signing
key is stored with your sign-in the first time it is seen, for use by postern audit verify.`,
		Example: "  postern audit export --file log.ndjson\n  postern audit verify log.ndjson",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			body, err := cl.Export(c.Context(), from)
			if err != nil {
				return err
			}
			defer body.Close() //nolint:errcheck // it was read to its end, or the error says why not
			out := a.out
			if file != "" {
				f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the user names the file
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // closed below; this one is for the way out of an error
				out = f
			}
			records, err := copyExport(out, body)
			if err != nil {
				return err
			}
			if f, ok := out.(*os.File); ok && file != "" {
				if err := f.Close(); err != nil {
					return err
				}
			}
			checkpoint, err := cl.Checkpoint(c.Context())
			if err != nil {
				return err
			}
			if err := a.pinAuditKey(checkpoint.Key); err != nil {
				return err
			}
			a.say("%s, and the checkpoint that signs them.", count(records, "record"))
			return nil
		}),
	}
	c.Flags().StringVar(&file, "file", "", "output file (default standard output)")
	c.Flags().Int64Var(&from, "from", 0, "omit records before this number; such an export cannot be verified by itself")
	return c
}

// copyExport copies an export line by line and counts its records. One that ends without its checkpoint is cut off.
func copyExport(w io.Writer, r io.Reader) (records int, err error) {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	for whole := false; ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && whole && len(line) == 0 {
			return records, out.Flush()
		}
		if err != nil {
			return records, fail(exitUnavailable, "Try again.", "the export ended before its checkpoint")
		}
		if whole = audit.IsCheckpointLine(line); !whole {
			records++
		}
		if _, err := out.Write(line); err != nil {
			return records, err
		}
	}
}

// pinAuditKey keeps the log's verifier key when it is first seen, and refuses another one later.
func (a *app) pinAuditKey(key string) error {
	if a.getenv("POSTERN_TOKEN") != "" {
		return nil // not our own sign-in: nothing is kept
	}
	conf, err := a.stored()
	if err != nil {
		return err
	}
	switch conf.AuditKey {
	case key:
		return nil
	case "":
		conf.AuditKey = key
		return a.save(conf)
	default:
		return fail(exitConflict, "If the log was started again, sign in again with --server to remove the old key.",
			"the activity log is signed with the key %s, but earlier it was %s", key, conf.AuditKey)
	}
}

func (a *app) auditVerifyCommand() *cobra.Command {
	var key string
	var checkpoints []string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify an export offline: every record, the tree, the signature",
		Long: `Verify an export without the server: that it has every record in order, that the records produce the root which the
checkpoint signs, and that the log begins with the same records as each checkpoint stored earlier. Nothing in the
file is trusted: the key is the one stored when the log was first exported or its checkpoint first shown, or the one
from --key. FILE may be - for standard input.`,
		Example: "  postern audit verify log.ndjson\n" +
			"  postern audit verify log.ndjson --key 'log+9f2c01ab+AbC…' --checkpoint monday.checkpoint",
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
			var previous []string
			for _, file := range checkpoints {
				text, err := os.ReadFile(file) //nolint:gosec // the user names the file
				if err != nil {
					return usage(c, "--checkpoint: %s", err)
				}
				previous = append(previous, audit.SplitCheckpoints(string(text))...)
			}
			in := a.in
			if args[0] != "-" {
				f, err := os.Open(args[0]) //nolint:gosec // the user names the file
				if err != nil {
					return usage(c, "%s", err)
				}
				defer f.Close() //nolint:errcheck // it was only read
				in = f
			}
			summary, err := audit.VerifyExport(in, key, previous...)
			if err != nil {
				return fail(exitError, "The export is incomplete or differs from what was signed. Do not rely on it.",
					"%s does not verify: %w", args[0], err)
			}
			return a.printSummary(summary)
		},
	}
	c.Flags().StringVar(&key, "key", "", "verifier key of the log (default the stored one)")
	c.Flags().StringArrayVar(&checkpoints, "checkpoint", nil,
		"file with one or more checkpoints stored earlier, such as the server's anchorFile; may be repeated")
	return c
}

// verified is what a verification found, for programs.
type verified struct {
	Records  int64     `json:"records"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Root     string    `json:"root"`
	SignedAt time.Time `json:"signedAt"`
	Previous int       `json:"previousCheckpoints"`
}

func (a *app) printSummary(s audit.Summary) error {
	return printItem(a,
		verified{
			Records: s.Records, First: s.First, Last: s.Last, Root: s.Checkpoint.Root.String(),
			SignedAt: s.Checkpoint.At, Previous: s.Previous,
		},
		[]column[verified]{
			{"Verified", func(_ style, v verified) string { return count(int(v.Records), "record") }},
			{"First", func(s style, v verified) string { return s.time(v.First) }},
			{"Last", func(s style, v verified) string { return s.time(v.Last) }},
			{"Root", func(_ style, v verified) string { return v.Root }},
			{"Signed", func(s style, v verified) string { return s.time(v.SignedAt) }},
			{"Continues", func(_ style, v verified) string { return count(v.Previous, "earlier checkpoint") }},
		})
}
