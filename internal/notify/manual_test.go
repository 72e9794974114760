package notify_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// TestTheManualVerifiesWebhooks runs the program that the manual gives to receivers on a call that was really made.
func TestTheManualVerifiesWebhooks(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	manual, err := os.ReadFile("../../docs/operate/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(manual), "```python\n")
	program, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the manual has no program to verify webhooks")
	}
	s, authority, got := listen(t, answer(http.StatusNoContent, ""))
	v := newVault(t, "")
	key := notify.NewSigningKey()
	if _, err := newCourier(t, v).Send(t.Context(),
		parcel(channelTo(t, v, engine.Webhook, s.URL, authority, key))); err != nil {
		t.Fatal(err)
	}
	call := got()[0]
	verify := func(key string, h http.Header, body []byte) string {
		command := exec.CommandContext(t.Context(), python, "-c", program+`
import sys
key, id, timestamp, signature, body = sys.argv[1:]
print(verify(key, {"Webhook-Id": id, "Webhook-Timestamp": timestamp, "Webhook-Signature": signature}, base64.b64decode(body)))
`, key, h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), h.Get("Webhook-Signature"),
			base64.StdEncoding.EncodeToString(body))
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	old := call.Header.Clone()
	old.Set("Webhook-Timestamp", time.Now().Add(-time.Hour).Format("05"))
	for name, tc := range map[string]struct{ got, want string }{
		"as it came":   {verify(key, call.Header, call.Body), "True"},
		"another body": {verify(key, call.Header, append([]byte(" "), call.Body...)), "False"},
		"another key":  {verify(notify.NewSigningKey(), call.Header, call.Body), "False"},
		"another time": {verify(key, old, call.Body), "False"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %s, want %s", name, tc.got, tc.want)
		}
	}
}
