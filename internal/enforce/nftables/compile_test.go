//go:build linux

package nftables_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestCompile reads cases of the form "state" and "ruleset" from testdata. The lines of a state are
//
//	mode gateway
//	machine NAME ADDRESS…
//	protect MACHINE PROTOCOL PORTS SESSIONS
//	open MACHINE SOURCE PROTOCOL PORTS REMAINING GRANT…
func TestCompile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	now := time.Unix(1000, 0)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ruleset, refused := nftables.Compile(parseState(t, string(archive.Files[0].Data), now), now, "postern", 7)
			got := ruleset.Text(now)
			for key, why := range refused {
				got += fmt.Sprintf("refused %s %s %s/%s: %s\n", key.Machine, key.Source, key.Ports, key.Protocol, why)
			}
			if *update {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "ruleset", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) < 2 {
				t.Fatal("no ruleset in the file: run with -update, and read what it wrote")
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func parseState(t *testing.T, text string, now time.Time) access.DesiredState {
	t.Helper()
	d := access.DesiredState{Mode: access.ModeHost}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "mode":
			d.Mode = access.Mode(f[1])
		case "machine":
			m := access.Guarded{Machine: access.MachineID(f[1])}
			for _, a := range f[2:] {
				m.Addresses = append(m.Addresses, netip.MustParseAddr(a))
			}
			d.Machines = append(d.Machines, m)
		case "protect":
			d.Protected = append(d.Protected,
				access.Protected{
					Machine: access.MachineID(f[1]), Protocol: access.Protocol(f[2]),
					Ports: ports(t, f[3]), Sessions: access.SessionMode(f[4]),
				})
		case "open":
			left, err := time.ParseDuration(f[5])
			if err != nil {
				t.Fatal(err)
			}
			o := access.Opening{Until: now.Add(left), OpeningKey: access.OpeningKey{
				Machine: access.MachineID(f[1]),
				Source:  netip.MustParsePrefix(f[2]), Protocol: access.Protocol(f[3]), Ports: ports(t, f[4]),
			}}
			for _, g := range f[6:] {
				o.Grants = append(o.Grants, access.GrantID(g))
			}
			d.Openings = append(d.Openings, o)
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return d
}

func ports(t *testing.T, text string) access.PortRange {
	t.Helper()
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	b, err := strconv.ParseUint(last, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return access.PortRange{First: uint16(a), Last: uint16(b)}
}

func TestCompileDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	rapid.Check(t, func(r *rapid.T) {
		d := state(access.SessionsCut)
		d.Openings = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) access.Opening {
			o := open(rapid.SampledFrom(
				[]string{"192.0.2.1/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "::ffff:192.0.2.1/128"}).Draw(
				r, "source"),
				rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP}).Draw(r, "protocol"),
				now.Add(time.Duration(rapid.IntRange(-5, 100).Draw(r, "left"))*time.Second),
				access.GrantID(rapid.StringMatching("[a-z]{3}").Draw(r, "grant")))
			first := rapid.IntRange(1, 30).Draw(r, "first")
			o.Ports = access.PortRange{First: uint16(first), Last: uint16(first + rapid.IntRange(0, 5).Draw(r, "more"))}
			return o
		}), 0, 10).Draw(r, "openings")
		seen := make(map[access.OpeningKey]bool)
		unique := d.Openings[:0:0]
		for _, o := range d.Openings {
			if !seen[o.OpeningKey] {
				unique = append(unique, o)
			}
			seen[o.OpeningKey] = true
		}
		d.Openings = unique
		one, _ := nftables.Compile(d, now, "postern", 7)
		d.Openings = rapid.Permutation(unique).Draw(r, "order")
		other, _ := nftables.Compile(d, now, "postern", 7)
		if diff := cmp.Diff(one.Text(now), other.Text(now)); diff != "" {
			r.Error(diff)
		}
		for _, s := range one.Sets {
			for _, e := range s.Elements {
				if s.Timed && !e.Until.After(now) {
					r.Errorf("an element of %s has ended", s.Name)
				}
			}
		}
	})
}
