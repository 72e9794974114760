package machines

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
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
func (e *Service) MakeEnrollmentToken(ctx context.Context, c engine.Caller,
	in TokenInput,
) (token string, t engine.EnrollmentToken, err error) {
	token = enrollmentPrefix + directory.Secret()
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.EnrollmentTokensWrite, Details: map[string]string{"name": in.Name}},
		func(tx engine.Tx, _ engine.Rights) error {
			may, group, err := e.directory.AuthorizeGroup(ctx, tx, c, rbac.EnrollmentTokensWrite, in.ResourceGroup)
			if err != nil {
				return err
			}
			if in, err = in.complete(); err != nil {
				return err
			}
			if err := mayName(ctx, tx, may, group, in); err != nil {
				return err
			}
			waiting, err := tx.EnrollmentTokens(ctx, group.Subscription.Tenant, may.Now)
			if err != nil {
				return fmt.Errorf("read enrollment tokens: %w", err)
			}
			if err := roomForToken(waiting, may.Dir.Hands(c.Principal)); err != nil {
				return err
			}
			t = engine.EnrollmentToken{
				Hash: directory.HashSecret(token), Tenant: group.Subscription.Tenant,
				Subscription:  group.Subscription.ID,
				ResourceGroup: group.Group.Name, Name: in.Name,
				Mode: in.Mode, CreatedBy: c.Principal, CreatedAt: may.Now, ExpiresAt: may.Now.Add(in.TTL),
			}
			if err := tx.SaveEnrollmentToken(ctx, t); err != nil {
				return fmt.Errorf("save enrollment token: %w", err)
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.AgentTokenMade, Outcome: access.Succeeded, Actor: may.Actor(t.Tenant),
				Tenant: t.Tenant,
				Scope:  group.Scope(), Action: rbac.EnrollmentTokensWrite,
				Details: map[string]string{
					"name": t.Name, "mode": string(t.Mode),
					"expires": t.ExpiresAt.Format(time.RFC3339), "token": t.PublicID(),
				},
			})
		})
	if err != nil {
		return "", engine.EnrollmentToken{}, err
	}
	return token, t, nil
}

// roomForToken refuses one more token to somebody who has at least half of what others leave of the room: whoever makes
// tokens, room is left for others, be they many. Behind hands are the same people.
func roomForToken(waiting []engine.EnrollmentToken, hands []access.PrincipalID) error {
	own := 0
	for _, t := range waiting {
		if slices.Contains(hands, t.CreatedBy) {
			own++
		}
	}
	if most := (maxWaitingTokens - (len(waiting) - own)) / 2; own >= most {
		return access.Fault(access.KindConflict, "tooManyTokens",
			"%d of your enrollment tokens are unused, and %d of other people; you may have %d: withdraw some, or wait "+
				"until they expire", own, len(waiting)-own, most)
	}
	return nil
}

// EnrollmentTokens lists the tokens that are good for an agent still, among those that the caller could have made.
func (e *Service) EnrollmentTokens(ctx context.Context, c engine.Caller) (list []engine.EnrollmentToken, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EnrollmentTokensWrite},
		func(r engine.Reader, may engine.Rights) error {
			list, err = waitingTokens(ctx, r, may)
			return err
		})
	return list, err
}

// DeleteEnrollmentToken withdraws a token that no agent has enrolled with.
func (e *Service) DeleteEnrollmentToken(ctx context.Context, c engine.Caller, id string) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.EnrollmentTokensWrite, Details: map[string]string{"token": id}},
		func(tx engine.Tx, may engine.Rights) error {
			list, err := waitingTokens(ctx, tx, may)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(t engine.EnrollmentToken) bool { return t.PublicID() == id })
			if i < 0 {
				return access.Fault(access.KindNotFound, "unknownToken",
					"there is no unused enrollment token %q", engine.Clip(id))
			}
			w := e.kernel.NewWork(tx, may.Now)
			if err := directory.WithdrawToken(ctx, w, list[i], rbac.EnrollmentTokensWrite,
				may.Actor(list[i].Tenant)); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
}

func waitingTokens(ctx context.Context, r engine.Reader, may engine.Rights) ([]engine.EnrollmentToken, error) {
	scopes, err := may.Anywhere(rbac.EnrollmentTokensWrite)
	if err != nil {
		return nil, err
	}
	var list []engine.EnrollmentToken
	for _, tenant := range append(may.Beside(), may.Caller.Tenant) {
		tokens, err := r.EnrollmentTokens(ctx, tenant, may.Now)
		if err != nil {
			return nil, fmt.Errorf("read enrollment tokens: %w", err)
		}
		list = append(list, tokens...)
	}
	return slices.DeleteFunc(list,
		func(t engine.EnrollmentToken) bool { return !engine.Covered(t.Scope(), scopes) }), nil
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
		return in, access.Fault(access.KindInvalid, "unknownMode", "the mode is %q; use host or gateway",
			engine.Clip(string(in.Mode)))
	case in.TTL < time.Second || in.TTL > maxTokenTTL:
		return in, access.Fault(access.KindInvalid, "ttlOutOfRange",
			"the token would be valid for %s; use one second to 30 days", in.TTL)
	case in.Name != "":
		return in, access.CheckName("machine", in.Name)
	}
	return in, nil
}
