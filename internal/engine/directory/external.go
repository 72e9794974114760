package directory

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ExternalSignIn is a person whom the identity provider of a tenant vouches for.
type ExternalSignIn struct {
	Tenant      access.TenantID
	Issuer      string
	Subject     string
	Name        string // what a new user is called, where nobody is called so yet
	DisplayName string
	Email       string
	Managed     []string // names of the groups whose members the provider decides
	Groups      []string // those of them that the person is in
	Read        []engine.ClaimRead
	// GroupsUnknown says why the provider did not tell which groups the person is in: their memberships then stay.
	// Empty where it did.
	GroupsUnknown string
	Session       engine.Session // its principal is filled in here
	Address       netip.Addr
	Via           string
}

// SignInExternally keeps a session for the person that a provider's subject is bound to in the tenant. At the first
// sign-in a new user is made there and bound: never one that exists, whatever they are called, since a name proves
// nothing. Memberships of managed groups become what the provider says, where it says anything of them. Package
// identity alone calls it, after it has checked the provider's word.
func (e *Service) SignInExternally(ctx context.Context, in ExternalSignIn) (p access.Principal, err error) {
	var refusal error
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		refusal = nil
		now := e.kernel.Now()
		w := e.kernel.NewWork(tx, now)
		bound, err := tx.ExternalIdentity(ctx, in.Tenant, in.Issuer, in.Subject)
		switch {
		case engine.IsKind(err, access.KindNotFound):
			if p, err = newExternal(ctx, w, in); err != nil {
				return err
			}
			bound = engine.ExternalIdentity{
				Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject, Principal: p.ID,
				CreatedAt: now,
			}
		case err != nil:
			return fmt.Errorf("read external identity: %w", err)
		default:
			if p, err = tx.Principal(ctx, bound.Principal); err != nil {
				return fmt.Errorf("read principal: %w", err)
			}
		}
		actor := access.Actor{ID: p.ID, Name: p.Name, Address: in.Address, Via: in.Via}
		if p.Disabled {
			refusal = access.Fault(access.KindForbidden, "disabled", "this user is disabled here: ask an administrator")
			w.Event(access.Event{
				Kind: access.SignInRefused, Outcome: access.Refused, Actor: actor, Tenant: p.Tenant,
				Details: map[string]string{"reason": "disabled", "issuer": engine.Clip(in.Issuer)},
			})
			return w.Finish(ctx)
		}
		if err := syncGroups(ctx, w, p, in, actor); err != nil {
			return err
		}
		bound.SeenAt, bound.Read = now, nil
		for _, r := range in.Read {
			bound.Read = append(bound.Read, r.Bounded())
		}
		if err := tx.SeeExternalIdentity(ctx, bound); err != nil {
			return fmt.Errorf("save what was read: %w", err)
		}
		in.Session.Method = in.Issuer
		details := map[string]string{"issuer": engine.Clip(in.Issuer), "subject": engine.Clip(in.Subject)}
		if in.GroupsUnknown != "" {
			details["groupsUnknown"] = in.GroupsUnknown
		}
		return openSession(ctx, w, p, in.Session, actor, details)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return access.Principal{}, err
	}
	e.kernel.Poke()
	return p, nil
}

func tenantOf(ctx context.Context, r engine.Reader, ref string) (access.TenantID, error) {
	if ref == "" {
		return engine.HomeTenant(ctx, r)
	}
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return "", fmt.Errorf("read tenants: %w", err)
	}
	t, err := tenantNamed(tenants, ref)
	return t.ID, err
}

// newExternal makes a user and binds it.
func newExternal(ctx context.Context, w *engine.Work, in ExternalSignIn) (access.Principal, error) {
	name, err := freeName(ctx, w, in)
	if err != nil {
		return access.Principal{}, err
	}
	p := access.Principal{
		ID: access.PrincipalID(engine.NewID()), Tenant: in.Tenant, Kind: access.User, Name: name,
		DisplayName: engine.Clip(in.DisplayName), Email: in.Email, CreatedAt: w.Now, Revision: 1,
	}
	if checkTexts("", p.Email) != nil {
		p.Email = ""
	}
	if checkTexts(p.DisplayName, "") != nil {
		p.DisplayName = ""
	}
	if err := w.Tx.SavePrincipal(ctx, p, 0); err != nil {
		return p, fmt.Errorf("save principal: %w", err)
	}
	if err := w.Tx.SaveExternalIdentity(ctx,
		engine.ExternalIdentity{
			Tenant: in.Tenant, Issuer: in.Issuer, Subject: in.Subject, Principal: p.ID,
			CreatedAt: w.Now,
		}); err != nil {
		return p, fmt.Errorf("bind external identity: %w", err)
	}
	w.Event(access.Event{
		Kind: access.PrincipalCreated, Actor: access.System(), Tenant: in.Tenant,
		Details: map[string]string{
			"principal": string(p.ID), "name": p.Name, "kind": string(p.Kind),
			"issuer": engine.Clip(in.Issuer), "subject": engine.Clip(in.Subject),
		},
	})
	return p, nil
}

