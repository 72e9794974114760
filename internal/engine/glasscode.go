package engine

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"net/netip"
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
		if live+count > maxGlassCodes {
			return access.Fault(access.KindConflict, "tooManyCodes", "machine %q has %d unused codes; with %d more it would have more than %d: revoke them first", m.Name, live, count, maxGlassCodes)
		}
		most := defaultGlassMax
		if p, err := tx.PolicyOfMachine(ctx, m.ID); err == nil {
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
			Kind: access.GlassCodesIssued, Actor: c.Actor(), Tenant: c.Tenant, Scope: m.Resource, Machine: m.ID, Agent: m.Agent, Action: rbac.GlassCodesWrite,
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

// sealedCodes gives what an agent verifies codes by.
func sealedCodes(ctx context.Context, r Reader, agent access.AgentID, now time.Time) (sealed []access.SealedCode, err error) {
	codes, err := r.GlassCodesOfAgent(ctx, agent)
	if err != nil {
		return nil, fmt.Errorf("read codes: %w", err)
	}
	for _, c := range codes {
		if c.UsedAt.IsZero() && now.Before(c.ExpiresAt) {
			sealed = append(sealed, access.SealedCode{ID: string(c.ID), Machine: c.Machine, Hash: c.Hash, Most: c.Most, Until: c.ExpiresAt})
		}
	}
	return sealed, nil
}

// GlassUse is what an agent says of a code that was used while the server was out of reach.
type GlassUse struct {
	Code     GlassCodeID
	Ports    access.PortRange
	Protocol access.Protocol
	Source   netip.Prefix
	Opened   time.Time // by the agent's wall clock
	Duration time.Duration
	Reason   string
}

// GlassUsed records that a machine was opened with a code while the server was out of reach, and leaves the debt of review with
// whom the code was issued to. What was recorded already is not recorded again.
func (e *Engine) GlassUsed(ctx context.Context, agent access.AgentID, address netip.Addr, u GlassUse) error {
	if len(u.Reason) > access.MaxText || u.Duration <= 0 || u.Duration > access.MaxDuration || !u.Ports.Valid() {
		return access.Fault(access.KindInvalid, "malformedUse", "the use of a code makes no sense")
	}
	err := e.update(ctx, func(tx Tx) error {
		now := e.now()
		code, err := tx.GlassCode(ctx, u.Code)
		if isKind(err, access.KindNotFound) || err == nil && code.Agent != agent {
			return access.Fault(access.KindInvalid, "unknownCode", "there is no such code of this agent")
		}
		if err != nil {
			return fmt.Errorf("read code: %w", err)
		}
		if !code.UsedAt.IsZero() {
			return nil
		}
		if err := tx.UseGlassCode(ctx, code.ID, now); err != nil {
			return err
		}
		issuer, err := tx.Principal(ctx, code.IssuedBy)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		w := e.newWork(tx, now)
		w.bumps[agent] = true
		m, err := w.machine(ctx, code.Machine)
		if err != nil {
			return err
		}
		actor := access.Actor{ID: issuer.ID, Name: issuer.Name, Address: address, Via: "agent"}
		request, _ := access.NewRequest(access.Request{
			ID: access.RequestID(newID()), Tenant: issuer.Tenant, Requester: issuer.ID, RequesterName: issuer.Name, Via: "agent", BreakGlass: true,
			Justification: u.Reason, Start: micros(u.Opened),
			Items: []access.Item{{Machine: code.Machine, Ports: u.Ports, Protocol: u.Protocol, Sources: []netip.Prefix{u.Source}, Duration: u.Duration.Truncate(time.Microsecond)}},
		}, actor, 0, now)
		request.State, request.DecidedAt = access.RequestApproved, now // on the machine, by the code
		if err := tx.SaveRequest(ctx, request, 0); err != nil {
			return fmt.Errorf("save request: %w", err)
		}
		review := access.Review{
			ID: access.ReviewID(newID()), Tenant: issuer.Tenant, Person: issuer.ID, PersonName: issuer.Name, Request: request.ID, Offline: true, CreatedAt: now, Revision: 1,
		}
		if err := tx.SaveReview(ctx, review, 0); err != nil {
			return fmt.Errorf("save review: %w", err)
		}
		w.notify(notice{kind: NotifyBreakGlass, request: request, by: issuer.Name})
		w.event(access.Event{
			Kind: access.GlassBroken, Actor: actor, Tenant: issuer.Tenant, Scope: m.Resource, Machine: code.Machine, Agent: agent, Request: request.ID,
			Details: map[string]string{
				"offline": "true", "code": string(code.ID), "review": string(review.ID), "ports": u.Ports.String() + "/" + string(u.Protocol),
				"source": u.Source.String(), "opened": u.Opened.UTC().Format(time.RFC3339), "duration": u.Duration.String(), "justification": clip(u.Reason),
			},
		})
		return w.finish(ctx)
	})
	if err == nil {
		e.poke()
	}
	return err
}
