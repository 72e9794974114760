package cli

import (
	"os"
	"strings"
	"testing"
)

// TestOtherSystemsSayWhatRunsOnLinuxOnly holds that a command of hosts is answered where it does not exist, too.
func TestOtherSystemsSayWhatRunsOnLinuxOnly(t *testing.T) {
	t.Parallel()
	other, err := os.ReadFile("host_other.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range (&app{}).hostCommands() {
		if !strings.Contains(string(other), `"`+c.Name()+`"`) {
			t.Errorf("host_other.go does not name postern %s", c.Name())
		}
	}
}
