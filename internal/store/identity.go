package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	tokenColumns      = "t.id, t.principal, t.name, t.hash, t.scope, t.actions, t.created_at, t.expires_at" //nolint:gosec // names of columns
	selectTokens      = "select " + tokenColumns + " from api_tokens t where t.principal = $1 order by t.id limit 100"
	selectTokenByID   = "select " + tokenColumns + " from api_tokens t where t.id = $1 limit 1"
	selectTokenByHash = "select " + tokenColumns + " from api_tokens t where t.hash = $1 limit 1"
	networkColumns    = "n.tenant, n.name, n.prefixes, n.created_at, n.updated_at, n.revision, n.loosened"
	selectNetwork     = "select " + networkColumns +
		" from networks n where n.tenant = $1 and n.name_key = $2 limit 1"
	selectNetworksMoved = "select coalesce(max(n.updated_at), 0) from networks n limit 1"
	selectNetworks      = "select " + networkColumns +
		" from networks n where n.tenant = $1 order by n.name_key limit 1000"
	externalColumns = "tenant, issuer, subject, principal, created_at, seen_at, claims"
	selectExternal  = "select " + externalColumns +
		" from external_identities where tenant = $1 and issuer = $2 and subject = $3 limit 1"
	selectExternalsOf = "select " + externalColumns +
		" from external_identities where principal = $1 order by created_at, issuer, subject limit 100"
	passkeyColumns = "k.id, k.principal, k.name, k.body, k.created_at, k.used_at, k.revision" //nolint:gosec // names of columns
	selectPasskey  = "select " + passkeyColumns + " from passkeys k where k.id = $1 limit 1"
	selectPasskeys = "select " + passkeyColumns +
		" from passkeys k where k.principal = $1 order by k.created_at, k.id limit 100"
	selectCeremony = "select hash, kind, principal, body, created_at, expires_at from ceremonies where hash = $1 " +
		"limit 1"
	glassColumns  = "c.id, c.machine, c.agent, c.hash, c.most, c.issued_by, c.issued_at, c.expires_at, c.used_at"
	selectGlass   = "select " + glassColumns + " from glass_codes c where c.id = $1 limit 1"
	selectGlassOf = "select " + glassColumns +
		" from glass_codes c where c.machine = $1 order by c.used_at, c.expires_at desc, c.id limit 1000"
	listGlassOfAgents = "select c.id, c.machine, m.agent, c.hash, c.most, c.issued_by, c.issued_at, c.expires_at, " +
		"c.used_at from machines m join glass_codes c on c.machine = m.id"
	selectSharedAddress = `select count(*) from (select distinct r.requester from requests r join principals p on p.id = r.requester
where r.created_at >= $1 and r.address = $2 and r.address <> '' and r.requester <> $3 and p.tenant = $4 order by r.requester limit 100) x`
)

func scanAPIToken(row scanner) (t engine.APIToken, err error) {
	err = row.Scan(&t.ID, &t.Principal, &t.Name, &t.Hash, &t.Bounds.Scope, jsonColumn{&t.Bounds.Actions},
		timeColumn{&t.CreatedAt}, timeColumn{&t.ExpiresAt})
	return t, err
}

func scanNetwork(row scanner) (n access.Network, err error) {
	var loosened []looseningRecord
	err = row.Scan(&n.Tenant, &n.Name, jsonColumn{&n.Prefixes}, timeColumn{&n.CreatedAt}, timeColumn{&n.UpdatedAt},
		&n.Revision, jsonColumn{&loosened})
	n.Loosened = loosenings(loosened)
	return n, err
}

func scanPasskey(row scanner) (p engine.Passkey, err error) {
	err = row.Scan(&p.ID, &p.Principal, &p.Name, &p.Body, timeColumn{&p.CreatedAt}, timeColumn{&p.UsedAt}, &p.Revision)
	return p, err
}

func scanGlassCode(row scanner) (c engine.GlassCode, err error) {
	err = row.Scan(&c.ID, &c.Machine, &c.Agent, &c.Hash, &c.Most, &c.IssuedBy, timeColumn{&c.IssuedAt},
		timeColumn{&c.ExpiresAt}, timeColumn{&c.UsedAt})
	return c, err
}

