package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// TokenInput asks for an enrolment token.
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
)

// MakeEnrollmentToken makes a token with which one agent enrols, once. It is shown here and never again.
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
		t = EnrollmentToken{
			Hash: hashSecret(token), Tenant: c.Tenant, Subscription: group.subscription.ID, ResourceGroup: group.group.Name, Name: in.Name,
			Mode: in.Mode, CreatedBy: c.Principal, CreatedAt: may.now, ExpiresAt: may.now.Add(in.TTL),
		}
		if err := tx.SaveEnrollmentToken(ctx, t); err != nil {
			return fmt.Errorf("save enrolment token: %w", err)
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.AgentTokenMade, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
			Scope: group.scope(), Action: rbac.EnrollmentTokensWrite,
			Details: map[string]string{"name": t.Name, "mode": string(t.Mode), "expires": t.ExpiresAt.Format(time.RFC3339), "token": t.Hash[:16]},
		})
	})
	if err != nil {
		return "", EnrollmentToken{}, err
	}
	return token, t, nil
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
