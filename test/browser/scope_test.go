//go:build linux

package browser_test

import (
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestScopePolicies guards two machines by one policy of their subscription, and one of them by a policy of its own for
// a while.
func TestScopePolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "web-2")
	https := ssh(3600)
	https.Ports = "443"
	_, err := w.admin.SetScopePolicy(t.Context(), "everything", api.NewScopePolicy{
		MachinePolicy: api.MachinePolicy{Ports: []api.PortRule{ssh(3600), https}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.browse("scope.mjs")
}
