package agent

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
	control "github.com/postern-dev/postern/internal/server"
)

// serve runs the real server until the returned function stops it.
func serve(t *testing.T, data, listen string) (control.Ready, func()) {
	t.Helper()
	config := control.Default()
	config.Data, config.Listen, config.MetricsListen = data, listen, "127.0.0.1:0"
	config.Out, config.Log = io.Discard, io.Discard
	ready, ended := make(chan control.Ready, 1), make(chan error, 1)
	config.Ready = func(r control.Ready) { ready <- r }
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it is stopped before the test's own context ends
	go func() { ended <- control.Run(ctx, config) }()
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			must(t, <-ended)
		}
	}
	t.Cleanup(stop)
	select {
	case r := <-ready:
		return r, stop
	case err := <-ended:
		stopped = true
		t.Fatalf("the server did not start: %v", err)
	}
	panic("not reached")
}

// The main job with the real server, the real agent and the real kernel: refused, asked for, open, revoked, gone; and
// the server's restart in between changes nothing.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	network, err := nettest.Pair()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { must(t, network.Close()) })
	echo, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 22))
	must(t, err)
	t.Cleanup(func() { must(t, echo.Close()) })
	reaches := func(from int) bool {
		return network.Client.Ask("tcp", network.ClientAddrs[from],
			netip.AddrPortFrom(network.MachineAddrs[from%2], 22), 300*time.Millisecond) == nil
	}

	data := t.TempDir()
	ready, stop := serve(t, data, "127.0.0.1:0")
	url := "https://" + ready.Address
	nobody, err := api.NewClient(api.Options{Server: url, CA: ready.CA})
	must(t, err)
	session, err := nobody.SignIn(t.Context(),
		api.SignIn{Name: "admin", Password: ready.AdminPassword, NewPassword: "a long enough password 42"})
	must(t, err)
	admin := nobody.WithToken(session.Token)
	token, err := admin.CreateEnrollmentToken(t.Context(), api.NewEnrollmentToken{Name: "web-1"})
	must(t, err)

	h := &host{t: t, dir: t.TempDir()}
	h.clock, err = SystemClock()
	must(t, err)
	if _, err := Enroll(t.Context(),
		EnrollConfig{
			Server: url, Token: token.Token, CA: []byte(token.CA), StateDir: h.dir, Name: "web-1",
			Version: "test",
		}); err != nil {
		t.Fatal(err)
	}
	if _, err := Enroll(t.Context(),
		EnrollConfig{
			Server: url, Token: token.Token, CA: []byte(token.CA), StateDir: t.TempDir(),
			Name: "web-2",
		}); err == nil {
		t.Error("a token enrolled two hosts")
	}
	kernel, err := nftables.New(nftables.Config{NetNS: network.Machine.FD(), Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	fast := defaultTiming()
	fast.backOff = 200 * time.Millisecond
	go func() {
		ended <- Run(ctx,
			Config{
				StateDir: h.dir, Version: "test", Enforcer: kernel,
				Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), timing: fast,
			})
	}()
	defer func() { cancel(); must(t, <-ended) }()

	_, err = admin.SetMachinePolicy(t.Context(), "web-1",
		api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}}}, 0)
	must(t, err)
	eventually(t, "port 22 is closed", func() bool { return !reaches(0) })
	asked, err := admin.Submit(t.Context(), api.NewRequest{
		ForSeconds: 600, Justification: "to see it work",
		Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{"10.77.0.1", "fd77::1"}}},
	}, "")
	must(t, err)
	eventually(t, "port 22 is open to who asked", func() bool { return reaches(0) && reaches(1) })
	if reaches(2) || reaches(3) {
		t.Error("port 22 is open to others")
	}
	grant := asked.Grants[0].ID
	g, err := admin.Grant(t.Context(), grant, 20*time.Second)
	must(t, err)
	if g.State != "active" {
		t.Errorf("the grant is %s, want it active", g.State)
	}

	address := ready.Address
	stop()
	if !reaches(0) || reaches(2) {
		t.Error("the server's end changed what is open")
	}
	serve(t, data, address)
	_, err = admin.Revoke(t.Context(), grant, "done")
	must(t, err)
	eventually(t, "port 22 is closed again", func() bool { return !reaches(0) && !reaches(1) })
	eventually(t, "the grant was seen gone", func() bool {
		g, err := admin.Grant(t.Context(), grant, 0)
		must(t, err)
		return g.ClosedAt != nil
	})
}
