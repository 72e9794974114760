package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// PrincipalInput is a new principal.
type PrincipalInput struct {
	Kind         access.PrincipalKind
	Name         string
	DisplayName  string
	Email        string
	PasswordHash string // PHC string; users only; package identity makes it
	MustChange   bool   // the password is good for nothing but choosing another
}

// PrincipalChange changes what is not nil.
type PrincipalChange struct {
	Disabled    *bool
	DisplayName *string
	Email       *string
}

const maxPrincipalName = 256 // bytes

// Self gives the caller's own principal.
func (e *Engine) Self(ctx context.Context, c Caller) (p access.Principal, err error) {
	err = e.store.View(ctx, func(r Reader) error {
		p, err = r.Principal(ctx, c.Principal)
		return err
	})
	return p, err
}

// MayCreatePrincipal is Check for CreatePrincipal.
func (e *Engine) MayCreatePrincipal(ctx context.Context, c Caller) error {
	return e.Check(ctx, c, rbac.PrincipalsWrite, access.Root)
}

// CreatePrincipal adds a user, a group or a service principal to the caller's tenant.
func (e *Engine) CreatePrincipal(ctx context.Context, c Caller, in PrincipalInput) (p access.Principal, err error) {
	err = e.change(ctx, c, attempt{action: rbac.PrincipalsWrite, details: map[string]string{"name": in.Name}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PrincipalsWrite, access.Root)
		if err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		_, err = tx.PrincipalByName(ctx, c.Tenant, in.Name)
		switch {
		case err == nil:
			return access.Fault(access.KindConflict, "principalExists", "there is a principal %q already: choose another name", clip(in.Name))
		case !isKind(err, access.KindNotFound):
			return fmt.Errorf("read principal: %w", err)
		}
		p = access.Principal{
			ID: access.PrincipalID(newID()), Tenant: c.Tenant, Kind: in.Kind, Name: in.Name, DisplayName: in.DisplayName, Email: in.Email,
			CreatedAt: may.now, Revision: 1,
		}
		if err := tx.SavePrincipal(ctx, p, 0); err != nil {
			return fmt.Errorf("save principal: %w", err)
		}
		if in.PasswordHash != "" {
			if err := tx.SavePassword(ctx, Password{Principal: p.ID, Hash: in.PasswordHash, MustChange: in.MustChange, ChangedAt: may.now}); err != nil {
				return fmt.Errorf("save password: %w", err)
			}
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.PrincipalCreated, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
			Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": string(p.ID), "name": p.Name, "kind": string(p.Kind)},
		})
	})
	return p, err
}

func (in PrincipalInput) check() error {
	switch in.Kind {
	case access.User, access.Group, access.ServicePrincipal:
	default:
		return access.Fault(access.KindInvalid, "unknownKind", "the kind is %q; use user, group or servicePrincipal", clip(string(in.Kind)))
	}
	if in.Kind != access.User && in.PasswordHash != "" {
		return access.Fault(access.KindInvalid, "passwordNotAllowed", "only a user has a password: leave it out")
	}
	if strings.TrimSpace(in.Name) != in.Name || in.Name == "" || len(in.Name) > maxPrincipalName || !plainText(in.Name) || strings.HasPrefix(in.Name, "/") || uuid.Validate(in.Name) == nil {
		return access.Fault(access.KindInvalid, "malformedName", "the name %q cannot be taken: use 1 to %d bytes without control characters, not a GUID", clip(in.Name), maxPrincipalName)
	}
	if why := deceptive(in.Name); why != "" {
		return access.Fault(access.KindInvalid, "malformedName", "the name %q cannot be taken: %s", clip(in.Name), why)
	}
	return checkTexts(in.DisplayName, in.Email)
}

func checkTexts(displayName, email string) error {
	if len(displayName) > maxPrincipalName || !plainText(displayName) || hidden(displayName) {
		return access.Fault(access.KindInvalid, "malformedDisplayName", "the display name is too long, or has characters that nobody sees or that turn the direction of text")
	}
	if email != "" && (len(email) > maxPrincipalName || !plainText(email) || strings.ContainsAny(email, " <>,;") || !strings.Contains(email, "@")) {
		return access.Fault(access.KindInvalid, "malformedEmail", "%q is not the address of a mailbox", clip(email))
	}
	return nil
}

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Principal gives one principal by its name or id.
func (e *Engine) Principal(ctx context.Context, c Caller, ref string) (p access.Principal, err error) {
	err = e.look(ctx, c, attempt{action: rbac.PrincipalsRead, details: map[string]string{"principal": ref}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if err := may.readPrincipal(ref); err != nil {
			return err
		}
		p, err = findPrincipal(ctx, r, c.Tenant, ref)
		return err
	})
	return p, err
}

// maxByID is how many principals are asked for at once.
const maxByID = 1000

