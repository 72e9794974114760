//go:build linux

package e2e_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

func TestGatewayGuardsTheMachinesBehindIt(t *testing.T) {
	t.Parallel()
	const machines, ports = 10, 100 // 1,000 grants
	network, err := nettest.BehindGateway(machines)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, network)
	w.enrol(w.guarded, "gw-1", "gateway", "state")
	w.startAgent()
	for i := range machines {
		_, err := w.admin.AddMachine(t.Context(), api.NewMachine{
			Name: fmt.Sprintf("db-%d", i), Gateway: "gw-1",
			Addresses: []string{network.MachineAddrs[2*i].String(), network.MachineAddrs[2*i+1].String()},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.admin.SetMachinePolicy(t.Context(), fmt.Sprintf("db-%d", i), api.MachinePolicy{
			Ports: []api.PortRule{{Ports: fmt.Sprintf("1000-%d", 1000+ports-1), MaxSeconds: 3600}},
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	w.inForce("db-0")
	echo := func(machine int, port uint16, six bool) netip.AddrPort {
		at := 2 * machine
		if six {
			at++
		}
		to := netip.AddrPortFrom(network.MachineAddrs[at], port)
		e, err := network.Machine.EchoTCP(to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return to
	}
	first, last, free := echo(0, 1000, false), echo(machines-1, 1000+ports-1, true), echo(0, 999, false)
	w.shut(network.ClientAddrs[0], first)
	w.shut(network.ClientAddrs[1], last)
	w.open(network.ClientAddrs[0], free)

	var granted []api.Grant
	for i := range machines {
		in := api.NewRequest{ForSeconds: 3600, Justification: "a test"}
		for p := range ports {
			in.Items = append(in.Items, api.NewItem{
				Machine: fmt.Sprintf("db-%d", i), Ports: fmt.Sprint(1000 + p),
				Sources: []string{network.ClientAddrs[0].String(), network.ClientAddrs[1].String()},
			})
		}
		r, err := w.admin.Submit(t.Context(), in, "")
		if err != nil {
			t.Fatal(err)
		}
		granted = append(granted, r.Grants...)
	}
	if len(granted) != machines*ports {
		t.Fatalf("got %d grants, want %d", len(granted), machines*ports)
	}
	w.eventually("all grants are active", func() error {
		grants, err := api.All(w.admin.Grants(t.Context(), api.GrantQuery{States: []string{"active"}}))
		if err == nil && len(grants) != machines*ports {
			err = fmt.Errorf("%d are", len(grants))
		}
		return err
	})
	w.open(network.ClientAddrs[0], first)
	w.open(network.ClientAddrs[1], last)
	w.shut(network.ClientAddrs[2], first)
	for _, g := range granted {
		if g.Machine == "db-0" && g.Ports == "1000" {
			if _, err := w.admin.Revoke(t.Context(), g.ID, ""); err != nil {
				t.Fatal(err)
			}
			w.closed(g.ID)
		}
	}
	w.shut(network.ClientAddrs[0], first)
	w.open(network.ClientAddrs[1], last)
}
