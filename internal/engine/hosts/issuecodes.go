package hosts

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
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// Bounds on codes for emergencies.
const (
	maxGlassCodes   = 20 // unused ones of one machine
	glassCodeTTL    = 365 * 24 * time.Hour
	defaultGlassMax = time.Hour
)

// IssueGlassCodes makes codes each of which opens a machine once while the server is out of reach. They are shown here
// and never again; the machine's agent gets what it can verify them by.
func (e *Service) IssueGlassCodes(ctx context.Context, c engine.Caller, machine string,
	count int,
) (codes []string, m access.Machine, err error) {
	if count < 1 || count > maxGlassCodes {
		return nil, m, access.Fault(access.KindInvalid, "countOutOfRange", "%d codes cannot be issued; ask for 1 to %d",
			count, maxGlassCodes)
	}
	for range count {
		codes = append(codes, newGlassCode())
	}
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.GlassCodesWrite, Details: map[string]string{"machine": machine}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := directory.SignedInOnly(c); err != nil {
				return err
			}
			if m, err = engine.FindMachine(ctx, tx, may, machine, rbac.GlassCodesWrite); err != nil {
				return err
			}
			if m.Agent == "" {
				return access.Fault(access.KindConflict, "noAgent", "machine %q has no agent that can check a code",
					m.Name)
			}
			earlier, err := tx.GlassCodes(ctx, m.ID)
			if err != nil {
				return fmt.Errorf("read codes: %w", err)
			}
			live := 0
			for _, code := range earlier {
				if code.UsedAt.IsZero() && may.Now.Before(code.ExpiresAt) {
					live++
				}
			}
			sealed, err := machines.SealedCodes(ctx, tx, []access.AgentID{m.Agent}, may.Now)
			if err != nil {
				return err
			}
			if kept := len(sealed[m.Agent]); kept+count > access.MaxSealedCodes {
				return access.Fault(access.KindConflict, "tooManyCodesOfAgent",
					"the agent of machine %q keeps %d unused codes of all its machines; with %d more it would have "+
						"more than %d: revoke some first",
					m.Name, kept, count, access.MaxSealedCodes)
			}
			if live+count > maxGlassCodes {
				return access.Fault(access.KindConflict, "tooManyCodes",
					"machine %q has %d unused codes; with %d more it would have more than %d: revoke them first",
					m.Name, live, count, maxGlassCodes)
			}
			if err := (&machines.NetworkNames{R: tx, Tenant: m.Tenant}).MayConfigure(ctx, m); err != nil {
				return err
			}
			most, err := longestGlass(ctx, tx, m)
			if err != nil {
				return err
			}
			for _, code := range codes {
				err := tx.SaveGlassCode(ctx, engine.GlassCode{
					ID: engine.GlassCodeID(engine.NewID()), Machine: m.ID, Agent: m.Agent, Hash: hashGlassCode(code),
					Most:     most,
					IssuedBy: c.Principal, IssuedAt: may.Now, ExpiresAt: may.Now.Add(glassCodeTTL),
				})
				if err != nil {
					return fmt.Errorf("save code: %w", err)
				}
			}
			w := e.kernel.NewWork(tx, may.Now)
			w.Bumps[m.Agent] = true
			w.Event(access.Event{
				Kind: access.GlassCodesIssued, Actor: may.Actor(m.Tenant), Tenant: m.Tenant, Scope: m.Resource,
				Machine: m.ID, Agent: m.Agent, Action: rbac.GlassCodesWrite,
				Details: map[string]string{"count": fmt.Sprint(count), "most": most.String()},
			})
			return w.Finish(ctx)
		})
	if err != nil {
		return nil, m, err
	}
	return codes, m, nil
}

// longestGlass returns how long a code may open a machine for. It opens any port, so the shortest of what the rules for
// its ports say counts; where none says anything, defaultGlassMax.
func longestGlass(ctx context.Context, r engine.Reader, m access.Machine) (time.Duration, error) {
	guards, err := engine.GuardsOf(ctx, r, m)
	most := time.Duration(0)
	for _, p := range guards {
		if rule := p.Machines[0].BreakGlass; rule != nil && rule.Max > 0 && (most == 0 || rule.Max < most) {
			most = rule.Max
		}
	}
	return cmp.Or(most, defaultGlassMax), err
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

// hashGlassCode gives what is kept of a code, here and by the agent: its 128 random bits cannot be tried out, so a
// plain hash is enough.
func hashGlassCode(code string) string {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.ReplaceAll(code, "-", ""))))
	return hex.EncodeToString(sum[:])
}

// GlassCodeDetail is a code with the name of who issued it; the code itself nobody has.
type GlassCodeDetail struct {
	Code       engine.GlassCode
	IssuerName string
}

// GlassCodes lists the codes of a machine, the oldest first: unused, used, and of late expired or revoked.
func (e *Service) GlassCodes(ctx context.Context, c engine.Caller, machine string) (list []GlassCodeDetail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.GlassCodesWrite, Details: map[string]string{"machine": machine}},
		func(r engine.Reader, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, r, may, machine, rbac.GlassCodesWrite)
			if err != nil {
				return err
			}
			codes, err := r.GlassCodes(ctx, m.ID)
			if err != nil {
				return fmt.Errorf("read codes: %w", err)
			}
			slices.SortFunc(codes, func(a, b engine.GlassCode) int { return cmp.Compare(a.ID, b.ID) }) // so by age
			list = make([]GlassCodeDetail, 0, len(codes))
			for _, code := range codes {
				names, err := engine.NamesOf(ctx, r, may, []access.PrincipalID{code.IssuedBy})
				if err != nil {
					return err
				}
				list = append(list, GlassCodeDetail{Code: code, IssuerName: names[code.IssuedBy]})
			}
			return nil
		})
	return list, err
}

// RevokeGlassCodes ends the unused codes of a machine, and gives how many there were. Its agent learns of it with its
// next state: one that is out of reach goes on taking them, and what it opens is recorded when it is back.
func (e *Service) RevokeGlassCodes(ctx context.Context, c engine.Caller, machine string) (revoked int, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.GlassCodesWrite, Details: map[string]string{"machine": machine}},
		func(tx engine.Tx, may engine.Rights) error {
			revoked = 0
			m, err := engine.FindMachine(ctx, tx, may, machine, rbac.GlassCodesWrite)
			if err != nil {
				return err
			}
			codes, err := tx.GlassCodes(ctx, m.ID)
			if err != nil {
				return fmt.Errorf("read codes: %w", err)
			}
			w := e.kernel.NewWork(tx, may.Now)
			for _, code := range codes {
				if !code.UsedAt.IsZero() || !may.Now.Before(code.ExpiresAt) {
					continue
				}
				if err := tx.EndGlassCode(ctx, code.ID, may.Now); err != nil {
					return fmt.Errorf("end code: %w", err)
				}
				revoked++
				w.Bumps[m.Agent] = m.Agent != ""
			}
			if revoked > 0 {
				w.Event(access.Event{
					Kind: access.GlassCodesRevoked, Actor: may.Actor(m.Tenant), Tenant: m.Tenant, Scope: m.Resource,
					Machine: m.ID, Agent: m.Agent, Action: rbac.GlassCodesWrite,
					Details: map[string]string{"count": fmt.Sprint(revoked)},
				})
			}
			return w.Finish(ctx)
		})
	return revoked, err
}
