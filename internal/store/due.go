package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	selectDueRequests = "select " + requestTable.selected +
		" from requests r where r.state = 'pending' and r.pending_until <= $1 order by r.pending_until, r.id limit $2"
	selectDueBegin = "select " + grantTable.selected + " from grants g where g.state = 'scheduled' and g.start_at <= $1 " +
		"order by g.start_at, g.id limit $2"
	selectDueExpire = "select " + grantTable.selected + " from grants g where g.ended_at = 0 and g.end_at <= $1 order by " +
		"g.end_at, g.id limit $2"
	selectDueStages = "select " + requestTable.selected +
		" from requests r where r.state = 'pending' and r.stage_until <> 0 and r.stage_until <= $1 order by " +
		"r.stage_until, r.id limit $2"
	selectDueRemind = "select " + requestTable.selected +
		" from requests r where r.state = 'pending' and r.remind_at <> 0 and r.remind_at <= $1 order by " +
		"r.remind_at, r.id limit $2"
	selectNextRemind = "select remind_at from requests where state = 'pending' and remind_at <> 0 and " +
		"remind_at > $1 order by remind_at, id limit 1"
	selectDueWarn = "select " + grantTable.selected + " from grants g where g.warn_at <> 0 and g.warn_at <= $1 order " +
		"by g.warn_at, g.id limit $2"
	selectNextStage = "select stage_until from requests where state = 'pending' and stage_until <> 0 and " +
		"stage_until > $1 order by stage_until, id limit 1"
	selectNextWarn    = "select warn_at from grants where warn_at <> 0 and warn_at > $1 order by warn_at, id limit 1"
	selectNextRequest = "select pending_until from requests where state = 'pending' and pending_until > $1 order by " +
		"pending_until, id limit 1"
	selectNextBegin = "select start_at from grants where state = 'scheduled' and start_at > $1 order by start_at, " +
		"id limit 1"
	selectNextExpire = "select end_at from grants where ended_at = 0 and end_at > $1 order by end_at, id limit 1"
)

// Due implements engine.Reader.
func (r *reader) Due(ctx context.Context, now time.Time, limit int) (engine.Due, error) {
	if err := checkLimit(limit); err != nil {
		return engine.Due{}, err
	}
	var d engine.Due
	var err error
	at := micros(now)
	if d.Requests, err = all(ctx, r.q, scanRequest, selectDueRequests, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	if d.Begin, err = all(ctx, r.q, scanGrant, selectDueBegin, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	if d.Expire, err = all(ctx, r.q, scanGrant, selectDueExpire, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	if d.Stages, err = all(ctx, r.q, scanRequest, selectDueStages, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	if d.Remind, err = all(ctx, r.q, scanRequest, selectDueRemind, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	if d.Warn, err = all(ctx, r.q, scanGrant, selectDueWarn, at, int64(limit)); err != nil {
		return engine.Due{}, err
	}
	for _, text := range []string{
		selectNextStage, selectNextRemind, selectNextWarn, selectNextRequest, selectNextBegin, selectNextExpire,
	} {
		next, err := one(ctx, r.q, "instant", scanNumber, text, at)
		switch {
		case access.KindOf(err) == access.KindNotFound:
		case err != nil:
			return engine.Due{}, err
		case d.Next.IsZero() || instant(next).Before(d.Next):
			d.Next = instant(next)
		}
	}
	return d, nil
}
