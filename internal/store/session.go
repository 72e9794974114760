package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	passwordTable = describe("password", "passwords", "p", "principal",
		text("principal", func(v *engine.Password) *access.PrincipalID { return &v.Principal }),
		text("hash", func(v *engine.Password) *string { return &v.Hash }),
		truth("must_change", func(v *engine.Password) *bool { return &v.MustChange }),
		derived("failures", func(*engine.Password) any { return int64(0) }).kept(),
		derived("locked_till", func(*engine.Password) any { return int64(0) }).kept(),
		when("changed_at", func(v *engine.Password) *time.Time { return &v.ChangedAt }))

	sessionTable = describe("session", "sessions", "s", "hash",
		text("hash", func(v *engine.Session) *string { return &v.Hash }),
		text("principal", func(v *engine.Session) *access.PrincipalID { return &v.Principal }),
		when("created_at", func(v *engine.Session) *time.Time { return &v.CreatedAt }),
		when("expires_at", func(v *engine.Session) *time.Time { return &v.ExpiresAt }),
		text("address", func(v *engine.Session) *string { return &v.Address }),
		text("client", func(v *engine.Session) *string { return &v.Client }),
		text("method", func(v *engine.Session) *string { return &v.Method }),
		when("proved_at", func(v *engine.Session) *time.Time { return &v.ProvedAt }),
		when("used_at", func(v *engine.Session) *time.Time { return &v.UsedAt }),
		when("stepped_up_at", func(v *engine.Session) *time.Time { return &v.SteppedUpAt }))

	enrollmentTable = describe("enrollment token", "enrollment_tokens", "t", "hash",
		text("hash", func(v *engine.EnrollmentToken) *string { return &v.Hash }),
		text("tenant", func(v *engine.EnrollmentToken) *access.TenantID { return &v.Tenant }),
		text("subscription", func(v *engine.EnrollmentToken) *access.SubscriptionID { return &v.Subscription }),
		text("resource_group", func(v *engine.EnrollmentToken) *string { return &v.ResourceGroup }),
		text("name", func(v *engine.EnrollmentToken) *string { return &v.Name }),
		text("mode", func(v *engine.EnrollmentToken) *access.Mode { return &v.Mode }),
		text("created_by", func(v *engine.EnrollmentToken) *access.PrincipalID { return &v.CreatedBy }),
		when("created_at", func(v *engine.EnrollmentToken) *time.Time { return &v.CreatedAt }),
		when("expires_at", func(v *engine.EnrollmentToken) *time.Time { return &v.ExpiresAt }),
		when("used_at", func(v *engine.EnrollmentToken) *time.Time { return &v.UsedAt }))

	selectPassword = "select " + passwordTable.selected + " from passwords p where p.principal = $1 limit 1"
	selectSession  = "select " + sessionTable.selected + " from sessions s where hash = $1 limit 1"
	selectSessions = "select " + sessionTable.selected + " from sessions s where principal = $1 order by created_at desc, " +
		"hash limit 1000"
	selectEnrollment = "select " + enrollmentTable.selected + " from enrollment_tokens t where hash = $1 limit 1"
	selectEnrolling  = "select " + enrollmentTable.selected + ` from enrollment_tokens t
where expires_at > $1 and used_at = 0 and tenant = $2 order by expires_at, hash limit 1000`
)

// Password implements engine.Reader.
func (r *reader) Password(ctx context.Context, principal access.PrincipalID) (engine.Password, error) {
	return one(ctx, r.q, "password", passwordTable.scan, selectPassword, string(principal))
}

// Session implements engine.Reader.
func (r *reader) Session(ctx context.Context, hash string) (engine.Session, error) {
	return one(ctx, r.q, "session", sessionTable.scan, selectSession, hash)
}

// Sessions implements engine.Reader.
func (r *reader) Sessions(ctx context.Context, principal access.PrincipalID) ([]engine.Session, error) {
	return all(ctx, r.q, sessionTable.scan, selectSessions, string(principal))
}

// EnrollmentToken implements engine.Reader.
func (r *reader) EnrollmentToken(ctx context.Context, hash string) (engine.EnrollmentToken, error) {
	return one(ctx, r.q, "enrollment token", enrollmentTable.scan, selectEnrollment, hash)
}

// EnrollmentTokens implements engine.Reader.
func (r *reader) EnrollmentTokens(ctx context.Context, tenant access.TenantID,
	now time.Time,
) ([]engine.EnrollmentToken, error) {
	return all(ctx, r.q, enrollmentTable.scan, selectEnrolling, micros(now), string(tenant))
}

const (
	useSession     = "update sessions set used_at = $2 where hash = $1"
	deleteSession  = "delete from sessions where hash = $1"
	deleteSessions = "delete from sessions where principal = $1"
	useEnrollment  = "update enrollment_tokens set used_at = $2 where hash = $1 and used_at = 0"
)

// SavePassword implements engine.Tx.
func (t *tx) SavePassword(ctx context.Context, p engine.Password) error {
	return put(ctx, t, passwordTable, passwordTable.upsert, p)
}

// SaveSession implements engine.Tx.
func (t *tx) SaveSession(ctx context.Context, s engine.Session) error {
	return put(ctx, t, sessionTable, sessionTable.upsert, s)
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
	return put(ctx, t, enrollmentTable, enrollmentTable.insert, v)
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
