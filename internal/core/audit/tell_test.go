package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
)

// TestEveryKindIsTold holds the sentences against the kinds that the source declares: a new kind needs one.
func TestEveryKindIsTold(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../access/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	told, found := audit.ToldKinds(), 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || len(spec.Values) != 1 {
			return true
		}
		if of, is := spec.Type.(*ast.Ident); !is || of.Name != "EventKind" {
			return true
		}
		kind, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value) //nolint:forcetypeassert // a constant's text
		if err != nil {
			t.Fatal(err)
		}
		found++
		if !slices.Contains(told, access.EventKind(kind)) {
			t.Errorf("%s has no sentence in tell.go", kind)
		}
		return true
	})
	if found < 80 || found != len(told) {
		t.Errorf("%d kinds are declared, %d are told", found, len(told))
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	anna, ben := access.Actor{Name: "anna", Address: netip.MustParseAddr("203.0.113.7")}, access.Actor{Name: "ben"}
	port := func(more ...string) map[string]string {
		d := map[string]string{"ports": "22", "protocol": "tcp", "principal": "anna", "sources": "203.0.113.7/32,2001:db8::/48"}
		for i := 0; i+1 < len(more); i += 2 {
			d[more[i]] = more[i+1]
		}
		return d
	}
	request := func(more ...string) map[string]string {
		d := port(append([]string{"requester", "anna", "principal", "", "ports", "22/tcp"}, more...)...)
		return d
	}
	for _, c := range []struct {
		kind    access.EventKind
		by      access.Actor
		machine string
		details map[string]string
		want    string
	}{
		{
			access.RequestSubmitted, anna, "web-1", request("justification", "deploy [release] {7}"),
			"anna requested 22/tcp on web-1 from 203.0.113.7, 2001:db8::/48: deploy [release] {7}",
		},
		{
			access.RequestSubmitted, anna, "web-1", request("item.0", "x", "item.1", "y"),
			"anna requested 22/tcp on web-1 and more from 203.0.113.7, 2001:db8::/48",
		},
		{access.RequestWasApproved, ben, "web-1", request("sources", ""), "ben approved the request of anna for 22/tcp on web-1"},
		{
			access.RequestWasApproved, anna, "web-1", request("sources", ""),
			"The policy approved the request of anna for 22/tcp on web-1",
		},
		{
			access.RequestWasDenied, ben, "web-1", request("reason", "say why"),
			"ben denied the request of anna for 22/tcp on web-1: say why",
		},
		{
			access.DecisionMade, ben, "web-1",
			map[string]string{"decision": "deny", "requester": "anna"},
			"ben denied the request of anna on web-1",
		},
		{
			access.GrantOpened,
			access.Actor{Name: "agent:gw"},
			"web-1", port("sources", "203.0.113.7/32"),
			"The agent gw opened 22/tcp on web-1 for anna from 203.0.113.7",
		},
		{
			access.GrantCreated, ben, "web-1", port("sources", "", "end", "2026-11-30T12:15:04.1Z"),
			"anna was granted 22/tcp on web-1 until 2026-11-30 12:15 UTC",
		},
		{
			access.GrantCreated, ben, "the resource group rg",
			map[string]string{"role": "Reader", "principal": "anna"},
			"anna was granted the role Reader at the resource group rg",
		},
		{
			access.RoleAssigned, ben, "everywhere",
			map[string]string{"role": "Owner", "principal": "anna"},
			"ben assigned the role Owner to anna everywhere",
		},
		{
			access.GlassBroken, anna, "web-1",
			map[string]string{"justification": "outage"},
			"anna broke the glass for web-1: outage",
		},
		{access.SignedIn, anna, "", nil, "anna signed in from 203.0.113.7"},
		{
			access.PrincipalCreated, ben, "",
			map[string]string{"kind": "servicePrincipal", "name": "robot"},
			"ben created the service principal robot",
		},
	} {
		e := access.Event{Kind: c.kind, Outcome: access.Succeeded, Actor: c.by, Details: c.details}
		if got := audit.Tell(e, c.machine); got != c.want {
			t.Errorf("%s: %q\nnot %q", c.kind, got, c.want)
		}
	}
	refused := access.Event{
		Kind: access.RequestRefused, Outcome: access.Refused, Actor: anna,
		Details: map[string]string{"message": "m", "reason.0": "items[0].ports portNotInPolicy: port 9 cannot be opened"},
	}
	if got := audit.Tell(refused, ""); got != "anna requested access and was refused: port 9 cannot be opened" {
		t.Errorf("refused: %q", got)
	}
	refused.Kind, refused.Details = access.MachineDeleted, map[string]string{"machine": "web-1", "message": "no right"}
	if got := audit.Tell(refused, "web-1"); got != "anna was refused: machine deleted on web-1: no right" {
		t.Errorf("refused: %q", got)
	}
}

// TestTellIsWhole gives each kind an event that knows nothing but its actor, and one that knows all: no sentence shows
// a mark of its template or ends in the middle.
func TestTellIsWhole(t *testing.T) {
	t.Parallel()
	all := map[string]string{}
	for name := range strings.FieldsSeq("ports protocol principal requester person name role group member network count " +
		"title about rule channel loosened answer prefixes until end reason comment justification skew rules detail kind reach decision") {
		all[name] = name
	}
	for _, kind := range audit.ToldKinds() {
		for _, details := range []map[string]string{nil, all} {
			for _, outcome := range []access.Outcome{access.Succeeded, access.Refused} {
				e := access.Event{Kind: kind, Outcome: outcome, Actor: access.Actor{Name: "anna"}, Details: details}
				got := audit.Tell(e, "web-1")
				if strings.ContainsAny(got, "{}[]") || got == "" || strings.HasSuffix(got, ": ") || strings.Contains(got, "  ") && details != nil {
					t.Errorf("%s: %q", kind, got)
				}
			}
		}
	}
}
