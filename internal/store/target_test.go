package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/engine"
)

// TestUnknownTargetsAreRefused writes what a newer version may write: a request or a grant for something that is neither
// a port nor a role. Reading it fails and says why, alone and in a list, and gives nothing that could be opened.
func TestUnknownTargetsAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, grant, _ := f.request(day())
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRequest(ctx, request, 0), tx.SaveGrant(ctx, grant, 0))
		})
		refused := func(what string, err error, id string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "does not know") {
				t.Errorf("%s: %v, want it to name %s and what is wrong", what, err, id)
			}
		}
		db := f.raw(t)
		change := func(statement string) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for what, items := range map[string]string{
			"a kind of its own": `[{"kind":"database","machine":"machine-1","ports":{"first":22,"last":22}}]`,
			"nothing":           `[{"machine":"","ports":{"first":0,"last":0},"protocol":""}]`,
			"a port of nothing": `[{"machine":"","ports":{"first":22,"last":22},"protocol":"tcp"}]`,
			"a role and a port": `[{"machine":"machine-1","role":{"eligibility":"e","id":"r","name":"n","scope":"/"},` +
				`"ports":{"first":22,"last":22},"protocol":"tcp"}]`,
		} {
			change("update requests set items = '" + items + "'")
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				_, err := r.Request(ctx, request.ID)
				refused("a request for "+what, err, string(request.ID))
				_, err = r.Requests(ctx, engine.RequestFilter{}, engine.Page{Limit: 10})
				refused("a list with a request for "+what, err, string(request.ID))
				return nil
			})
		}
		for what, columns := range map[string]string{
			"nothing":           "machine = ''",
			"a role and a port": "machine = 'machine-1', eligibility = 'e', role = 'r'",
			"a role with ports": "machine = '', eligibility = 'e', role = 'r'",
		} {
			change("update grants set " + columns)
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				_, err := r.Grant(ctx, grant.ID)
				refused("a grant of "+what, err, string(grant.ID))
				grants, err := r.Grants(ctx, engine.GrantFilter{}, engine.Page{Limit: 10})
				refused("a list with a grant of "+what, err, string(grant.ID))
				if len(grants.Items) > 0 {
					t.Errorf("a grant of %s is given as %+v", what, grants.Items)
				}
				return nil
			})
		}
	})
}
