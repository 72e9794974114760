package armapi

import (
	"maps"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestDetailsHideNothingOfTheRecord proves that what an event tells besides takes the place of nothing that the server
// recorded, such as which kind of event it is, and is not lost.
func TestDetailsHideNothingOfTheRecord(t *testing.T) {
	t.Parallel()
	e := access.Event{
		Seq: 7, Kind: access.PrincipalCreated, Machine: "m1", Actor: access.Actor{Name: "ann", Via: "cli"},
		Details: map[string]string{"kind": "user", "machine": "web-1", "seq": "1", "via": "portal", "name": "bob"},
	}
	want := map[string]string{
		"kind": string(access.PrincipalCreated), "machine": "m1", "seq": "7", "via": "cli", "name": "bob",
		"detail.kind": "user", "detail.machine": "web-1", "detail.seq": "1", "detail.via": "portal",
	}
	if got := propertiesOf(e); !maps.Equal(got, want) {
		t.Errorf("the properties are %v, want %v", got, want)
	}
}
