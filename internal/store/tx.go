package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// tx is one caller's part of a batch.
type tx struct {
	reader

	batch  *batch
	saved  bool  // the savepoint is set
	failed error // the driver's own: nothing more can be done
	lost   bool  // a read failed with no savepoint to go back to
	over   bool  // fn has returned

	events int // of the batch, when it began; likewise the others
	inbox  int
	head   head
	agents int
}

var _ engine.Tx = (*tx)(nil)

// usable fails where the transaction is over, spoiled, or no longer wanted. Contexts of callers count between
// statements only: inside one they would end the transaction for everybody in the batch.
func (t *tx) usable(ctx context.Context) error {
	switch {
	case t.over:
		return access.Fault(access.KindInternal, "transactionOver", "the transaction is over")
	case t.failed != nil:
		return classify("", t.failed)
	default:
		return ctx.Err()
	}
}

// query implements querier.
func (t *tx) query(ctx context.Context, text string, args ...any) (answer, error) {
	if err := t.usable(ctx); err != nil {
		return nil, err
	}
	if err := checkText("", args); err != nil {
		return nil, err
	}
	rows, err := t.batch.w.query(t.batch.ctx, text, args...) //nolint:contextcheck // see usable
	if err != nil {
		t.broken(err)
	}
	return rows, err
}

// broken implements querier.
func (t *tx) broken(err error) {
	t.failed = err
	t.lost = !t.saved
}

// exec writes; no row concerned is the error none, where that is not nil.
func (t *tx) exec(ctx context.Context, what string, none error, text string, args ...any) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	if err := checkText(what, args); err != nil {
		t.failed = err
		return err
	}
	if !t.saved {
		if err := t.batch.w.save(t.batch.ctx); err != nil { //nolint:contextcheck // see usable
			t.failed = err
			return classify("", err)
		}
		t.saved = true
	}
	t.batch.memo.forget(what)
	if err := t.batch.w.exec(t.batch.ctx, write{what: what, sql: text, args: args, none: none}); err != nil { //nolint:contextcheck // see usable
		t.failed = err
		return classify(what, err)
	}
	return nil
}

// changed is what a failed compare-and-swap means.
func changed(what string) error {
	return access.Fault(access.KindConflict, "changed", "the %s has changed meanwhile; read it again and repeat", what)
}

func missing(what string) error {
	return access.Fault(access.KindNotFound, "notFound", "there is no such %s", what)
}
