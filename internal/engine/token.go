package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// TokenInput asks for an enrollment token.
type TokenInput struct {
	Name          string // of the machine; empty takes the host's own name
	Mode          access.Mode
	ResourceGroup string        // name; empty is the default one
	TTL           time.Duration // 0: one hour
}

const (
	enrollmentPrefix = "pen_"
	defaultTokenTTL  = time.Hour
	maxTokenTTL      = 30 * 24 * time.Hour
	maxWaitingTokens = 1000 // of one tenant: as many as are listed, so that each can be seen and withdrawn
)

// MakeEnrollmentToken makes a token with which one agent enrolls, once. It is shown here and never again.
func (e *Engine) MakeEnrollmentToken(ctx context.Context, c Caller, in TokenInput) (token string, t EnrollmentToken, err error) {
	token = enrollmentPrefix + secret()
	err = e.change(ctx, c, attempt{action: rbac.EnrollmentTokensWrite, details: map[string]string{"name": in.Name}}, func(tx Tx) error {
		may, group, err := e.authorizeGroup(ctx, tx, c, rbac.EnrollmentTokensWrite, in.ResourceGroup)
		if err != nil {
			return err
		}
		if in, err = in.complete(); err != nil {
			return err
		}
		if err := mayName(ctx, tx, may, group, in); err != nil {
			return err
		}
		waiting, err := tx.EnrollmentTokens(ctx, group.subscription.Tenant, may.now)
		if err != nil {
			return fmt.Errorf("read enrollment tokens: %w", err)
		}
		if len(waiting) >= maxWaitingTokens {
			return access.Fault(access.KindConflict, "tooManyTokens", "%d enrollment tokens wait for their agents, the most that are allowed: withdraw some, or let their time pass", len(waiting))
		}
		t = EnrollmentToken{
			Hash: hashSecret(token), Tenant: group.subscription.Tenant, Subscription: group.subscription.ID, ResourceGroup: group.group.Name, Name: in.Name,
			Mode: in.Mode, CreatedBy: c.Principal, CreatedAt: may.now, ExpiresAt: may.now.Add(in.TTL),
		}
		if err := tx.SaveEnrollmentToken(ctx, t); err != nil {
			return fmt.Errorf("save enrollment token: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.AgentTokenMade, Outcome: access.Succeeded, Actor: may.actor(t.Tenant), Tenant: t.Tenant,
			Scope: group.scope(), Action: rbac.EnrollmentTokensWrite,
			Details: map[string]string{"name": t.Name, "mode": string(t.Mode), "expires": t.ExpiresAt.Format(time.RFC3339), "token": t.PublicID()},
		})
	})
	if err != nil {
		return "", EnrollmentToken{}, err
	}
	return token, t, nil
}

// PublicID names a token, of which only the hash is kept, in the activity log and in lists.
func (t EnrollmentToken) PublicID() string { return t.Hash[:16] }

func (t EnrollmentToken) scope() access.ResourceID {
	return access.ResourceGroupScope(t.Subscription, t.ResourceGroup)
}

// EnrollmentTokens lists the tokens that are good for an agent still, among those that the caller could have made.
func (e *Engine) EnrollmentTokens(ctx context.Context, c Caller) (list []EnrollmentToken, err error) {
	err = e.look(ctx, c, attempt{action: rbac.EnrollmentTokensWrite}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		list, err = waitingTokens(ctx, r, may)
		return err
	})
	return list, err
}

// DeleteEnrollmentToken withdraws a token that no agent has enrolled with.
func (e *Engine) DeleteEnrollmentToken(ctx context.Context, c Caller, id string) error {
	return e.change(ctx, c, attempt{action: rbac.EnrollmentTokensWrite, details: map[string]string{"token": id}}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		list, err := waitingTokens(ctx, tx, may)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(t EnrollmentToken) bool { return t.PublicID() == id })
		if i < 0 {
			return access.Fault(access.KindNotFound, "unknownToken", "there is no enrollment token %q that waits for its agent", clip(id))
		}
		w := e.newWork(tx, may.now)
		if err := w.withdrawToken(ctx, list[i], rbac.EnrollmentTokensWrite, may.actor(list[i].Tenant)); err != nil {
			return err
		}
		return w.finish(ctx)
	})
}

