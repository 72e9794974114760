package cli

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// TestLostNamesEverything takes each thing away that a policy can say, and wants it named: a field that is new here and
// that nobody names fails it.
func TestLostNamesEverything(t *testing.T) {
	t.Parallel()
	full := func() api.MachinePolicy {
		return api.MachinePolicy{
			Ports:    []api.PortRule{{Ports: "22", Sources: []string{"office"}, MaxSeconds: 3600}},
			Sessions: "keep", CloseAfterLossSeconds: 60, PendingTimeoutSeconds: 60, GapSeconds: 60,
			Justification: api.JustificationRule{Required: true, MinLength: 10, Pattern: "x"},
			Ticket:        api.TicketRule{Required: true, Pattern: "OPS-[0-9]+", Checked: true},
			Approval: []api.ApprovalCase{
				{
					StepUp: true,
					Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 2, Groups: []string{"ops"}}}}},
				},
			},
			BreakGlass: &api.BreakGlassRule{Groups: []string{"duty"}, MaxSeconds: 3600},
		}
	}
	if said := lost(full(), full()); len(said) > 0 {
		t.Errorf("of a policy in its own place: %q", said)
	}
	bare := api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", MaxSeconds: 3600}}, Sessions: "cut"}
	if said := lost(bare, full()); len(said) > 0 {
		t.Errorf("of a policy that said nothing: %q", said)
	}
	names := []string{}
	var walk func(path []int, typ reflect.Type, name string)
	walk = func(path []int, typ reflect.Type, name string) {
		for i := range typ.NumField() {
			field, at := typ.Field(i), append(append([]int{}, path...), i)
			if field.Type.Kind() == reflect.Struct {
				walk(at, field.Type, name+field.Name+".")
				continue
			}
			was, will := full(), full()
			if name+field.Name == "Ports" {
				will.Ports[0].Sources = nil
			} else {
				reflect.ValueOf(&will).Elem().FieldByIndex(at).SetZero()
			}
			if reflect.DeepEqual(was, will) {
				t.Errorf("the policy of this test has no %s: give it one", name+field.Name)
			}
			if said := lost(was, will); len(said) == 0 {
				t.Errorf("%s is lost without a word", name+field.Name)
			}
			names = append(names, name+field.Name)
		}
	}
	walk(nil, reflect.TypeFor[api.MachinePolicy](), "")
	if len(names) < 10 {
		t.Errorf("only %q were looked at", names)
	}
	said := strings.Join(lost(full(), bare), "\n")
	for _, want := range []string{
		"2 of ops", "duty", "ticket", "reason", "passkey", "gap", "office", "kept",
		"lost the server",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	longer := []api.PortRule{{Ports: "1-100", Protocol: "any", MaxSeconds: 10800}}
	if got := lengthened(full().Ports, longer); len(got) != 1 || len(lengthened(longer, full().Ports)) != 0 {
		t.Errorf("lengthened: %q", got)
	}
}
