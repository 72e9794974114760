package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

const (
	anchorFileMode = 0o640
	maxNote        = 4096 // bytes of one checkpoint
	minAnchorEvery = time.Second
	maxAnchorEvery = 31 * 24 * time.Hour
)

// anchorFile adds checkpoints to the end of a file: an engine.Anchor that is as far outside as the operator puts the file.
type anchorFile string

// Name implements engine.Anchor.
func (anchorFile) Name() string { return "file" }

// Newest implements engine.Anchor.
func (f anchorFile) Newest(context.Context) (string, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	end, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-maxNote), maxNote))
	if err != nil {
		return "", err
	}
	notes := audit.SplitCheckpoints(string(end))
	if len(notes) == 0 {
		return "", nil
	}
	return notes[len(notes)-1], nil
}

// Keep implements engine.Anchor.
func (f anchorFile) Keep(_ context.Context, d engine.CheckpointDetail) error {
	file, err := os.OpenFile(string(f), os.O_APPEND|os.O_CREATE|os.O_WRONLY, anchorFileMode)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strings.TrimRight(d.Checkpoint.Text, "\n") + "\n\n")
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// countedAnchor notes when it kept something last.
type countedAnchor struct {
	engine.Anchor

	metrics *metrics
	now     func() time.Time
}

// Keep implements engine.Anchor.
func (a countedAnchor) Keep(ctx context.Context, d engine.CheckpointDetail) error {
	err := a.Anchor.Keep(ctx, d)
	if err == nil {
		a.metrics.anchored.WithLabelValues(a.Name()).Set(float64(a.now().Unix()))
	}
	return err
}

// anchorMetrics registers the figure of anchors.
func (m *metrics) anchorMetrics() {
	m.anchored = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "postern_anchored_timestamp_seconds", Help: "When a checkpoint of the activity log was last kept outside, by anchor: file or webhook; 0 where none was since the start.",
	}, []string{"anchor"})
	m.registry.MustRegister(m.anchored)
}

// anchors gives where checkpoints are kept.
func (s *server) anchors() []engine.Anchor {
	var anchors []engine.Anchor
	if s.config.AnchorFile != "" {
		anchors = append(anchors, anchorFile(s.config.AnchorFile))
	}
	if s.config.AnchorWebhook != "" {
		anchors = append(anchors, &notify.AnchorWebhook{URL: s.config.AnchorWebhook, Keys: s.config.AnchorKey, CA: s.config.AnchorCA, Now: s.now})
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
	file, err := os.OpenFile(text, os.O_APPEND|os.O_CREATE|os.O_WRONLY, anchorFileMode) //nolint:gosec // the operator names the file
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