// APITokens implements engine.IdentityReader.
func (r *reader) APITokens(ctx context.Context, principal access.PrincipalID) ([]engine.APIToken, error) {
	return all(ctx, r.q, scanAPIToken, selectTokens, string(principal))
}

// APIToken implements engine.IdentityReader.
func (r *reader) APIToken(ctx context.Context, id engine.APITokenID) (engine.APIToken, error) {
	return one(ctx, r.q, "API token", scanAPIToken, selectTokenByID, string(id))
}

// APITokenByHash implements engine.IdentityReader.
func (r *reader) APITokenByHash(ctx context.Context, hash string) (engine.APIToken, error) {
	return one(ctx, r.q, "API token", scanAPIToken, selectTokenByHash, hash)
}

// Network implements engine.IdentityReader.
func (r *reader) Network(ctx context.Context, tenant access.TenantID, name string) (access.Network, error) {
	return one(ctx, r.q, "network", scanNetwork, selectNetwork, string(tenant), fold(name))
}

// Networks implements engine.IdentityReader.
func (r *reader) Networks(ctx context.Context, tenant access.TenantID) ([]access.Network, error) {
	return all(ctx, r.q, scanNetwork, selectNetworks, string(tenant))
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
	return one(ctx, r.q, "external identity", scanExternal, selectExternal, string(tenant), issuer, subject)
}

// ExternalIdentities implements engine.IdentityReader.
func (r *reader) ExternalIdentities(ctx context.Context,
	principal access.PrincipalID,
) ([]engine.ExternalIdentity, error) {
	return all(ctx, r.q, scanExternal, selectExternalsOf, string(principal))
}

func scanExternal(row scanner) (i engine.ExternalIdentity, err error) {
	var claims []claimRecord
	err = row.Scan(&i.Tenant, &i.Issuer, &i.Subject, &i.Principal, timeColumn{&i.CreatedAt}, timeColumn{&i.SeenAt},
		jsonColumn{&claims})
	for _, c := range claims {
		i.Read = append(i.Read, engine.ClaimRead(c))
	}
	return i, err
}

// claimRecord is engine.ClaimRead as it is kept.
type claimRecord struct {
	Use     string   `json:"use"`
	Claim   string   `json:"claim,omitempty"`
	From    string   `json:"from,omitempty"`
	Values  []string `json:"values,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Passkey implements engine.IdentityReader.
func (r *reader) Passkey(ctx context.Context, id string) (engine.Passkey, error) {
	return one(ctx, r.q, "passkey", scanPasskey, selectPasskey, id)
}

// Passkeys implements engine.IdentityReader.
func (r *reader) Passkeys(ctx context.Context, principal access.PrincipalID) ([]engine.Passkey, error) {
	return all(ctx, r.q, scanPasskey, selectPasskeys, string(principal))
}

// Ceremony implements engine.IdentityReader.
func (r *reader) Ceremony(ctx context.Context, hash string) (engine.Ceremony, error) {
	return one(ctx, r.q, "ceremony", func(row scanner) (c engine.Ceremony, err error) {
		err = row.Scan(&c.Hash, &c.Kind, &c.Principal, &c.Body, timeColumn{&c.CreatedAt}, timeColumn{&c.ExpiresAt})
		return c, err
	}, selectCeremony, hash)
}

// GlassCode implements engine.IdentityReader.
func (r *reader) GlassCode(ctx context.Context, id engine.GlassCodeID) (engine.GlassCode, error) {
	return one(ctx, r.q, "code", scanGlassCode, selectGlass, string(id))
}

// GlassCodes implements engine.IdentityReader.
func (r *reader) GlassCodes(ctx context.Context, machine access.MachineID) ([]engine.GlassCode, error) {
	return all(ctx, r.q, scanGlassCode, selectGlassOf, string(machine))
}

// GlassCodesOfAgents implements engine.IdentityReader.
func (r *reader) GlassCodesOfAgents(ctx context.Context, agents []access.AgentID) ([]engine.GlassCode, error) {
	var codes []engine.GlassCode
	for group := range groups(agents) {
		args := filled(group)
		found, err := all(ctx, r.q, scanGlassCode, sceneText(listGlassOfAgents, "m.agent", len(args)), args...)
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
