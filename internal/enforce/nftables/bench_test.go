//go:build linux

package nftables_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	library "github.com/google/nftables"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// BenchmarkOneChange opens and closes one opening beside many others: with Apply, with Apply and a look, and with the
// bare library on a lasting connection, which is the least that it can cost. Each operation is one change.
func BenchmarkOneChange(b *testing.B) {
	for _, beside := range []int{0, 1_000, 100_000} {
		b.Run(fmt.Sprintf("bare/beside=%d", beside), func(b *testing.B) { benchBare(b, beside) })
		b.Run(fmt.Sprintf("apply/beside=%d", beside), func(b *testing.B) { benchApply(b, beside, false) })
		b.Run(fmt.Sprintf("apply+held/beside=%d", beside), func(b *testing.B) { benchApply(b, beside, true) })
	}
}

func benchSpace(b *testing.B) *nettest.Namespace {
	b.Helper()
	space, err := nettest.New()
	if err != nil {
		b.Skipf("no network namespaces here: %v", err)
	}
	b.Cleanup(func() { _ = space.Close() })
	return space
}

func crowd(n int, until time.Time) []access.Opening {
	openings := make([]access.Opening, n)
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range openings {
		openings[i] = open(addr.String()+"/32", access.TCP, until, "grant")
		addr = addr.Next()
	}
	_, _, sorted := enforce.Changes(nil, openings)
	return sorted
}

func benchApply(b *testing.B, beside int, look bool) {
	b.Helper()
	space := benchSpace(b)
	e, err := nftables.New(nftables.Config{Log: quiet(), NetNS: space.FD()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	start := time.Now()
	now := func() time.Time { return time.Unix(0, 0).Add(time.Since(start)) }
	until := now().Add(24 * time.Hour)
	closed := state(access.SessionsCut, crowd(beside, until)...)
	opened := closed
	extra := open("192.0.2.1/32", access.TCP, until, "extra")
	opened.Openings = append(slices.Clone(closed.Openings), extra)
	if err := e.Apply(b.Context(), &closed, now()); err != nil {
		b.Fatal(err)
	}
	keys := []access.OpeningKey{extra.OpeningKey}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		d := &closed
		if i%2 == 0 {
			d = &opened
		}
		if err := e.Apply(b.Context(), d, now()); err != nil {
			b.Fatal(err)
		}
		if look {
			held, err := e.Held(b.Context(), keys, now())
			if err != nil || len(held) != (i+1)%2 {
				b.Fatalf("held %v: %v", held, err)
			}
		}
		took = append(took, time.Since(began))
	}
	quantiles(b, took)
}

func benchBare(b *testing.B, beside int) {
	b.Helper()
	space := benchSpace(b)
	conn, err := library.New(library.WithNetNSFd(space.FD()), library.AsLasting())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.CloseLasting() })
	table := conn.AddTable(&library.Table{Name: "bare", Family: library.TableFamilyINet})
	set := &library.Set{
		Table: table, Name: "n4_32", HasTimeout: true, Counter: true, Concatenation: true,
		KeyType: library.MustConcatSetType(library.TypeIPAddr, library.TypeInetProto, library.TypeInetService),
	}
	if err := conn.AddSet(set, nil); err != nil {
		b.Fatal(err)
	}
	element := func(n uint32) library.SetElement {
		key := append(binary.BigEndian.AppendUint32(nil, n), 6, 0, 0, 0, 0, 22, 0, 0)
		return library.SetElement{Key: key, Timeout: 24 * time.Hour, Comment: "grant"}
	}
	for from := 0; from < beside; from += 300 {
		var some []library.SetElement
		for n := from; n < min(from+300, beside); n++ {
			some = append(some, element(uint32(n)))
		}
		if err := conn.SetAddElements(set, some); err != nil {
			b.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		b.Fatal(err)
	}
	extra := []library.SetElement{element(1 << 31)}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		change := conn.SetAddElements
		if i%2 == 1 {
			change = conn.SetDeleteElements
		}
		if err := change(set, extra); err != nil {
			b.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	quantiles(b, took)
}

func quantiles(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

// BenchmarkResync writes everything anew, as after an error or a change by others. Each operation is one resync.
func BenchmarkResync(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("openings=%d", n), func(b *testing.B) {
			space := benchSpace(b)
			start := time.Now()
			now := func() time.Time { return time.Unix(0, 0).Add(time.Since(start)) }
			d := state(access.SessionsCut, crowd(n, now().Add(24*time.Hour))...)
			for b.Loop() {
				e, err := nftables.New(nftables.Config{Log: quiet(), NetNS: space.FD()})
				if err != nil {
					b.Fatal(err)
				}
				if err := e.Apply(b.Context(), &d, now()); err != nil {
					b.Fatal(err)
				}
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
