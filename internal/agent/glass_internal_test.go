package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestGlass proves that a code opens once, for no longer than it may, beside what the server wants, and not after a
// reboot.
func TestGlass(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := reading{boot: bootInstant(time.Hour), wall: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC), bootID: "one"}
	later := func(d time.Duration) reading {
		return reading{boot: now.boot.Add(d), wall: now.wall.Add(d), bootID: now.bootID}
	}
	sum := sha256.Sum256([]byte("ABCDE12345"))
	code := access.SealedCode{
		ID: "c", Machine: "m", Hash: hex.EncodeToString(sum[:]), Most: time.Hour,
		Until: now.boot.Add(24 * time.Hour),
	}
	guarded := access.DesiredState{
		Machines: []access.Guarded{{Machine: "m", Name: "web-1"}},
		Protected: []access.Protected{{
			Machine: "m", Protocol: access.TCP, Ports: access.SinglePort(22),
			Sessions: access.SessionsCut,
		}},
	}
	if err := keepCodes(dir, []access.SealedCode{code}, now); err != nil {
		t.Fatal(err)
	}
	// What was kept by a clock that was wrong is put right by the next state.
	wrong := now
	wrong.wall = now.wall.Add(-48 * time.Hour)
	for _, at := range []reading{wrong, now} {
		if err := keepCodes(dir, []access.SealedCode{code}, at); err != nil {
			t.Fatal(err)
		}
	}
	in := GlassConfig{
		Code: "abcde-12345", Port: 22, Protocol: access.TCP,
		Source: netip.MustParsePrefix("203.0.113.7/32"), For: 3 * time.Hour, Reason: "site down",
	}
	for name, change := range map[string]func(*GlassConfig){
		"another code":    func(in *GlassConfig) { in.Code = "ABCDE-12346" },
		"no code":         func(in *GlassConfig) { in.Code = "" },
		"another machine": func(in *GlassConfig) { in.Machine = "web-2" },
		"another port":    func(in *GlassConfig) { in.Port = 23 },
		"no reason":       func(in *GlassConfig) { in.Reason = " " },
		"no time":         func(in *GlassConfig) { in.For = 0 },
		"no source":       func(in *GlassConfig) { in.Source = netip.Prefix{} },
		"multicast":       func(in *GlassConfig) { in.Source = netip.MustParsePrefix("224.0.0.1/32") },
	} {
		wrong := in
		change(&wrong)
		if _, _, err := spend(dir, guarded, wrong, now); err == nil {
			t.Errorf("%s opens", name)
		}
	}
	if _, _, err := spend(dir, guarded, in, later(25*time.Hour)); err == nil {
		t.Error("an expired code opens")
	}
	use, name, err := spend(dir, guarded, in, now)
	if err != nil || name != "web-1" || use.For != time.Hour {
		t.Fatalf("%+v, %q, %v", use, name, err)
	}
	if _, _, err := spend(dir, guarded, in, now); err == nil {
		t.Error("a code opens twice")
	}
	// The server may say the code again, before it knows; and its own opening for the same ends as it would.
	if err := keepCodes(dir, []access.SealedCode{code}, now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := spend(dir, guarded, in, now); err == nil {
		t.Error("a code opens twice, after the server said it again")
	}
	open := func(d access.DesiredState, at reading) []access.Opening {
		t.Helper()
		with, err := withGlass(dir, d, at)
		if err != nil {
			t.Fatal(err)
		}
		return with.Openings
	}
	if o := open(guarded, later(59*time.Minute)); len(o) != 1 || !o[0].Until.Equal(now.boot.Add(time.Hour)) {
		t.Errorf("open %+v", o)
	}
	both := guarded
	both.Openings = []access.Opening{{
		OpeningKey: open(guarded, now)[0].OpeningKey, Until: now.boot.Add(2 * time.Hour),
		Grants: []access.GrantID{"g"},
	}}
	if o := open(both, now); len(o) != 1 || !o[0].Until.Equal(now.boot.Add(2*time.Hour)) || len(o[0].Grants) != 2 {
		t.Errorf("the union is %+v", o)
	}
	if o := open(guarded, later(time.Hour)); len(o) != 0 {
		t.Errorf("after its end %+v", o)
	}
	rebooted := later(time.Minute)
	rebooted.bootID = "two"
	if o := open(guarded, rebooted); len(o) != 0 {
		t.Errorf("after a reboot %+v", o)
	}
}
