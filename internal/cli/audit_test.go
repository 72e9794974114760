package cli

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDetailsCannotBeMistaken holds that what a person wrote is not taken for what the server recorded.
func TestDetailsCannotBeMistaken(t *testing.T) {
	t.Parallel()
	event := map[string]string{
		"justification": "ok principal=bob ports=3389", "ports": "22/tcp", "requester": "ann",
		"item.0": `machine "web-1" ports 22/tcp`, "reason": "its time was over", "empty": "", "tab": "a\tb",
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(details(style{plain: true}, event)), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(event, back); diff != "" {
		t.Errorf("a program reads back (-recorded +read):\n%s", diff)
	}
	const want = `reason="its time was over" justification="ok principal=bob ports=3389" requester=ann ports=22/tcp empty="" item.0="machine \"web-1\" ports 22/tcp" tab="a\tb"`
	if got := details(style{}, event); got != want {
		t.Errorf("people read %s", got)
	}
	if got := details(style{plain: true}, nil); got != "" {
		t.Errorf("of nothing it says %q", got)
	}
}
