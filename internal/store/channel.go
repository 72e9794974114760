package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	channelTable = describe("channel", "channels", "c", "id",
		text("id", func(v *engine.Channel) *engine.ChannelID { return &v.ID }),
		text("tenant", func(v *engine.Channel) *access.TenantID { return &v.Tenant }),
		text("name", func(v *engine.Channel) *string { return &v.Name }),
		derived("name_key", func(v *engine.Channel) any { return fold(v.Name) }),
		text("kind", func(v *engine.Channel) *engine.ChannelKind { return &v.Kind }),
		truth("enabled", func(v *engine.Channel) *bool { return &v.Enabled }),
		others[engine.Channel]("config", parts{inline: []string{"Secret"}, called: map[string]string{"File": "secretFile"}}),
		blob("sealed", func(v *engine.Channel) *[]byte { return &v.Secret.Sealed }),
		when("created_at", func(v *engine.Channel) *time.Time { return &v.CreatedAt }),
		number("revision", func(v *engine.Channel) *int64 { return &v.Revision }))

	routeTable = describe("route", "routes", "r", "id",
		text("id", func(v *engine.Route) *engine.RouteID { return &v.ID }),
		text("tenant", func(v *engine.Route) *access.TenantID { return &v.Tenant }),
		text("channel", func(v *engine.Route) *engine.ChannelID { return &v.Channel }),
		text("principal", func(v *engine.Route) *access.PrincipalID { return &v.Principal }),
		text("policy", func(v *engine.Route) *access.PolicyID { return &v.Policy }),
		listOf("kinds", func(v *engine.Route) *[]engine.NotificationKind { return &v.Kinds }),
		truth("mute", func(v *engine.Route) *bool { return &v.Mute }),
		when("created_at", func(v *engine.Route) *time.Time { return &v.CreatedAt }))

	selectChannel    = "select " + channelTable.selected + " from channels c where c.id = $1 limit 1"
	selectAnyChannel = "select 1 from channels where tenant = $1 limit 1"
	listChannels     = "select " + channelTable.selected + " from channels c"

	selectRoute = "select " + routeTable.selected + " from routes r where r.id = $1 limit 1"
	listRoutes  = "select " + routeTable.selected + " from routes r"
)

// Channel implements engine.OutboxReader.
func (r *reader) Channel(ctx context.Context, id engine.ChannelID) (engine.Channel, error) {
	return one(ctx, r.q, "channel", channelTable.scan, selectChannel, string(id))
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
	return page(ctx, r.q, l, p, "c.name_key, c.id", channelTable.scan,
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
	return one(ctx, r.q, "route", routeTable.scan, selectRoute, string(id))
}

// Routes implements engine.OutboxReader.
func (r *reader) Routes(ctx context.Context, f engine.RouteFilter, p engine.Page) (engine.Listed[engine.Route], error) {
	l := from(listRoutes)
	equal(l, "r.tenant", f.Tenant)
	equal(l, "r.channel", f.Channel)
	equal(l, "r.principal", f.Principal)
	equal(l, "r.policy", f.Policy)
	l.after(p.Cursor, false, "r.created_at, r.id", cursorNumber, cursorText)
	return page(ctx, r.q, l, p, "r.created_at, r.id", routeTable.scan,
		func(v engine.Route) []any { return []any{micros(v.CreatedAt), v.ID} })
}

const (
	deleteChannel   = "delete from channels where id = $1 and revision = $2"
	deleteRoutesOf  = "delete from routes where channel = $1"
	endDeliveriesOf = `update deliveries set state = 'dead', last_error = 'the channel was deleted', ended_at = $2, revision = revision + 1 where channel = $1 and state = 'pending'`
	deleteRoute     = "delete from routes where id = $1"
)

// SaveChannel implements engine.OutboxTx.
func (t *tx) SaveChannel(ctx context.Context, c engine.Channel, was int64) error {
	return swap(ctx, t, channelTable, c, c.Revision, was)
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
	return put(ctx, t, routeTable, routeTable.upsert, r)
}

// DeleteRoute implements engine.OutboxTx.
func (t *tx) DeleteRoute(ctx context.Context, id engine.RouteID) error {
	return t.exec(ctx, "route", missing("route"), deleteRoute, string(id))
}
