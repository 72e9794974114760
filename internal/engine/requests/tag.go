package requests

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// TagRequest gives the caller's own request other tags, all of them. Nothing else of a request changes by its
// requester.
func (e *Service) TagRequest(ctx context.Context, c engine.Caller, id access.RequestID,
	tags map[string]string,
) (d RequestDetail, err error) {
	err = e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.RoleActivate, Request: id},
		func(tx engine.Tx, may engine.Rights) error {
			request, err := FindRequest(ctx, tx, may, id)
			if err != nil {
				return err
			}
			if request.Requester != c.Principal {
				return access.Fault(access.KindForbidden, "notYourRequest",
					"only %s can change the tags of this request",
					request.RequesterName)
			}
			if err := checkTags(tags); err != nil {
				return err
			}
			next, events := request.Tagged(c.Actor(), tags, may.Now)
			if err := tx.SaveRequest(ctx, next, request.Revision); err != nil {
				return fmt.Errorf("save request: %w", err)
			}
			if err := tx.Append(ctx, events...); err != nil {
				return fmt.Errorf("append events: %w", err)
			}
			d, err = describeRequest(ctx, tx, may, &engine.NameCache{R: tx}, next)
			return err
		})
	return d, err
}

// checkTags refuses tags that cannot be kept, with every reason.
func checkTags(tags map[string]string) error {
	reasons := app.ValidateTags(tags)
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, reasons[0].Code,
		"the tags are not valid: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}
