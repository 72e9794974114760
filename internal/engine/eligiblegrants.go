package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// saveEligibility saves an eligibility over was, the zero one where it is new, and remembers who loosened it. What is in force by it
// and longer than it allows now, or begins before it does, is revoked.
func (w *work) saveEligibility(ctx context.Context, was, e access.Eligibility, by access.Actor) error {
	e.Loosened = e.Terms().Remember(was.Terms(), by.ID, policy.LoosenedEligibility(was, e), w.now).Loosened
	if err := w.tx.SaveEligibility(ctx, e, was.Revision); err != nil {
		return fmt.Errorf("save eligibility: %w", err)
	}
	w.event(eligibilityEvent(access.EligibilityWritten, e, by))
	if was.Revision == 0 {
		return nil
	}
	err := w.revokeBy(ctx, e.ID, by, func(g access.Grant) (string, bool) {
		why := beyond(e, g, w.now)
		return why, why != ""
	})
	if err != nil {
		return err
	}
	if err := w.tx.DeleteActivationsBeyond(ctx, e.ID, e.Max, begins(e, w.now), e.End); err != nil {
		return fmt.Errorf("delete role assignments: %w", err)
	}
	return nil
}

// begins gives the instant before which nothing is active by an eligibility; zero where it has begun.
func begins(e access.Eligibility, now time.Time) time.Time {
	if now.Before(e.Start) {
		return e.Start
	}
	return time.Time{}
}

// beyond says where an activation lasts longer than its eligibility allows by now, or begins before that; empty where it does not.
func beyond(e access.Eligibility, g access.Grant, now time.Time) string {
	if g.Start.Before(begins(e, now)) {
		return "the eligibility was changed: it begins at " + e.Start.UTC().Format(time.RFC3339)
	}
	if g.End.Sub(g.Start) > e.Max || !e.End.IsZero() && g.End.After(e.End) {
		return "the eligibility was changed: it allows " + span(e.Max) + " at the most"
	}
	return ""
}

// endEligibility deletes an eligibility, and revokes what is in force by it.
func (w *work) endEligibility(ctx context.Context, e access.Eligibility, by access.Actor, reason string) error {
	if err := w.revokeBy(ctx, e.ID, by, func(access.Grant) (string, bool) { return reason, true }); err != nil {
		return err
	}
	if err := w.tx.DeleteActivationsBy(ctx, e.ID); err != nil {
		return fmt.Errorf("delete role assignments: %w", err)
	}
	if err := w.tx.DeleteEligibility(ctx, e.ID, e.Revision); err != nil {
		return fmt.Errorf("delete eligibility: %w", err)
	}
	w.event(eligibilityEvent(access.EligibilityDeleted, e, by))
	return nil
}

// revokeBy ends the grants by an eligibility that which picks, what is in force first. Of a great many the others end within
// seconds: endUnheld finds that their holders have lost the right. Whoever calls it takes their assignments away at once.
func (w *work) revokeBy(ctx context.Context, id access.EligibilityID, by access.Actor, which func(access.Grant) (string, bool)) error {
	standing, err := w.tx.Standing(ctx, StandingFilter{Eligibility: id}, actChunk)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	for _, g := range standing {
		reason, end := which(g)
		if !end {
			continue
		}
		if _, err := w.endGrant(ctx, g, by, reason); err != nil {
			return err
		}
	}
	return nil
}

func eligibilityEvent(kind access.EventKind, e access.Eligibility, by access.Actor) access.Event {
	details := map[string]string{
		"eligibility": string(e.ID), "principalId": string(e.Principal), "roleId": string(e.Role), "max": e.Max.String(),
		"rules": strings.TrimPrefix(describeRules(e.Terms()), "; "),
	}
	if !e.Start.IsZero() {
		details["start"] = e.Start.Format(time.RFC3339)
	}
	if !e.End.IsZero() {
		details["end"] = e.End.Format(time.RFC3339)
	}
	if e.Origin != "" {
		details["application"] = string(e.Origin)
	}
	return access.Event{Kind: kind, Actor: by, Tenant: e.Tenant, Scope: e.Scope, Action: rbac.EligibilitiesWrite, Details: details}
}

func findEligibility(ctx context.Context, r Reader, may rights, id access.EligibilityID) (EligibilityDetail, error) {
	unknown := access.Fault(access.KindNotFound, "unknownEligibility", "there is no eligibility %q that you may see", clip(string(id)))
	one, err := r.Eligibility(ctx, access.EligibilityID(strings.ToLower(string(id))))
	if isKind(err, access.KindNotFound) {
		return EligibilityDetail{}, unknown
	}
	if err != nil {
		return EligibilityDetail{}, fmt.Errorf("read eligibility: %w", err)
	}
	mine := notEligible(may.dir, one, may.caller.Principal, may.now) == "" && may.caller.Bounds.cover(rbac.EligibilitiesRead, one.Scope)
	if !mine && !may.mayOf(one.Tenant, rbac.EligibilitiesRead, one.Scope) {
		return EligibilityDetail{}, unknown
	}
	return describeEligibility(ctx, r, may, one)
}

func describeEligibility(ctx context.Context, r Reader, may rights, e access.Eligibility) (EligibilityDetail, error) {
	p, err := r.Principal(ctx, e.Principal)
	if err != nil {
		return EligibilityDetail{}, fmt.Errorf("read principal: %w", err)
	}
	role, _ := may.dir.Definition(e.Role)
	names, err := namesOf(ctx, r, may, NamedInPolicy(e.Terms()))
	return EligibilityDetail{Eligibility: e, Principal: p, Role: role, Names: names}, err
}