// withdrawToken deletes a token and records that.
func (w *work) withdrawToken(ctx context.Context, t EnrollmentToken, action string, by access.Actor) error {
	if err := w.tx.DeleteEnrollmentToken(ctx, t.Hash); err != nil {
		return fmt.Errorf("delete enrollment token: %w", err)
	}
	w.event(access.Event{
		Kind: access.AgentTokenDeleted, Actor: by, Tenant: t.Tenant, Scope: t.scope(), Action: action,
		Details: map[string]string{"name": t.Name, "token": t.PublicID()},
	})
	return nil
}

// withdrawTokensOf withdraws the enrollment tokens that somebody made and that wait for their agent: whoever took the account
// over, or had it, knows them still.
func (w *work) withdrawTokensOf(ctx context.Context, maker access.PrincipalID, may rights) error {
	tenants := may.dir.Tenants(maker)
	if !slices.Contains(tenants, may.caller.Tenant) {
		tenants = append(tenants, may.caller.Tenant)
	}
	for _, tenant := range tenants {
		tokens, err := w.tx.EnrollmentTokens(ctx, tenant, w.now)
		if err != nil {
			return fmt.Errorf("read enrollment tokens: %w", err)
		}
		for _, t := range tokens {
			if t.CreatedBy != maker {
				continue
			}
			if err := w.withdrawToken(ctx, t, rbac.PrincipalsWrite, may.actor(t.Tenant)); err != nil {
				return err
			}
		}
	}
	return nil
}

func waitingTokens(ctx context.Context, r Reader, may rights) ([]EnrollmentToken, error) {
	scopes, err := may.anywhere(rbac.EnrollmentTokensWrite)
	if err != nil {
		return nil, err
	}
	var list []EnrollmentToken
	for _, tenant := range append(may.beside(), may.caller.Tenant) {
		tokens, err := r.EnrollmentTokens(ctx, tenant, may.now)
		if err != nil {
			return nil, fmt.Errorf("read enrollment tokens: %w", err)
		}
		list = append(list, tokens...)
	}
	return slices.DeleteFunc(list, func(t EnrollmentToken) bool { return !covered(t.scope(), scopes) }), nil
}

func (in TokenInput) complete() (TokenInput, error) {
	if in.Mode == "" {
		in.Mode = access.ModeHost
	}
	if in.TTL == 0 {
		in.TTL = defaultTokenTTL
	}
	switch {
	case in.Mode != access.ModeHost && in.Mode != access.ModeGateway:
		return in, access.Fault(access.KindInvalid, "unknownMode", "the mode is %q; use host or gateway", clip(string(in.Mode)))
	case in.TTL < time.Second || in.TTL > maxTokenTTL:
		return in, access.Fault(access.KindInvalid, "ttlOutOfRange", "the token would be good for %s; use one second to 30 days", in.TTL)
	case in.Name != "":
		return in, access.CheckName("machine", in.Name)
	}
	return in, nil
}

// secret gives 32 random bytes in base64url.
func secret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashSecret gives what is kept of a secret with 256 random bits.
func hashSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// OneTimePassword makes a password that is printed once: 24 letters and digits in groups, none of which looks like
// another.
func OneTimePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789" // 32, so that a byte gives each with the same chance
	raw := make([]byte, 24)
	rand.Read(raw) // never fails
	password := make([]byte, 0, len(raw)+3)
	for i, b := range raw {
		if i > 0 && i%6 == 0 {
			password = append(password, '-')
		}
		password = append(password, alphabet[int(b)%len(alphabet)])
	}
	return string(password)
}
