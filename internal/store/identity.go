package store

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	tokenTable = describe("API token", "api_tokens", "t", "id",
		text("id", func(v *engine.APIToken) *engine.APITokenID { return &v.ID }),
		text("principal", func(v *engine.APIToken) *access.PrincipalID { return &v.Principal }),
		text("name", func(v *engine.APIToken) *string { return &v.Name }),
		text("hash", func(v *engine.APIToken) *string { return &v.Hash }),
		text("scope", func(v *engine.APIToken) *access.ResourceID { return &v.Bounds.Scope }),
		nested("actions", func(v *engine.APIToken) *[]string { return &v.Bounds.Actions }),
		when("created_at", func(v *engine.APIToken) *time.Time { return &v.CreatedAt }),
		when("expires_at", func(v *engine.APIToken) *time.Time { return &v.ExpiresAt }))

	networkTable = describe("network", "networks", "n", "tenant, name_key",
		text("tenant", func(v *access.Network) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.Network) *string { return &v.Name }),
		derived("name_key", func(v *access.Network) any { return fold(v.Name) }),
		nested("prefixes", func(v *access.Network) *[]netip.Prefix { return &v.Prefixes }),
		when("created_at", func(v *access.Network) *time.Time { return &v.CreatedAt }),
		when("updated_at", func(v *access.Network) *time.Time { return &v.UpdatedAt }),
		number("revision", func(v *access.Network) *int64 { return &v.Revision }),
		nested("loosened", func(v *access.Network) *[]access.Loosening { return &v.Loosened }))

	externalTable = describe("external identity", "external_identities", "x", "tenant, issuer, subject",
		text("tenant", func(v *engine.ExternalIdentity) *access.TenantID { return &v.Tenant }),
		text("issuer", func(v *engine.ExternalIdentity) *string { return &v.Issuer }),
		text("subject", func(v *engine.ExternalIdentity) *string { return &v.Subject }),
		text("principal", func(v *engine.ExternalIdentity) *access.PrincipalID { return &v.Principal }),
		when("created_at", func(v *engine.ExternalIdentity) *time.Time { return &v.CreatedAt }),
		when("seen_at", func(v *engine.ExternalIdentity) *time.Time { return &v.SeenAt }),
		listOf("claims", func(v *engine.ExternalIdentity) *[]engine.ClaimRead { return &v.Read }))

	passkeyTable = describe("passkey", "passkeys", "k", "id",
		text("id", func(v *engine.Passkey) *string { return &v.ID }),
		text("principal", func(v *engine.Passkey) *access.PrincipalID { return &v.Principal }),
		text("name", func(v *engine.Passkey) *string { return &v.Name }),
		text("body", func(v *engine.Passkey) *string { return &v.Body }),
		when("created_at", func(v *engine.Passkey) *time.Time { return &v.CreatedAt }),
		when("used_at", func(v *engine.Passkey) *time.Time { return &v.UsedAt }),
		number("revision", func(v *engine.Passkey) *int64 { return &v.Revision }))

	ceremonyTable = describe("ceremony", "ceremonies", "c", "hash",
		text("hash", func(v *engine.Ceremony) *string { return &v.Hash }),
		text("kind", func(v *engine.Ceremony) *string { return &v.Kind }),
		text("principal", func(v *engine.Ceremony) *access.PrincipalID { return &v.Principal }),
		text("body", func(v *engine.Ceremony) *string { return &v.Body }),
		when("created_at", func(v *engine.Ceremony) *time.Time { return &v.CreatedAt }),
		when("expires_at", func(v *engine.Ceremony) *time.Time { return &v.ExpiresAt }))

	glassTable = describe("code", "glass_codes", "c", "id",
		text("id", func(v *engine.GlassCode) *engine.GlassCodeID { return &v.ID }),
		text("machine", func(v *engine.GlassCode) *access.MachineID { return &v.Machine }),
		text("agent", func(v *engine.GlassCode) *access.AgentID { return &v.Agent }),
		text("hash", func(v *engine.GlassCode) *string { return &v.Hash }),
		number("most", func(v *engine.GlassCode) *time.Duration { return &v.Most }),
		text("issued_by", func(v *engine.GlassCode) *access.PrincipalID { return &v.IssuedBy }),
		when("issued_at", func(v *engine.GlassCode) *time.Time { return &v.IssuedAt }),
		when("expires_at", func(v *engine.GlassCode) *time.Time { return &v.ExpiresAt }),
		when("used_at", func(v *engine.GlassCode) *time.Time { return &v.UsedAt }))

	selectTokens      = "select " + tokenTable.selected + " from api_tokens t where t.principal = $1 order by t.id limit 100"
	selectTokenByID   = "select " + tokenTable.selected + " from api_tokens t where t.id = $1 limit 1"
	selectTokenByHash = "select " + tokenTable.selected + " from api_tokens t where t.hash = $1 limit 1"
	selectNetwork     = "select " + networkTable.selected +
		" from networks n where n.tenant = $1 and n.name_key = $2 limit 1"
	selectNetworksMoved = "select coalesce(max(n.updated_at), 0) from networks n limit 1"
	selectNetworks      = "select " + networkTable.selected +
		" from networks n where n.tenant = $1 order by n.name_key limit 1000"
	selectExternal = "select " + externalTable.selected +
		" from external_identities x where tenant = $1 and issuer = $2 and subject = $3 limit 1"
	selectExternalsOf = "select " + externalTable.selected +
		" from external_identities x where principal = $1 order by created_at, issuer, subject limit 100"
	selectPasskey  = "select " + passkeyTable.selected + " from passkeys k where k.id = $1 limit 1"
	selectPasskeys = "select " + passkeyTable.selected +
		" from passkeys k where k.principal = $1 order by k.created_at, k.id limit 100"
	selectCeremony = "select " + ceremonyTable.selected + " from ceremonies c where c.hash = $1 limit 1"
	selectGlass    = "select " + glassTable.selected + " from glass_codes c where c.id = $1 limit 1"
	selectGlassOf  = "select " + glassTable.selected +
		" from glass_codes c where c.machine = $1 order by c.used_at, c.expires_at desc, c.id limit 1000"
	// A code goes with its machine: the agent is whoever guards that by now.
	listGlassOfAgents = "select " + strings.Replace(glassTable.selected, "c.agent", "m.agent", 1) +
		" from machines m join glass_codes c on c.machine = m.id"
	selectSharedAddress = `select count(*) from (select distinct r.requester from requests r join principals p on p.id = r.requester
where r.created_at >= $1 and r.address = $2 and r.address <> '' and r.requester <> $3 and p.tenant = $4 order by r.requester limit 100) x`
)

