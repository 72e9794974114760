package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectPassword = "select principal, hash, must_change, changed_at from passwords where principal = $1 limit 1"
	sessionColumns = "hash, principal, created_at, expires_at, address, client, method, proved_at, used_at, " +
		"stepped_up_at"
	selectSession  = "select " + sessionColumns + " from sessions where hash = $1 limit 1"
	selectSessions = "select " + sessionColumns + " from sessions where principal = $1 order by created_at desc, " +
		"hash limit 1000"
	enrollColumns = "hash, tenant, subscription, resource_group, name, mode, created_by, created_at, expires_at, " +
		"used_at"
	selectEnrollment = "select " + enrollColumns + " from enrollment_tokens where hash = $1 limit 1"
	selectEnrolling  = "select " + enrollColumns + ` from enrollment_tokens
where expires_at > $1 and used_at = 0 and tenant = $2 order by expires_at, hash limit 1000`
)

// Password implements engine.Reader.
func (r *reader) Password(ctx context.Context, principal access.PrincipalID) (engine.Password, error) {
	return one(ctx, r.q, "password", func(row scanner) (p engine.Password, err error) {
		err = row.Scan(&p.Principal, &p.Hash, flagColumn{&p.MustChange}, timeColumn{&p.ChangedAt})
		return p, err
	}, selectPassword, string(principal))
}

// Session implements engine.Reader.
func (r *reader) Session(ctx context.Context, hash string) (engine.Session, error) {
	return one(ctx, r.q, "session", scanSession, selectSession, hash)
}

// Sessions implements engine.Reader.
func (r *reader) Sessions(ctx context.Context, principal access.PrincipalID) ([]engine.Session, error) {
	return all(ctx, r.q, scanSession, selectSessions, string(principal))
}

func scanSession(row scanner) (s engine.Session, err error) {
	err = row.Scan(&s.Hash, &s.Principal, timeColumn{&s.CreatedAt}, timeColumn{&s.ExpiresAt}, &s.Address, &s.Client,
		&s.Method, timeColumn{&s.ProvedAt},
		timeColumn{&s.UsedAt}, timeColumn{&s.SteppedUpAt})
	return s, err
}

// EnrollmentToken implements engine.Reader.
func (r *reader) EnrollmentToken(ctx context.Context, hash string) (engine.EnrollmentToken, error) {
	return one(ctx, r.q, "enrollment token", scanEnrollment, selectEnrollment, hash)
}

// EnrollmentTokens implements engine.Reader.
func (r *reader) EnrollmentTokens(ctx context.Context, tenant access.TenantID,
	now time.Time,
) ([]engine.EnrollmentToken, error) {
	return all(ctx, r.q, scanEnrollment, selectEnrolling, micros(now), string(tenant))
}

func scanEnrollment(row scanner) (t engine.EnrollmentToken, err error) {
	err = row.Scan(&t.Hash, &t.Tenant, &t.Subscription, &t.ResourceGroup, &t.Name, &t.Mode, &t.CreatedBy,
		timeColumn{&t.CreatedAt}, timeColumn{&t.ExpiresAt},
		timeColumn{&t.UsedAt})
	return t, err
}

const (
	upsertPassword = `insert into passwords (principal, hash, must_change, failures, locked_till, changed_at) values ($1, $2, $3, 0, 0, $4)
on conflict (principal) do update set hash = excluded.hash, must_change = excluded.must_change, changed_at = excluded.changed_at`
	upsertSession = `insert into sessions (hash, principal, created_at, expires_at, address, client, method, proved_at, used_at, stepped_up_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (hash) do update set principal = excluded.principal, created_at = excluded.created_at, expires_at = excluded.expires_at,
address = excluded.address, client = excluded.client, method = excluded.method, proved_at = excluded.proved_at, used_at = excluded.used_at,
stepped_up_at = excluded.stepped_up_at`
	useSession       = "update sessions set used_at = $2 where hash = $1"
	deleteSession    = "delete from sessions where hash = $1"
	deleteSessions   = "delete from sessions where principal = $1"
	insertEnrollment = `insert into enrollment_tokens (hash, tenant, subscription, resource_group, name, mode, created_by, created_at, expires_at, used_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	useEnrollment = "update enrollment_tokens set used_at = $2 where hash = $1 and used_at = 0"
)

// SavePassword implements engine.Tx.
func (t *tx) SavePassword(ctx context.Context, p engine.Password) error {
	return t.exec(ctx, "password", nil, upsertPassword, string(p.Principal), p.Hash, flag(p.MustChange),
		micros(p.ChangedAt))
}

// SaveSession implements engine.Tx.
func (t *tx) SaveSession(ctx context.Context, s engine.Session) error {
	return t.exec(ctx, "session", nil, upsertSession, s.Hash, string(s.Principal), micros(s.CreatedAt),
		micros(s.ExpiresAt), s.Address, s.Client,
		s.Method, micros(s.ProvedAt), micros(s.UsedAt), micros(s.SteppedUpAt))
}

// UseSession implements engine.Tx.
func (t *tx) UseSession(ctx context.Context, hash string, at time.Time) error {
	return t.exec(ctx, "session", nil, useSession, hash, micros(at))
}

// DeleteSession implements engine.Tx.
func (t *tx) DeleteSession(ctx context.Context, hash string) error {
	return t.exec(ctx, "session", nil, deleteSession, hash)
}

// DeleteSessionsOf implements engine.Tx.
func (t *tx) DeleteSessionsOf(ctx context.Context, principal access.PrincipalID) error {
	return t.exec(ctx, "session", nil, deleteSessions, string(principal))
}

// SaveEnrollmentToken implements engine.Tx.
func (t *tx) SaveEnrollmentToken(ctx context.Context, v engine.EnrollmentToken) error {
	return t.exec(ctx, "enrollment token", nil, insertEnrollment, v.Hash, string(v.Tenant), string(v.Subscription),
		v.ResourceGroup, v.Name, string(v.Mode), string(v.CreatedBy),
		micros(v.CreatedAt), micros(v.ExpiresAt), micros(v.UsedAt))
}

// UseEnrollmentToken implements engine.Tx.
func (t *tx) UseEnrollmentToken(ctx context.Context, hash string, now time.Time) error {
	used := access.Fault(access.KindConflict, "tokenUsed",
		"this enrollment token was used already, or there is none such; make another")
	return t.exec(ctx, "enrollment token", used, useEnrollment, hash, micros(now))
}

// DeleteEnrollmentToken implements engine.Tx.
func (t *tx) DeleteEnrollmentToken(ctx context.Context, hash string) error {
	return t.exec(ctx, "enrollment token", missing("enrollment token"), deleteEnrolled, hash)
}
