package notify_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/notify"
)

// TestAnchorWebhook proves that a receiver gets the signed note, knows who sends it, and that what it did not take does
// not count as kept.
func TestAnchorWebhook(t *testing.T) {
	t.Parallel()
	key := notify.NewSigningKey()
	status := http.StatusInternalServerError
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := notify.VerifyWebhook(key, r.Header, body, time.Now()); err != nil {
			t.Errorf("the call is not signed: %v", err)
		}
		var got map[string]any
		if err := json.Unmarshal(body,
			&got); err != nil || got["checkpoint"] != "note" || got["key"] != "verifier" || got["size"] != 7.0 {
			t.Errorf("sent %s, %v", body, err)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	hook := &notify.AnchorWebhook{URL: s.URL, Keys: key, Now: time.Now}
	if err := hook.Check(); err != nil {
		t.Fatal(err)
	}
	d := records.CheckpointDetail{Key: "verifier", Checkpoint: audit.SignedCheckpoint{Size: 7, Text: "note"}}
	for _, refused := range []int{http.StatusInternalServerError, http.StatusFound, http.StatusBadRequest} {
		status = refused
		if err := hook.Keep(t.Context(), d); err == nil {
			t.Errorf("%d counts as kept", refused)
		}
	}
	status = http.StatusNoContent
	if err := hook.Keep(t.Context(), d); err != nil {
		t.Error(err)
	}
	for _, bad := range []*notify.AnchorWebhook{
		{URL: "ftp://example.org"},
		{URL: "https://example.org", Keys: "short"},
		{URL: "https://example.org", CA: "none"},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%s with keys %q is taken", bad.URL, bad.Keys)
		}
	}
}
