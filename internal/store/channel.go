package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	channelColumns   = "c.id, c.tenant, c.name, c.kind, c.enabled, c.config, c.sealed, c.created_at, c.revision"
	selectChannel    = "select " + channelColumns + " from channels c where c.id = $1 limit 1"
	selectAnyChannel = "select 1 from channels where tenant = $1 limit 1"
	listChannels     = "select " + channelColumns + " from channels c"

	routeColumns = "r.id, r.tenant, r.channel, r.principal, r.policy, r.kinds, r.mute, r.created_at"
	selectRoute  = "select " + routeColumns + " from routes r where r.id = $1 limit 1"
	listRoutes   = "select " + routeColumns + " from routes r"
)

func scanChannel(row scanner) (c engine.Channel, err error) {
	var record channelRecord
	var sealed []byte
	err = row.Scan(&c.ID, &c.Tenant, &c.Name, &c.Kind, flagColumn{&c.Enabled}, jsonColumn{&record}, &sealed,
		timeColumn{&c.CreatedAt}, &c.Revision)
	c.URL, c.Mail, c.CA, c.AllowPrivate = record.URL, engine.Mail(record.Mail), record.CA, record.AllowPrivate
	c.Secret.File = record.SecretFile
	if len(sealed) > 0 {
		c.Secret.Sealed = sealed
	}
	return c, err
}

func scanRoute(row scanner) (r engine.Route, err error) {
	err = row.Scan(&r.ID, &r.Tenant, &r.Channel, &r.Principal, &r.Policy, jsonColumn{&r.Kinds}, flagColumn{&r.Mute},
		timeColumn{&r.CreatedAt})
	return r, err
}

// Channel implements engine.OutboxReader.
func (r *reader) Channel(ctx context.Context, id engine.ChannelID) (engine.Channel, error) {
	return one(ctx, r.q, "channel", scanChannel, selectChannel, string(id))
}

// Channels implements engine.OutboxReader.
func (r *reader) Channels(ctx context.Context, f engine.ChannelFilter,
	p engine.Page,
) (engine.Listed[engine.Channel], error) {
	l := from(listChannels)
	equal(l, "c.tenant", f.Tenant)
	equal(l, "c.kind", f.Kind)
	if f.Not != "" {
		l.where("c.kind <> ?", string(f.Not))
	}
	if f.Name != "" {
		l.where("c.name_key = ?", fold(f.Name))
	}
	l.after(p.Cursor, false, "c.name_key, c.id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "c.name_key, c.id", scanChannel,
		func(c engine.Channel) []any { return []any{fold(c.Name), c.ID} })
}

// HasChannels implements engine.OutboxReader.
func (r *reader) HasChannels(ctx context.Context, tenant access.TenantID) (bool, error) {
	return remembered(r.memo, "channel", string(tenant), func() (bool, error) {
		found, err := all(ctx, r.q, scanNumber, selectAnyChannel, string(tenant))
		return len(found) > 0, err
	})
}

// Route implements engine.OutboxReader.
func (r *reader) Route(ctx context.Context, id engine.RouteID) (engine.Route, error) {
	return one(ctx, r.q, "route", scanRoute, selectRoute, string(id))
}

// Routes implements engine.OutboxReader.
func (r *reader) Routes(ctx context.Context, f engine.RouteFilter, p engine.Page) (engine.Listed[engine.Route], error) {
	l := from(listRoutes)
	equal(l, "r.tenant", f.Tenant)
	equal(l, "r.channel", f.Channel)
	equal(l, "r.principal", f.Principal)
	equal(l, "r.policy", f.Policy)
	l.after(p.Cursor, false, "r.created_at, r.id", cursorNumber, cursorText)
	return page(ctx, r.q, l, p, "r.created_at, r.id", scanRoute,
		func(v engine.Route) []any { return []any{micros(v.CreatedAt), v.ID} })
}

const (
	insertChannel = `insert into channels (id, tenant, name, name_key, kind, enabled, config, sealed, created_at, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updateChannel = `update channels set tenant = $2, name = $3, name_key = $4, kind = $5, enabled = $6, config = $7, sealed = $8, created_at = $9,
revision = $10 where id = $1 and revision = $11`
	deleteChannel   = "delete from channels where id = $1 and revision = $2"
	deleteRoutesOf  = "delete from routes where channel = $1"
	endDeliveriesOf = `update deliveries set state = 'dead', last_error = 'the channel was deleted', ended_at = $2, revision = revision + 1 where channel = $1 and state = 'pending'`
	upsertRoute     = `insert into routes (id, tenant, channel, principal, policy, kinds, mute, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (id) do update set tenant = excluded.tenant, channel = excluded.channel, principal = excluded.principal, policy = excluded.policy, kinds = excluded.kinds,
mute = excluded.mute, created_at = excluded.created_at`
	deleteRoute = "delete from routes where id = $1"
)

// SaveChannel implements engine.OutboxTx.
func (t *tx) SaveChannel(ctx context.Context, c engine.Channel, was int64) error {
	config, err := toJSON(channelRecord{
		URL: c.URL, Mail: mailRecord(c.Mail), CA: c.CA, AllowPrivate: c.AllowPrivate,
		SecretFile: c.Secret.File,
	})
	if err != nil {
		return err
	}
	sealed := c.Secret.Sealed
	if sealed == nil {
		sealed = []byte{}
	}
	return t.swap(ctx, "channel", c.Revision, was, insertChannel, updateChannel, []any{
		string(c.ID), string(c.Tenant), c.Name, fold(c.Name), string(c.Kind),
		flag(c.Enabled), config, sealed, micros(c.CreatedAt), c.Revision,
	})
}

// DeleteChannel implements engine.OutboxTx.
func (t *tx) DeleteChannel(ctx context.Context, id engine.ChannelID, was int64, now time.Time) error {
	if err := t.exec(ctx, "route", nil, deleteRoutesOf, string(id)); err != nil {
		return err
	}
	if err := t.exec(ctx, "channel", changed("channel"), deleteChannel, string(id), was); err != nil {
		return err
	}
	return t.exec(ctx, "delivery", nil, endDeliveriesOf, string(id), micros(now))
}

// SaveRoute implements engine.OutboxTx.
func (t *tx) SaveRoute(ctx context.Context, r engine.Route) error {
	kinds := r.Kinds
	if kinds == nil {
		kinds = []engine.NotificationKind{}
	}
	text, err := toJSON(kinds)
	if err != nil {
		return err
	}
	return t.exec(ctx, "route", nil, upsertRoute, string(r.ID), string(r.Tenant), string(r.Channel),
		string(r.Principal), string(r.Policy), text, flag(r.Mute),
		micros(r.CreatedAt))
}

// DeleteRoute implements engine.OutboxTx.
func (t *tx) DeleteRoute(ctx context.Context, id engine.RouteID) error {
	return t.exec(ctx, "route", missing("route"), deleteRoute, string(id))
}
