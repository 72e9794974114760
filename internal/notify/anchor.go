package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/engine/records"
)

// AnchorWebhook sends checkpoints of the activity log to a receiver that keeps them. Any status from 200 to 299 says
// that the checkpoint was kept. The receiver is not asked what it has.
type AnchorWebhook struct {
	URL  string
	Keys string           // signing keys, apart by spaces, as NewSigningKey makes them; empty: the calls are not signed
	CA   string           // PEM of the authorities to trust; empty: the system's
	Now  func() time.Time // the server's wall clock
}

// anchored is what is posted.
type anchored struct {
	Checkpoint string    `json:"checkpoint"` // the signed note
	Size       int64     `json:"size"`
	Root       string    `json:"root"`
	At         time.Time `json:"at"`
	Key        string    `json:"key"` // that verifies the note
}

// Check tells what is wrong with the webhook's configuration.
func (w *AnchorWebhook) Check() error { return w.hook().check() }

func (w *AnchorWebhook) hook() operatorHook {
	return operatorHook{url: w.URL, keys: w.Keys, ca: w.CA, now: w.Now}
}

// Name implements engine.Anchor.
func (*AnchorWebhook) Name() string { return "webhook" }

// Keep implements engine.Anchor.
func (w *AnchorWebhook) Keep(ctx context.Context, d records.CheckpointDetail) error {
	c := d.Checkpoint
	body, err := json.Marshal(anchored{Checkpoint: c.Text, Size: c.Size, Root: c.Root.String(), At: c.At, Key: d.Key})
	if err != nil {
		return fmt.Errorf("encode the checkpoint: %w", err)
	}
	response, err := w.hook().post(ctx, body)
	if err != nil {
		return fmt.Errorf("send the checkpoint: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("send the checkpoint: %w", err)
	}
	if response.StatusCode/100 != 2 { //nolint:mnd // 2xx
		return fmt.Errorf("the receiver of checkpoints answered %s", response.Status)
	}
	return nil
}
