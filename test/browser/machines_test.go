//go:build linux

package browser_test

import (
	"fmt"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestManyMachines filters, sorts, picks, ends and removes among 304 machines, with the mouse and with keys, and
// downloads them.
func TestManyMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1", "idle-1")
	anna := w.person("anna", "Anna Keller", "JIT Access Requester")
	for _, name := range []string{"web-1", "db-1", "idle-1"} {
		w.policy(name, api.MachinePolicy{Ports: []api.PortRule{ssh(2 * 3600)}})
	}
	w.enroll("gw-dark", w.path("dark")) // its agent never runs
	for i := range 300 {
		if _, err := w.admin.AddMachine(t.Context(), api.NewMachine{
			Name: fmt.Sprintf("m-%03d", i), Gateway: "gw-dark",
			Addresses: []string{fmt.Sprintf("10.99.%d.%d", i/100, i%100)},
			Labels:    map[string]string{"env": []string{"prod", "test", "dev"}[i%3]},
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.browse("machines.mjs", "ANNA_PASSWORD="+anna, "WEB="+w.echo(0))
}