// freeName gives a name that nobody has: the one that the provider gives, or that with the provider's host behind it.
func freeName(ctx context.Context, w *engine.Work, in ExternalSignIn) (string, error) {
	host := in.Issuer
	if u, err := url.Parse(in.Issuer); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	base := strings.TrimSpace(engine.Clip(in.Name))
	if input := (PrincipalInput{Kind: access.User, Name: base}); input.check() != nil || uuid.Validate(base) == nil {
		base = "user of " + host
	}
	for i := range 100 {
		name := base
		if i > 0 {
			name = fmt.Sprintf("%s (%s)", base, host)
		}
		if i > 1 {
			name += " " + strconv.Itoa(i)
		}
		_, err := w.Tx.PrincipalByName(ctx, in.Tenant, name)
		if engine.IsKind(err, access.KindNotFound) {
			return name, nil
		}
		if err != nil {
			return "", fmt.Errorf("read principal: %w", err)
		}
	}
	return "", access.Fault(access.KindConflict, "nameTaken",
		"there are too many users named %q already", engine.Clip(base))
}

// syncGroups makes memberships of the managed groups what the provider says; where it says nothing, they stay. A group
// that there is not is passed over, and its name recorded.
func syncGroups(ctx context.Context, w *engine.Work, p access.Principal, in ExternalSignIn, by access.Actor) error {
	if len(in.Managed) == 0 || in.GroupsUnknown != "" {
		return nil
	}
	data, err := w.Tx.Directory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	for _, name := range in.Managed {
		group, err := FindPrincipal(ctx, w.Tx, p.Tenant, name)
		if engine.IsKind(err, access.KindNotFound) || err == nil && group.Kind != access.Group {
			w.Event(access.Event{
				Kind: access.MemberAdded, Outcome: access.Failed, Actor: by, Tenant: p.Tenant,
				Details: map[string]string{
					"group": engine.Clip(name), "member": p.Name,
					"reason": "there is no such group",
				},
			})
			continue
		}
		if err != nil {
			return err
		}
		membership := rbac.Membership{Group: group.ID, Member: p.ID}
		want, have := slices.Contains(in.Groups, name), slices.Contains(data.Memberships, membership)
		event := access.Event{
			Actor: by, Tenant: p.Tenant,
			Details: map[string]string{
				"group": group.Name, "groupId": string(group.ID), "member": p.Name,
				"memberId": string(p.ID), "issuer": engine.Clip(in.Issuer),
			},
		}
		switch {
		case want && !have:
			if err := w.Tx.AddMember(ctx, group.ID, p.ID, "", w.Now); err != nil {
				return fmt.Errorf("add member: %w", err)
			}
			event.Kind = access.MemberAdded
			w.Event(event)
		case have && !want:
			less := engine.Without(data, membership)
			if engine.LosesOwner(data, less, p.Tenant) { // the provider's word counts, but for what locks everybody out
				event.Kind, event.Outcome = access.MemberRemoved, access.Failed
				event.Details["reason"] = "nobody could act as Owner of everything any more"
				w.Event(event)
				continue
			}
			data = less
			if err := w.Tx.RemoveMember(ctx, group.ID, p.ID); err != nil {
				return fmt.Errorf("remove member: %w", err)
			}
			event.Kind = access.MemberRemoved
			w.Event(event)
		}
	}
	return nil
}

// ExternalIdentities gives how a person of the caller's tenant signs in by its identity provider, with what was read at
// the last sign-in. Whoever may read principals may, and everybody about themselves.
func (e *Service) ExternalIdentities(ctx context.Context, c engine.Caller,
	ref string,
) (list []engine.ExternalIdentity, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsRead, Details: map[string]string{"principal": ref}},
		func(r engine.Reader, may engine.Rights) error {
			if err := readPrincipal(may, ref); err != nil {
				return err
			}
			p, err := FindPrincipal(ctx, r, c.Tenant, ref)
			if err != nil {
				return err
			}
			if list, err = r.ExternalIdentities(ctx, p.ID); err != nil {
				return fmt.Errorf("read external identities: %w", err)
			}
			return nil
		})
	return list, err
}

// BeginCeremony keeps the first half of a sign-in. Package identity alone calls it, and the next one.
func (e *Service) BeginCeremony(ctx context.Context, c engine.Ceremony) error {
	return e.kernel.Store.Update(ctx, func(tx engine.Tx) error { return tx.SaveCeremony(ctx, c) })
}

// FinishCeremony gives the first half of a sign-in, once. One of another kind, or whose time is over, is lost.
func (e *Service) FinishCeremony(ctx context.Context, hash, kind string) (c engine.Ceremony, err error) {
	over := access.Fault(access.KindUnauthenticated, "ceremonyOver",
		"this sign-in was completed already, or has expired: start again")
	err = e.kernel.Store.Update(ctx, func(tx engine.Tx) error {
		c, err = tx.Ceremony(ctx, hash)
		if engine.IsKind(err, access.KindNotFound) {
			return over
		}
		if err != nil {
			return fmt.Errorf("read ceremony: %w", err)
		}
		return tx.UseCeremony(ctx, hash)
	})
	switch {
	case engine.IsKind(err, access.KindConflict):
		return engine.Ceremony{}, over
	case err != nil:
		return engine.Ceremony{}, err
	case c.Kind != kind || !e.kernel.Now().Before(c.ExpiresAt):
		return engine.Ceremony{}, over
	}
	return c, nil
}