// APITokens implements engine.IdentityReader.
func (r *reader) APITokens(ctx context.Context, principal access.PrincipalID) ([]engine.APIToken, error) {
	return all(ctx, r.q, tokenTable.scan, selectTokens, string(principal))
}

// APIToken implements engine.IdentityReader.
func (r *reader) APIToken(ctx context.Context, id engine.APITokenID) (engine.APIToken, error) {
	return one(ctx, r.q, "API token", tokenTable.scan, selectTokenByID, string(id))
}

// APITokenByHash implements engine.IdentityReader.
func (r *reader) APITokenByHash(ctx context.Context, hash string) (engine.APIToken, error) {
	return one(ctx, r.q, "API token", tokenTable.scan, selectTokenByHash, hash)
}

// Network implements engine.IdentityReader.
func (r *reader) Network(ctx context.Context, tenant access.TenantID, name string) (access.Network, error) {
	return one(ctx, r.q, "network", networkTable.scan, selectNetwork, string(tenant), fold(name))
}

// Networks implements engine.IdentityReader.
func (r *reader) Networks(ctx context.Context, tenant access.TenantID) ([]access.Network, error) {
	return all(ctx, r.q, networkTable.scan, selectNetworks, string(tenant))
}

// NetworksChanged implements engine.IdentityReader.
func (r *reader) NetworksChanged(ctx context.Context) (time.Time, error) {
	n, err := one(ctx, r.q, "network", scanNumber, selectNetworksMoved)
	return instant(n), err
}

// ExternalIdentity implements engine.IdentityReader.
func (r *reader) ExternalIdentity(ctx context.Context, tenant access.TenantID,
	issuer, subject string,
) (engine.ExternalIdentity, error) {
	return one(ctx, r.q, "external identity", externalTable.scan, selectExternal, string(tenant), issuer, subject)
}

// ExternalIdentities implements engine.IdentityReader.
func (r *reader) ExternalIdentities(ctx context.Context,
	principal access.PrincipalID,
) ([]engine.ExternalIdentity, error) {
	return all(ctx, r.q, externalTable.scan, selectExternalsOf, string(principal))
}

// Passkey implements engine.IdentityReader.
func (r *reader) Passkey(ctx context.Context, id string) (engine.Passkey, error) {
	return one(ctx, r.q, "passkey", passkeyTable.scan, selectPasskey, id)
}

// Passkeys implements engine.IdentityReader.
func (r *reader) Passkeys(ctx context.Context, principal access.PrincipalID) ([]engine.Passkey, error) {
	return all(ctx, r.q, passkeyTable.scan, selectPasskeys, string(principal))
}

// Ceremony implements engine.IdentityReader.
func (r *reader) Ceremony(ctx context.Context, hash string) (engine.Ceremony, error) {
	return one(ctx, r.q, "ceremony", ceremonyTable.scan, selectCeremony, hash)
}

// GlassCode implements engine.IdentityReader.
func (r *reader) GlassCode(ctx context.Context, id engine.GlassCodeID) (engine.GlassCode, error) {
	return one(ctx, r.q, "code", glassTable.scan, selectGlass, string(id))
}

// GlassCodes implements engine.IdentityReader.
func (r *reader) GlassCodes(ctx context.Context, machine access.MachineID) ([]engine.GlassCode, error) {
	return all(ctx, r.q, glassTable.scan, selectGlassOf, string(machine))
}

// GlassCodesOfAgents implements engine.IdentityReader.
func (r *reader) GlassCodesOfAgents(ctx context.Context, agents []access.AgentID) ([]engine.GlassCode, error) {
	var codes []engine.GlassCode
	for group := range groups(agents) {
		args := filled(group)
		found, err := all(ctx, r.q, glassTable.scan, sceneText(listGlassOfAgents, "m.agent", len(args)), args...)
		if err != nil {
			return nil, err
		}
		codes = append(codes, found...)
	}
	return codes, nil
}

// SharedAddress implements engine.IdentityReader.
func (r *reader) SharedAddress(ctx context.Context, tenant access.TenantID, address string, except access.PrincipalID,
	since time.Time,
) (int, error) {
	return one(ctx, r.q, "count", func(row scanner) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, selectSharedAddress, micros(since), address, string(except), string(tenant))
}
