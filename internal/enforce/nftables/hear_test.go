//go:build linux

package nftables

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTheLogGroupOfAnother has another program read our log group: that is said, and heals once it goes.
func TestTheLogGroupOfAnother(t *testing.T) {
	t.Parallel()
	other, network := alone(t)
	if err := other.Hear(); err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{NetNS: network.Gateway.FD(), Log: slog.New(slog.DiscardHandler), Plain: true})
	if err != nil {
		t.Fatalf("no enforcer without its log group: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := e.Hear(); !refusedByKernel(err, unix.EPERM) {
		t.Errorf("beside another program: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Hear(); err != nil {
			t.Errorf("without another program: %v", err)
		}
	}
	// A socket that broke is made anew.
	was := e.refusals
	if err := was.close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Hear(); err != nil || e.refusals == was {
		t.Errorf("after its socket broke: %v", err)
	}
}
