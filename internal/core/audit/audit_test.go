package audit_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
)

func event(t *rapid.T) access.Event {
	text := rapid.String()
	e := access.Event{
		Kind: access.EventKind(text.Draw(t, "kind")), Outcome: access.Outcome(text.Draw(t, "outcome")),
		Actor: access.Actor{
			ID: access.PrincipalID(text.Draw(t, "id")), Name: text.Draw(t, "name"),
			Via: text.Draw(t, "via"),
		},
		Tenant: access.TenantID(text.Draw(t, "tenant")), Scope: access.ResourceID(text.Draw(t, "scope")),
		Action:  text.Draw(t, "action"),
		Request: access.RequestID(text.Draw(t, "request")), Grant: access.GrantID(text.Draw(t, "grant")),
		Machine: access.MachineID(text.Draw(t, "machine")),
		Agent:   access.AgentID(text.Draw(t, "agent")), Details: rapid.MapOf(text, text).Draw(t, "details"),
	}
	if rapid.Bool().Draw(t, "dated") {
		e.At = time.UnixMicro(rapid.Int64Range(-62135596800000000, 253402300799999999).Draw(t, "at")).UTC()
	}
	if rapid.Bool().Draw(t, "addressed") {
		e.Actor.Address = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
	}
	return e
}

