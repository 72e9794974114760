package access_test

import (
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestParseResourceID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]access.ResourceID{
		"/": access.Root, "/subscriptions/A/": "/subscriptions/A",
		"/subscriptions/A/resourceGroups/rg (1)": "/subscriptions/A/resourceGroups/rg (1)",
		"/" + strings.Repeat("x", 2047):          access.ResourceID("/" + strings.Repeat("x", 2047)),
	} {
		if got, err := access.ParseResourceID(in); err != nil || got != want {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "//", "///", "/a//", "/a//b", "a", "a/b", "/a\x00", "/a\n", `/a\b`, "/a?b", "/a#b", "/a%2fb", "/a/../b",
		"/a/.", "/..",
		"/\u212a", "/ſ", "/é", "/\xff", "/" + strings.Repeat("x", 2048),
	} {
		if got, err := access.ParseResourceID(in); access.CodeOf(err) != "malformedResourceId" || got != "" {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		id, scope access.ResourceID
		want      bool
	}{
		{"/a/b", "/a", true},
		{"/A/b", "/a/B", true},
		{"/a", "/a", true},
		{"/a/b", "/", true},
		{"/", "/", true},
		{"/ab", "/a", false},
		{"/a", "/a/b", false},
		{"/", "/a", false},
		{"/a", "", false},
		{"", "/", false},
		{"", "", false},
	} {
		if got := tc.id.Within(tc.scope); got != tc.want {
			t.Errorf("%q within %q: %v", tc.id, tc.scope, got)
		}
	}
}

func TestSegment(t *testing.T) {
	t.Parallel()
	id := access.MachineResource("S", "virtualMachines", "providers")
	for key, want := range map[string]string{
		"subscriptions": "S", "RESOURCEGROUPS": "virtualMachines", "providers": "Microsoft.Compute",
		"virtualMachines": "providers", "S": "", "none": "",
	} {
		if got := id.Segment(key); got != want {
			t.Errorf("segment %s of %s: %q, want %q", key, id, got, want)
		}
	}
	if got := access.ResourceID("/subscriptions").Segment("subscriptions"); got != "" {
		t.Errorf("a key without a value gives %q", got)
	}
	if got := id.Name(); got != "providers" {
		t.Errorf("name %q", got)
	}
}

func FuzzParseResourceID(f *testing.F) {
	for _, s := range []string{"/", "//", "/subscriptions/A/resourceGroups/b/", "/a//", "/\u212a", "/a/../b", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := access.ParseResourceID(s)
		if err != nil {
			if access.KindOf(err) != access.KindInvalid || id != "" {
				t.Fatalf("%q gives %q with %v", s, id, err)
			}
			return
		}
		if id == access.Root {
			if s != "/" {
				t.Fatalf("%q is the root", s)
			}
			return
		}
		if again, err := access.ParseResourceID(string(id)); err != nil || again != id {
			t.Fatalf("%q gives %q, and again %q, %v", s, id, again, err)
		}
		if string(id) != s && string(id)+"/" != s {
			t.Fatalf("%q gives %q", s, id)
		}
		folded := access.ResourceID(id.Fold())
		if !folded.Equal(id) || folded.Fold() != id.Fold() || !folded.Within(id) || !id.Within(folded) {
			t.Fatalf("%q and its folded form differ", id)
		}
		below := id + "/x"
		if !below.Within(id) || id.Within(below) || (id + "x").Within(id) || !id.Within(access.Root) {
			t.Fatalf("what lies within %q", id)
		}
		if parent := id[:strings.LastIndexByte(string(id), '/')]; parent != "" && !id.Within(parent) {
			t.Fatalf("%q does not lie within %q", id, parent)
		}
	})
}
