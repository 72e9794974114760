package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/notify"
)

const (
	anchorFileMode = 0o640
	noteMode       = 0o600
	signedName     = "signed.checkpoint"   // in the data folder: what this server signed last
	anchoredName   = "anchored.checkpoint" // and what the webhook took last
	maxNote        = 4096                  // bytes of one checkpoint
	minAnchorEvery = time.Second
	maxAnchorEvery = 31 * 24 * time.Hour
)

// anchorFile adds checkpoints to the end of a file: an engine.Anchor that is as far outside as the operator puts the
// file.
type anchorFile string

// Name implements engine.Anchor.
func (anchorFile) Name() string { return "file" }

// Newest implements engine.Anchor. A last checkpoint that was written in part is none.
func (f anchorFile) Newest(context.Context) (string, error) { return newestNote(string(f)) }

// newestNote gives the last whole checkpoint of a file; empty where there is none.
func newestNote(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file, or the folder that it is in
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	whole, _, _, err := lastNotes(file)
	if err != nil {
		return "", err
	}
	notes := audit.SplitCheckpoints(whole)
	if len(notes) == 0 {
		return "", nil
	}
	return notes[len(notes)-1], nil
}

// lastNotes gives the end of a file of checkpoints, where the last whole one ends, and whether a part of another
// follows.
func lastNotes(file *os.File) (whole string, end int64, torn bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, false, err
	}
	// one, and a part of another
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-2*maxNote), 2*maxNote))
	if err != nil {
		return "", 0, false, err
	}
	whole, rest := audit.CutTorn(string(text))
	return whole, info.Size() - int64(len(rest)), rest != "", nil
}

// Keep implements engine.Anchor. What a full disk or a crash left of a checkpoint is taken away first.
func (f anchorFile) Keep(_ context.Context, d records.CheckpointDetail) error {
	file, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_RDWR, anchorFileMode)
	if err != nil {
		return err
	}
	text := strings.TrimRight(d.Checkpoint.Text, "\n") + "\n\n"
	_, end, torn, err := lastNotes(file)
	if torn && file.Truncate(end) != nil { // as of a file that can only be added to: there it stays between two others
		text = "\n\n" + text
	}
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// noteFile is a file of the data folder with one checkpoint: an engine.Memory. Whoever can write the database alone
// cannot write it, and the next start finds it.
type noteFile string

// Newest implements engine.Memory.
func (f noteFile) Newest(context.Context) (string, error) { return newestNote(string(f)) }

// Keep implements engine.Memory.
func (f noteFile) Keep(_ context.Context, note string) error {
	return identity.WriteFile(string(f), []byte(note), noteMode)
}

// sentAnchor is an anchor that is sent to and not read from: what it kept last is remembered here.
type sentAnchor struct {
	*notify.AnchorWebhook

	sent records.Memory
}

// Newest implements engine.Anchor.
func (a sentAnchor) Newest(ctx context.Context) (string, error) { return a.sent.Newest(ctx) }

// Keep implements engine.Anchor.
func (a sentAnchor) Keep(ctx context.Context, d records.CheckpointDetail) error {
	if err := a.AnchorWebhook.Keep(ctx, d); err != nil {
		return err
	}
	return a.sent.Keep(ctx, d.Checkpoint.Text)
}

// countedAnchor notes when it kept something last.
type countedAnchor struct {
	records.Anchor

	metrics *metrics
	now     func() time.Time
}

// Keep implements engine.Anchor.
func (a countedAnchor) Keep(ctx context.Context, d records.CheckpointDetail) error {
	err := a.Anchor.Keep(ctx, d)
	if err == nil {
		a.metrics.anchored.WithLabelValues(a.Name()).Set(float64(a.now().Unix()))
	}
	return err
}

// anchorMetrics registers the figure of anchors.
func (m *metrics) anchorMetrics() {
	m.anchored = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "postern_anchored_timestamp_seconds",
		Help: "When a checkpoint of the activity log was last kept outside, by anchor: file or webhook; 0 where " +
			"none was since the start.",
	}, []string{"anchor"})
	m.registry.MustRegister(m.anchored)
}

func (s *server) memory(name string) noteFile { return noteFile(filepath.Join(s.folder.path, name)) }

// anchors gives where checkpoints are kept.
func (s *server) anchors() []records.Anchor {
	var anchors []records.Anchor
	if s.config.AnchorFile != "" {
		anchors = append(anchors, anchorFile(s.config.AnchorFile))
	}
	if s.config.AnchorWebhook != "" {
		hook := &notify.AnchorWebhook{
			URL: s.config.AnchorWebhook, Keys: s.config.AnchorKey, CA: s.config.AnchorCA,
			Now: s.now,
		}
		anchors = append(anchors, sentAnchor{hook, s.memory(anchoredName)})
	}
	for i, a := range anchors {
		s.metrics.anchored.WithLabelValues(a.Name()).Set(0)
		anchors[i] = countedAnchor{Anchor: a, metrics: s.metrics, now: s.now}
	}
	return anchors
}

// setAnchorFile tries the file at once: one that cannot be written to would be missed when it is too late.
func setAnchorFile(c *Config, text string) error {
	c.AnchorFile = text
	file, err := os.OpenFile(text, os.O_APPEND|os.O_CREATE|os.O_RDWR, anchorFileMode) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("checkpoints cannot be added to it: %w", err)
	}
	return file.Close()
}

func setAnchorWebhook(c *Config, text string) error {
	c.AnchorWebhook = text
	return (&notify.AnchorWebhook{URL: text}).Check()
}

func setAnchorKeyFile(c *Config, text string) error {
	data, err := os.ReadFile(text) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	c.AnchorKey = strings.TrimSpace(string(data))
	return (&notify.AnchorWebhook{URL: "https://localhost", Keys: c.AnchorKey}).Check()
}

func setAnchorCA(c *Config, text string) error {
	data, err := os.ReadFile(text) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	c.AnchorCA = string(data)
	return (&notify.AnchorWebhook{URL: "https://localhost", CA: c.AnchorCA}).Check()
}

func setAnchorEvery(c *Config, text string) error {
	every, err := time.ParseDuration(text)
	if err != nil || every < minAnchorEvery || every > maxAnchorEvery {
		return fmt.Errorf("%q is not a time from %s to %s, such as 1h", text, minAnchorEvery, maxAnchorEvery)
	}
	c.AnchorEvery = every
	return nil
}