func compareAddr() cmp.Option { return cmp.Comparer(func(a, b netip.Addr) bool { return a == b }) }

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := event(t)
		record, err := audit.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		again, err := audit.Encode(want)
		if err != nil || string(again) != string(record) {
			t.Fatalf("not deterministic: %s and %s, %v", record, again, err)
		}
		got, err := audit.Decode(record)
		if err != nil {
			t.Fatalf("%s: %v", record, err)
		}
		if diff := cmp.Diff(want, got, compareAddr(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestRecordForm(t *testing.T) {
	t.Parallel()
	record, err := audit.Encode(access.Event{
		Seq: 9, At: time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.FixedZone("", 3600)), Kind: access.GrantOpened,
		Outcome: access.Succeeded,
		Actor:   access.Actor{ID: "u", Name: "A\"\\\n\x00d\xff", Address: netip.MustParseAddr("192.0.2.1"), Via: "cli"},
		Details: map[string]string{"b": "", "a": "<&>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"v":1,"actor":{"address":"192.0.2.1","id":"u","name":"A\"\\\u000a\u0000d` + "\uFFFD" +
		`","via":"cli"},"at":1772353800123456,"details":{"a":"<&>","b":""},"kind":"grant.opened","outcome":"succeeded"}`
	if string(record) != want {
		t.Errorf("got  %s\nwant %s", record, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"nothing":          ``,
		"no version":       `{"kind":"a"}`,
		"another version":  `{"v":2}`,
		"version prefix":   `{"v":10}`,
		"a blank":          `{"v":1, "kind":"a"}`,
		"wrong order":      `{"v":1,"kind":"a","agent":"b"}`,
		"twice":            `{"v":1,"kind":"a","kind":"a"}`,
		"unknown":          `{"v":1,"more":"a"}`,
		"empty field":      `{"v":1,"kind":""}`,
		"empty actor":      `{"v":1,"actor":{}}`,
		"empty details":    `{"v":1,"details":{}}`,
		"details unsorted": `{"v":1,"details":{"b":"1","a":"2"}}`,
		"details twice":    `{"v":1,"details":{"a":"1","a":"2"}}`,
		"needless escape":  `{"v":1,"kind":"\u0041"}`,
		"upper-case hex":   `{"v":1,"kind":"\u000A"}`,
		"short escape":     `{"v":1,"kind":"\n"}`,
		"control":          "{\"v\":1,\"kind\":\"\n\"}",
		"not UTF-8":        "{\"v\":1,\"kind\":\"\xff\"}",
		"cut off":          `{"v":1,"kind":"a`,
		"behind":           `{"v":1} `,
		"leading zero":     `{"v":1,"at":01}`,
		"plus":             `{"v":1,"at":+1}`,
		"minus zero":       `{"v":1,"at":-0}`,
		"zero time":        `{"v":1,"at":-62135596800000000}`,
		"no number":        `{"v":1,"at":}`,
		"too large":        `{"v":1,"at":9223372036854775808}`,
		"address form":     `{"v":1,"actor":{"address":"2001:DB8::1"}}`,
	} {
		if e, err := audit.Decode([]byte(record)); err == nil {
			t.Errorf("%s: %s is accepted as %+v", name, record, e)
		}
	}
}

func TestRecordTooLong(t *testing.T) {
	t.Parallel()
	_, err := audit.Encode(access.Event{Action: string(make([]byte, audit.MaxRecord))})
	if access.KindOf(err) != access.KindInvalid {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"action":"a","actor":{"address":"::1","id":"b","name":"\"","via":"cli"},"at":1,"details":{"a":"\u0000","b":""},"kind":"k"}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := audit.Decode(record)
		if err != nil {
			return
		}
		again, err := audit.Encode(e)
		if err != nil || string(again) != string(record) {
			t.Fatalf("%q is accepted, and would be written %q (%v)", record, again, err)
		}
	})
}

// oracle is RFC 6962, section 2.1, word for word.
func oracle(leaves [][]byte) audit.Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		left, right := oracle(leaves[:k]), oracle(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
}

// log keeps what a store would keep.
type log struct {
	records [][]byte
	tree    audit.Tree
	nodes   map[[2]int64]audit.Hash
}

func newLog() *log { return &log{nodes: map[[2]int64]audit.Hash{}} }

func (l *log) append(records ...[]byte) {
	leaves := make([]audit.Hash, len(records))
	for i, r := range records {
		leaves[i] = audit.LeafHash(r)
		l.nodes[[2]int64{0, int64(len(l.records) + i)}] = leaves[i]
	}
	next, kept := l.tree.Append(leaves...)
	for _, n := range kept {
		l.nodes[[2]int64{int64(n.Level), n.Index}] = n.Hash
	}
	l.tree, l.records = next, append(l.records, records...)
}

func (l *log) read(indexes []int64) ([]audit.Hash, error) {
	hashes := make([]audit.Hash, len(indexes))
	for i, index := range indexes {
		span, err := audit.SpanOf(index)
		if err != nil {
			return nil, err
		}
		var nodes []audit.Hash
		for n := range span.Count {
			hash, ok := l.nodes[[2]int64{int64(span.Level), span.First + n}]
			if !ok {
				return nil, fmt.Errorf("node %d of level %d is not kept", span.First+n, span.Level)
			}
			nodes = append(nodes, hash)
		}
		if hashes[i], err = audit.Fold(nodes); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

func TestTreeIsRFC6962(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		for _, size := range rapid.SliceOfN(rapid.IntRange(0, 400), 0, 4).Draw(t, "batches") {
			before := audit.Tree{Size: l.tree.Size, Frontier: append([]audit.Hash(nil), l.tree.Frontier...)}
			old := l.tree
			batch := make([][]byte, size)
			for i := range batch {
				batch[i] = fmt.Appendf(nil, "record %d", len(l.records)+i)
			}
			l.append(batch...)
			if diff := cmp.Diff(before, old, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("appending changed the old tree: %s", diff)
			}
			if !l.tree.Valid() || l.tree.Root() != oracle(l.records) {
				t.Fatalf("root of %d records is wrong", len(l.records))
			}
			if root, err := audit.RootAt(l.tree.Size, l.read); err != nil || root != oracle(l.records) {
				t.Fatalf("root of %d records from what is kept: %v", len(l.records), err)
			}
		}
		if l.tree.Size == 0 {
			return
		}
		size := rapid.Int64Range(1, l.tree.Size).Draw(t, "size")
		seq := rapid.Int64Range(0, size-1).Draw(t, "seq")
		root := oracle(l.records[:size])
		proof, err := audit.ProveInclusion(size, seq, l.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(proof, size, root, seq, l.records[seq]); err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(proof, size, root, seq, []byte("another record")); err == nil {
			t.Fatal("another record is proven")
		}
		from := rapid.Int64Range(0, size).Draw(t, "from")
		proof, err = audit.ProveConsistency(from, size, l.read)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckConsistency(proof, from, oracle(l.records[:from]), size, root); err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckConsistency(proof, from, audit.Hash{1}, size, root); err == nil {
			t.Fatal("another beginning is proven")
		}
	})
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	signer, verifier, err := audit.GenerateKey(rand.Reader, "log-1")
	if err != nil {
		t.Fatal(err)
	}
	if derived, err := audit.VerifierKey(signer); err != nil || derived != verifier {
		t.Fatalf("the verifier key is %q, want %q: %v", derived, verifier, err)
	}
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.UTC)
	want, err := audit.Sign(signer, 3, audit.Hash{1, 2, 3}, at)
	if err != nil {
		t.Fatal(err)
	}
	if !want.At.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("the time is %v", want.At)
	}
	got, err := audit.Open(verifier, want.Text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range want.Text {
		for _, bit := range []byte{1, 2, 32} {
			text := []byte(want.Text)
			text[i] ^= bit
			if _, err := audit.Open(verifier, string(text)); err == nil {
				t.Errorf("byte %d may be another: %q", i, text)
			}
		}
	}
	_, stranger, err := audit.GenerateKey(rand.Reader, "log-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(stranger, want.Text); err == nil {
		t.Error("another key opens it")
	}
	if _, _, err := audit.GenerateKey(rand.Reader, "a log"); err == nil {
		t.Error("a name with a blank is accepted")
	}
}
