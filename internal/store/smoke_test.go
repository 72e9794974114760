package store_test

import (
	"context"
	"testing"

	"github.com/postern-dev/postern/internal/engine"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, f *fixture) {
		for range 5 {
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return f.submit(ctx, tx, day()) })
		}
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			l, err := r.Requests(ctx, engine.RequestFilter{}, engine.Page{Limit: 3})
			t.Log(len(l.Items), l.Next)
			if err != nil {
				return err
			}
			e, err := r.Events(ctx, engine.EventFilter{}, engine.Page{Limit: 100})
			t.Log(len(e.Items))
			return err
		})
	})
}
