package requests

import (
	"context"
	"errors"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// CarryOutRecalls does one transaction's worth of the oldest recall that can be carried out, and reports whether there
// may be more to do. Any number of replicas may call it: each transaction goes on from where the one before it left
// off.
func (e *Service) CarryOutRecalls(ctx context.Context) (more bool, err error) {
	var recalls []access.Recall
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		recalls, err = r.Recalls(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read recalls: %w", err)
	}
	var stuck []error
	for _, c := range recalls {
		err := e.kernel.Update(ctx, func(tx engine.Tx) error {
			order, err := tx.Recall(ctx, c.ID)
			if engine.IsKind(err, access.KindNotFound) {
				return nil // another replica was faster
			}
			if err != nil {
				return fmt.Errorf("read recall: %w", err)
			}
			return e.carryOutRecall(ctx, tx, order)
		})
		if err == nil {
			return true, nil
		}
		stuck = append(stuck, fmt.Errorf("carry out recall %s: %w", c.ID, err))
	}
	return false, errors.Join(stuck...)
}

func (e *Service) carryOutRecall(ctx context.Context, tx engine.Tx, order access.Recall) error {
	w := e.kernel.NewWork(tx, e.kernel.Now())
	w.Quiet, w.Lost = true, order.Scope
	j, err := e.machines.NewJudge(ctx, tx, w.Now)
	if err != nil {
		return err
	}
	j.Names.Seen = w.Machines
	f := engine.StandingOf(order)
	f.Made, f.AfterStart, f.AfterGrant = order.At, order.AfterStart, order.AfterGrant
	standing, err := tx.Standing(ctx, f, engine.ActChunk)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	by := func(tenant access.TenantID) access.Actor { return j.OrderedBy(order, tenant) }
	was := order.Revision
	for _, g := range standing {
		order = order.Looked(g)
		why := order.Reason
		if order.Judge {
			if why, err = j.Outlawed(ctx, g); err != nil {
				return err
			}
			if why == "" {
				continue
			}
		}
		if _, err := w.EndGrant(ctx, g, by(g.Tenant), why); err != nil {
			return err
		}
	}
	left := len(standing) == engine.ActChunk
	if !left && order.Principal != "" && !order.Judge {
		if left, err = w.CancelOf(ctx, order.Principal, order.At, by, order.Reason); err != nil {
			return err
		}
	}
	switch {
	case !left:
		err = tx.DeleteRecall(ctx, order.ID, was)
	case order.Revision == was:
		// Requests alone are left, and those that were canceled are not found again.
	default:
		err = tx.SaveRecall(ctx, order, was)
	}
	if err != nil {
		return fmt.Errorf("save recall: %w", err)
	}
	return w.Finish(ctx)
}
