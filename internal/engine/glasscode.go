package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Bounds on codes for emergencies.
const (
	maxGlassCodes   = 20 // unused ones of one machine
	glassCodeTTL    = 365 * 24 * time.Hour
	defaultGlassMax = time.Hour
)

// IssueGlassCodes makes codes each of which opens a machine once while the server is out of reach. They are shown here and
// never again; the machine's agent gets what it can verify them by.
func (e *Engine) IssueGlassCodes(ctx context.Context, c Caller, machine string, count int) (codes []string, m access.Machine, err error) {
	if count < 1 || count > maxGlassCodes {
		return nil, m, access.Fault(access.KindInvalid, "countOutOfRange", "%d codes cannot be issued; ask for 1 to %d", count, maxGlassCodes)
	}
	for range count {
		codes = append(codes, newGlassCode())
	}
	err = e.change(ctx, c, attempt{action: rbac.GlassCodesWrite, details: map[string]string{"machine": machine}}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		if err := signedInOnly(c); err != nil {
			return err
		}
		if m, err = findMachine(ctx, tx, may, machine, rbac.GlassCodesWrite); err != nil {
			return err
		}
		if m.Agent == "" {
			return access.Fault(access.KindConflict, "noAgent", "machine %q has no agent that could check a code", m.Name)
		}
		earlier, err := tx.GlassCodes(ctx, m.ID)
		if err != nil {
			return fmt.Errorf("read codes: %w", err)
		}
		live := 0
		for _, code := range earlier {
			if code.UsedAt.IsZero() && may.now.Before(code.ExpiresAt) {
				live++
			}
		}
		sealed, err := sealedCodes(ctx, tx, []access.AgentID{m.Agent}, may.now)
		if err != nil {
			return err
		}
		if kept := len(sealed[m.Agent]); kept+count > access.MaxSealedCodes {
			return access.Fault(access.KindConflict, "tooManyCodesOfAgent",
				"the agent of machine %q keeps %d unused codes of all its machines; with %d more it would have more than %d: revoke some first",
				m.Name, kept, count, access.MaxSealedCodes)
		}
		if live+count > maxGlassCodes {
			return access.Fault(access.KindConflict, "tooManyCodes", "machine %q has %d unused codes; with %d more it would have more than %d: revoke them first", m.Name, live, count, maxGlassCodes)
		}
		most := defaultGlassMax
		if p, err := tx.GuardOf(ctx, m.ID); err == nil {
			if entry, ok := p.Of(m.ID); ok && entry.BreakGlass != nil && entry.BreakGlass.Max > 0 {
				most = entry.BreakGlass.Max
			}
		} else if !isKind(err, access.KindNotFound) {
			return fmt.Errorf("read policy: %w", err)
		}
		for _, code := range codes {
			err := tx.SaveGlassCode(ctx, GlassCode{
				ID: GlassCodeID(newID()), Machine: m.ID, Agent: m.Agent, Hash: hashGlassCode(code), Most: most,
				IssuedBy: c.Principal, IssuedAt: may.now, ExpiresAt: may.now.Add(glassCodeTTL),
			})
			if err != nil {
				return fmt.Errorf("save code: %w", err)
			}
		}
		w := e.newWork(tx, may.now)
		w.bumps[m.Agent] = true
		w.event(access.Event{
			Kind: access.GlassCodesIssued, Actor: may.actor(m.Tenant), Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Action: rbac.GlassCodesWrite,
			Details: map[string]string{"count": fmt.Sprint(count), "most": most.String()},
		})
		return w.finish(ctx)
	})
	if err != nil {
		return nil, m, err
	}
	return codes, m, nil
}

// newGlassCode gives 128 random bits as letters and digits in groups, to be read from paper.
func newGlassCode() string {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	var groups []string
	for group := range slices.Chunk([]byte(text), 5) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, "-")
}

// hashGlassCode gives what is kept of a code, here and by the agent: its 128 random bits cannot be tried out, so a plain hash is
// enough.
func hashGlassCode(code string) string {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.ReplaceAll(code, "-", ""))))
	return hex.EncodeToString(sum[:])
}

// sealedCodes gives what each of the agents verifies codes by.
func sealedCodes(ctx context.Context, r Reader, agents []access.AgentID, now time.Time) (map[access.AgentID][]access.SealedCode, error) {
	codes, err := r.GlassCodesOfAgents(ctx, agents)
	if err != nil {
		return nil, fmt.Errorf("read codes: %w", err)
	}
	slices.SortFunc(codes, func(a, b GlassCode) int { return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(a.ID, b.ID)) })
	sealed := map[access.AgentID][]access.SealedCode{}
	for _, c := range codes {
		if c.UsedAt.IsZero() && now.Before(c.ExpiresAt) {
			sealed[c.Agent] = append(sealed[c.Agent], access.SealedCode{ID: string(c.ID), Machine: c.Machine, Hash: c.Hash, Most: c.Most, Until: c.ExpiresAt})
		}
	}
	return sealed, nil
}

// GlassCodeDetail is a code with the name of who issued it; the code itself nobody has.
type GlassCodeDetail struct {
	Code       GlassCode
	IssuerName string
}

// GlassCodes lists the codes of a machine, the oldest first: unused, used, and of late expired or revoked.
func (e *Engine) GlassCodes(ctx context.Context, c Caller, machine string) (list []GlassCodeDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.GlassCodesWrite, details: map[string]string{"machine": machine}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, r, may, machine, rbac.GlassCodesWrite)
		if err != nil {
			return err
		}
		codes, err := r.GlassCodes(ctx, m.ID)
		if err != nil {
			return fmt.Errorf("read codes: %w", err)
		}
		slices.SortFunc(codes, func(a, b GlassCode) int { return cmp.Compare(a.ID, b.ID) }) // so by age
		list = make([]GlassCodeDetail, 0, len(codes))
		for _, code := range codes {
			names, err := namesOf(ctx, r, may, []access.PrincipalID{code.IssuedBy})
			if err != nil {
				return err
			}
			list = append(list, GlassCodeDetail{Code: code, IssuerName: names[code.IssuedBy]})
		}
		return nil
	})
	return list, err
}

// RevokeGlassCodes ends the unused codes of a machine, and gives how many there were. Its agent learns of it with its next
// state: one that is out of reach goes on taking them, and what it opens is recorded when it is back.
func (e *Engine) RevokeGlassCodes(ctx context.Context, c Caller, machine string) (revoked int, err error) {
	err = e.change(ctx, c, attempt{action: rbac.GlassCodesWrite, details: map[string]string{"machine": machine}}, func(tx Tx) error {
		revoked = 0
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, tx, may, machine, rbac.GlassCodesWrite)
		if err != nil {
			return err
		}
		codes, err := tx.GlassCodes(ctx, m.ID)
		if err != nil {
			return fmt.Errorf("read codes: %w", err)
		}
		w := e.newWork(tx, may.now)
		for _, code := range codes {
			if !code.UsedAt.IsZero() || !may.now.Before(code.ExpiresAt) {
				continue
			}
			if err := tx.EndGlassCode(ctx, code.ID, may.now); err != nil {
				return fmt.Errorf("end code: %w", err)
			}
			revoked++
			w.bumps[m.Agent] = m.Agent != ""
		}
		if revoked > 0 {
			w.event(access.Event{
				Kind: access.GlassCodesRevoked, Actor: may.actor(m.Tenant), Tenant: m.Tenant, Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Action: rbac.GlassCodesWrite,
				Details: map[string]string{"count": fmt.Sprint(revoked)},
			})
		}
		return w.finish(ctx)
	})
	return revoked, err
}