// PrincipalsByID gives those of the caller's tenant that have these ids and that the caller may see, in the order of the ids;
// whom they may not see is left out, as is who is not there. Anybody may see themselves, and whoever holds a role by an assignment
// that they may read.
func (e *Engine) PrincipalsByID(ctx context.Context, c Caller, ids []string) (list []access.Principal, err error) {
	if len(ids) > maxByID {
		return nil, access.Fault(access.KindInvalid, "tooManyIds", "%d principals are asked for; %d are allowed", len(ids), maxByID)
	}
	err = e.look(ctx, c, attempt{action: rbac.PrincipalsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		all := may.may(rbac.PrincipalsRead, access.Root)
		scopes := may.scopes(rbac.RoleAssignmentsRead)
		named := func(id string) bool {
			assigned := may.dir.Assigned(access.PrincipalID(strings.ToLower(id)))
			return slices.ContainsFunc(assigned, func(at access.ResourceID) bool { return rbac.Reaches(scopes, at) })
		}
		for _, id := range ids {
			if uuid.Validate(id) != nil || !all && !may.isSelf(id) && !named(id) {
				continue
			}
			p, err := findPrincipal(ctx, r, c.Tenant, id)
			switch {
			case isKind(err, access.KindNotFound):
			case err != nil:
				return err
			default:
				list = append(list, p)
			}
		}
		return nil
	})
	return list, err
}

// isSelf tells whether ref is the caller's own id or name; anybody may see themselves. The name is theirs where
// findPrincipal finds them by it.
func (r rights) isSelf(ref string) bool {
	return strings.EqualFold(ref, string(r.caller.Principal)) || nameKey(ref) == nameKey(r.caller.Name)
}

// nameKey gives what is the same of two names of principals that are one, as the store finds them. strings.EqualFold takes more for one,
// such as an s and a long ſ.
func nameKey(name string) string { return strings.ToLower(name) }

// readPrincipal refuses what is about somebody else, unless the caller may read the principals of the whole tenant.
func (r rights) readPrincipal(ref string) error {
	if r.isSelf(ref) {
		return nil
	}
	return r.require(rbac.PrincipalsRead, access.Root)
}

// Principals lists the principals of the caller's tenant by name. f.Group and f.Member are names or ids.
func (e *Engine) Principals(ctx context.Context, c Caller, f PrincipalFilter, p Page) (list Listed[access.Principal], err error) {
	err = e.look(ctx, c, attempt{action: rbac.PrincipalsRead}, func(r Reader) error {
		if _, err := e.authorize(ctx, r, c, rbac.PrincipalsRead, access.Root); err != nil {
			return err
		}
		page, err := checkPage(p)
		if err != nil {
			return err
		}
		f.Tenant = c.Tenant
		for _, ref := range []*access.PrincipalID{&f.Group, &f.Member} {
			if *ref == "" {
				continue
			}
			named, err := findPrincipal(ctx, r, c.Tenant, string(*ref))
			if err != nil {
				return err
			}
			*ref = named.ID
		}
		list, err = r.Principals(ctx, f, page)
		return err
	})
	return list, err
}

// ChangePrincipal changes a principal; one who becomes disabled is signed out everywhere. Nobody disables themselves.
func (e *Engine) ChangePrincipal(ctx context.Context, c Caller, ref string, change PrincipalChange) (p access.Principal, err error) {
	err = e.change(ctx, c, attempt{action: rbac.PrincipalsWrite, details: map[string]string{"principal": ref}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PrincipalsWrite, access.Root)
		if err != nil {
			return err
		}
		was, err := findPrincipal(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		p = was
		details := map[string]string{"principal": string(p.ID), "name": p.Name}
		if change.DisplayName != nil {
			p.DisplayName = *change.DisplayName
			details["displayName"] = clip(p.DisplayName)
		}
		if change.Email != nil {
			p.Email = *change.Email
			details["email"] = clip(p.Email)
		}
		if change.Disabled != nil {
			p.Disabled = *change.Disabled
			details["disabled"] = fmt.Sprint(p.Disabled)
		}
		if err := checkTexts(p.DisplayName, p.Email); err != nil {
			return err
		}
		if p == was {
			return nil
		}
		if p.Disabled && p.ID == c.Principal {
			return access.Fault(access.KindConflict, "ownPrincipal", "you cannot disable yourself: ask somebody else to")
		}
		p.Revision = was.Revision + 1
		if err := tx.SavePrincipal(ctx, p, was.Revision); err != nil {
			return fmt.Errorf("save principal: %w", err)
		}
		if p.Kind == access.Group && p.Disabled != was.Disabled {
			if err := e.regroup(ctx, tx, may, p, !p.Disabled); err != nil {
				return err
			}
		}
		w := e.newWork(tx, may.now)
		if was.Email != "" && p.Email != was.Email { // where they are told of what is done next
			detail := fmt.Sprintf("%s changed it%s. Mail about your account goes to the new address from now on. If that is not right, tell another administrator.", c.Name, from(c.Actor()))
			if err := w.tellOwnerAt(ctx, was.Email, p, "Your e-mail address was changed", detail, c.Actor()); err != nil {
				return err
			}
		}
		if p.Disabled {
			set, err := e.credentialsOf(ctx, tx, p)
			if err != nil {
				return err
			}
			set.Passkeys, set.Secrets = nil, nil // like the password they let in whoever is enabled again
			if err := w.endCredentials(ctx, set, c.Actor()); err != nil {
				return err
			}
			if _, err := w.revokeHeldBy(ctx, p.ID, may, "its holder was disabled"); err != nil { // whoever may disable somebody may end that
				return err
			}
			if err := w.finish(ctx); err != nil {
				return err
			}
		}
		return tx.Append(ctx, access.Event{
			At: may.now, Kind: access.PrincipalChanged, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
			Action: rbac.PrincipalsWrite, Details: details,
		})
	})
	return p, err
}

