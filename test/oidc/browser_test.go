package oidc_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestButton goes the whole way in a real browser: the button of the sign-in page, the provider, and signed in.
func TestButton(t *testing.T) {
	t.Parallel()
	for _, needed := range []string{"/usr/bin/chromium", "../browser/node_modules/playwright-core"} {
		if _, err := os.Stat(needed); err != nil {
			if os.Getenv("POSTERN_TESTS_REQUIRED") != "" {
				t.Fatalf("%s is not installed", needed)
			}
			t.Skipf("%s is not installed", needed)
		}
	}
	w := newWorld(t)
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute)
	defer stop()
	script := exec.CommandContext(ctx, "node", "openid.mjs")
	script.Dir = "../browser"
	script.Env = append(os.Environ(), "PORTAL="+w.url, "ISSUER="+w.issuer, "PROFILE="+t.TempDir())
	if said, err := script.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