// AddMember puts member into group, both by name or id. One who is a member stays one.
func (e *Engine) AddMember(ctx context.Context, c Caller, group, member string) error {
	return e.membership(ctx, c, group, member, func(tx Tx, _ rights, data rbac.Data, g, m access.Principal, now access.Event) error {
		if slices.Contains(data.Memberships, rbac.Membership{Group: g.ID, Member: m.ID}) {
			return nil
		}
		loop, err := membershipPath(ctx, tx, data, g, m)
		if err != nil {
			return err
		}
		if loop != "" {
			return access.Fault(access.KindInvalid, "membershipLoop", "group %q lies within %q already, and so cannot hold it: %s", g.Name, m.Name, loop)
		}
		if err := tx.AddMember(ctx, g.ID, m.ID, c.Principal, now.At); err != nil {
			return fmt.Errorf("add member: %w", err)
		}
		now.Kind = access.MemberAdded
		return tx.Append(ctx, now)
	})
}

// RemoveMember takes member out of group, both by name or id.
func (e *Engine) RemoveMember(ctx context.Context, c Caller, group, member string) error {
	return e.membership(ctx, c, group, member, func(tx Tx, may rights, data rbac.Data, g, m access.Principal, now access.Event) error {
		if !slices.Contains(data.Memberships, rbac.Membership{Group: g.ID, Member: m.ID}) {
			return access.Fault(access.KindNotFound, "notAMember", "%q is not a member of %q", m.Name, g.Name)
		}
		if err := tx.RemoveMember(ctx, g.ID, m.ID); err != nil {
			return fmt.Errorf("remove member: %w", err)
		}
		if err := e.regroup(ctx, tx, may, g, false); err != nil {
			return err
		}
		now.Kind = access.MemberRemoved
		return tx.Append(ctx, now)
	})
}

func (e *Engine) membership(ctx context.Context, c Caller, group, member string, do func(tx Tx, may rights, data rbac.Data, g, m access.Principal, now access.Event) error) error {
	a := attempt{action: rbac.PrincipalsWrite, details: map[string]string{"group": group, "member": member}}
	return e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PrincipalsWrite, access.Root)
		if err != nil {
			return err
		}
		g, err := findPrincipal(ctx, tx, c.Tenant, group)
		if err != nil {
			return err
		}
		if g.Kind != access.Group {
			return access.Fault(access.KindInvalid, "notAGroup", "%q is not a group", g.Name)
		}
		m, err := findPrincipal(ctx, tx, c.Tenant, member)
		if err != nil {
			return err
		}
		data, err := tx.Directory(ctx)
		if err != nil {
			return fmt.Errorf("load directory: %w", err)
		}
		return do(tx, may, data, g, m, access.Event{
			At: may.now, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.PrincipalsWrite,
			Details: map[string]string{"group": g.Name, "groupId": string(g.ID), "member": m.Name, "memberId": string(m.ID)},
		})
	})
}

// findAny gives a principal of a tenant by its name or id, or one of any other by its id: whoever was told the id may speak
// of it, and nobody learns the names of another tenant by trying.
func findAny(ctx context.Context, r Reader, tenant access.TenantID, ref string) (access.Principal, error) {
	if uuid.Validate(ref) == nil {
		if p, err := r.Principal(ctx, access.PrincipalID(strings.ToLower(ref))); !isKind(err, access.KindNotFound) {
			return p, err
		}
	}
	return findPrincipal(ctx, r, tenant, ref)
}

// findPrincipal gives a principal of a tenant by its name or id.
func findPrincipal(ctx context.Context, r Reader, tenant access.TenantID, ref string) (access.Principal, error) {
	unknown := access.Fault(access.KindNotFound, "unknownPrincipal", "there is no principal %q", clip(ref))
	find := func() (access.Principal, error) { return r.PrincipalByName(ctx, tenant, ref) }
	if uuid.Validate(ref) == nil { // a name is never one
		find = func() (access.Principal, error) { return r.Principal(ctx, access.PrincipalID(strings.ToLower(ref))) }
	}
	p, err := find()
	switch {
	case isKind(err, access.KindNotFound) || err == nil && p.Tenant != tenant:
		return access.Principal{}, unknown
	case err != nil:
		return access.Principal{}, fmt.Errorf("read principal: %w", err)
	}
	return p, nil
}
