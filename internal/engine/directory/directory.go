package directory

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
	"github.com/postern-dev/postern/internal/engine"
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
func (e *Service) Self(ctx context.Context, c engine.Caller) (p access.Principal, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		p, err = r.Principal(ctx, c.Principal)
		return err
	})
	return p, err
}

// MayCreatePrincipal is Check for CreatePrincipal.
func (e *Service) MayCreatePrincipal(ctx context.Context, c engine.Caller) error {
	return e.Check(ctx, c, rbac.PrincipalsWrite, access.Root)
}

// CreatePrincipal adds a user, a group or a service principal to the caller's tenant.
func (e *Service) CreatePrincipal(ctx context.Context, c engine.Caller,
	in PrincipalInput,
) (p access.Principal, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"name": in.Name}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
				return err
			}
			if err := in.check(); err != nil {
				return err
			}
			_, err = tx.PrincipalByName(ctx, c.Tenant, in.Name)
			switch {
			case err == nil:
				return access.Fault(access.KindConflict, "principalExists",
					"there is a principal %q already: choose another name", engine.Clip(in.Name))
			case !engine.IsKind(err, access.KindNotFound):
				return fmt.Errorf("read principal: %w", err)
			}
			p = access.Principal{
				ID: access.PrincipalID(engine.NewID()), Tenant: c.Tenant, Kind: in.Kind, Name: in.Name,
				DisplayName: in.DisplayName, Email: in.Email,
				CreatedAt: may.Now, Revision: 1,
			}
			if err := tx.SavePrincipal(ctx, p, 0); err != nil {
				return fmt.Errorf("save principal: %w", err)
			}
			if in.PasswordHash != "" {
				if err := tx.SavePassword(ctx,
					engine.Password{
						Principal: p.ID, Hash: in.PasswordHash, MustChange: in.MustChange,
						ChangedAt: may.Now,
					}); err != nil {
					return fmt.Errorf("save password: %w", err)
				}
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.PrincipalCreated, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant:  c.Tenant,
				Action:  rbac.PrincipalsWrite,
				Details: map[string]string{"principal": string(p.ID), "name": p.Name, "kind": string(p.Kind)},
			})
		})
	return p, err
}

func (in PrincipalInput) check() error {
	switch in.Kind {
	case access.User, access.Group, access.ServicePrincipal:
	default:
		return access.Fault(access.KindInvalid, "unknownKind", "the kind is %q; use user, group or servicePrincipal",
			engine.Clip(string(in.Kind)))
	}
	if in.Kind != access.User && in.PasswordHash != "" {
		return access.Fault(access.KindInvalid, "passwordNotAllowed", "only a user has a password: leave it out")
	}
	if strings.TrimSpace(in.Name) != in.Name || in.Name == "" || len(
		in.Name) > maxPrincipalName || !PlainText(
		in.Name) || strings.HasPrefix(in.Name, "/") || uuid.Validate(in.Name) == nil {
		return access.Fault(access.KindInvalid, "malformedName",
			"the name %q is not valid: use 1 to %d bytes without control characters, not a GUID",
			engine.Clip(in.Name), maxPrincipalName)
	}
	if why := engine.Deceptive(in.Name); why != "" {
		return access.Fault(access.KindInvalid, "malformedName", "the name %q is not valid: %s",
			engine.Clip(in.Name), why)
	}
	return checkTexts(in.DisplayName, in.Email)
}

func checkTexts(displayName, email string) error {
	if len(displayName) > maxPrincipalName || !PlainText(displayName) || engine.Hidden(displayName) {
		return access.Fault(access.KindInvalid, "malformedDisplayName",
			"the display name is too long, or has invisible characters or characters that change the direction of text")
	}
	if email != "" && (len(email) > maxPrincipalName || !PlainText(
		email) || strings.ContainsAny(email, " <>,;") || !strings.Contains(email, "@")) {
		return access.Fault(access.KindInvalid, "malformedEmail", "%q is not the address of a mailbox",
			engine.Clip(email))
	}
	return nil
}

// PlainText reports whether a text is UTF-8 without control characters.
func PlainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Principal gives one principal by its name or id.
func (e *Service) Principal(ctx context.Context, c engine.Caller, ref string) (p access.Principal, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsRead, Details: map[string]string{"principal": ref}},
		func(r engine.Reader, may engine.Rights) error {
			if err := readPrincipal(may, ref); err != nil {
				return err
			}
			p, err = FindPrincipal(ctx, r, c.Tenant, ref)
			return err
		})
	return p, err
}

// maxByID is how many principals are asked for at once.
const maxByID = 1000

// PrincipalsByID gives those of the caller's tenant that have these ids and that the caller may see, in the order of
// the ids; whom they may not see is left out, as is who is not there. Anybody may see themselves, and whoever holds a
// role by an assignment that they may read.
func (e *Service) PrincipalsByID(ctx context.Context, c engine.Caller,
	ids []string,
) (list []access.Principal, err error) {
	if len(ids) > maxByID {
		return nil, access.Fault(access.KindInvalid, "tooManyIds", "%d principals are asked for; %d are allowed",
			len(ids), maxByID)
	}
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PrincipalsRead},
		func(r engine.Reader, may engine.Rights) error {
			all := may.May(rbac.PrincipalsRead, access.Root)
			scopes := may.Scopes(rbac.RoleAssignmentsRead)
			named := func(id string) bool {
				assigned := may.Dir.Assigned(access.PrincipalID(strings.ToLower(id)))
				return slices.ContainsFunc(assigned,
					func(at access.ResourceID) bool { return rbac.Reaches(scopes, at) })
			}
			for _, id := range ids {
				if uuid.Validate(id) != nil || !all && !IsSelf(may, id) && !named(id) {
					continue
				}
				p, err := FindPrincipal(ctx, r, c.Tenant, id)
				switch {
				case engine.IsKind(err, access.KindNotFound):
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

// IsSelf tells whether ref is the caller's own id or name; anybody may see themselves. The name is theirs where
// FindPrincipal finds them by it.
func IsSelf(r engine.Rights, ref string) bool {
	return strings.EqualFold(ref, string(r.Caller.Principal)) || nameKey(ref) == nameKey(r.Caller.Name)
}

// nameKey gives what is the same of two names of principals that are one, as the store finds them. strings.EqualFold
// takes more for one, such as an s and a long ſ.
func nameKey(name string) string { return strings.ToLower(name) }

// readPrincipal refuses what is about somebody else, unless the caller may read the principals of the whole tenant.
func readPrincipal(r engine.Rights, ref string) error {
	if IsSelf(r, ref) {
		return nil
	}
	return r.Require(rbac.PrincipalsRead, access.Root)
}

// Principals lists the principals of the caller's tenant by name. f.Group and f.Member are names or ids.
func (e *Service) Principals(ctx context.Context, c engine.Caller, f engine.PrincipalFilter,
	p engine.Page,
) (list engine.Listed[access.Principal], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PrincipalsRead},
		func(r engine.Reader, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsRead, access.Root); err != nil {
				return err
			}
			page, err := engine.CheckPage(p)
			if err != nil {
				return err
			}
			f.Tenant = c.Tenant
			for _, ref := range []*access.PrincipalID{&f.Group, &f.Member} {
				if *ref == "" {
					continue
				}
				named, err := FindPrincipal(ctx, r, c.Tenant, string(*ref))
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
func (e *Service) ChangePrincipal(ctx context.Context, c engine.Caller, ref string,
	change PrincipalChange,
) (p access.Principal, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
				return err
			}
			was, err := FindPrincipal(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			p = was
			details := map[string]string{"principal": string(p.ID), "name": p.Name}
			if change.DisplayName != nil {
				p.DisplayName = *change.DisplayName
				details["displayName"] = engine.Clip(p.DisplayName)
			}
			if change.Email != nil {
				p.Email = *change.Email
				details["email"] = engine.Clip(p.Email)
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
				return access.Fault(access.KindConflict, "ownPrincipal",
					"you cannot disable yourself: ask somebody else to")
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
			w := e.kernel.NewWork(tx, may.Now)
			if was.Email != "" && p.Email != was.Email { // where they are told of what is done next
				detail := fmt.Sprintf("%s changed it%s. Mail about your account goes to the new address from now "+
					"on. If that is not right, tell another administrator.",
					c.Name, from(c.Actor()))
				if err := tellOwnerAt(ctx, w, was.Email, p, "Your e-mail address was changed", detail,
					c.Actor()); err != nil {
					return err
				}
			}
			if p.Disabled {
				set, err := e.credentialsOf(ctx, tx, p)
				if err != nil {
					return err
				}
				set.Passkeys, set.Secrets = nil, nil // like the password they let in whoever is enabled again
				if err := endCredentials(ctx, w, set, c.Actor()); err != nil {
					return err
				}
				// whoever may disable somebody may end that
				if _, err := w.RevokeHeldBy(ctx, p.ID, may, "its holder was disabled"); err != nil {
					return err
				}
				if err := w.Finish(ctx); err != nil {
					return err
				}
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.PrincipalChanged, Outcome: access.Succeeded, Actor: c.Actor(),
				Tenant: c.Tenant,
				Action: rbac.PrincipalsWrite, Details: details,
			})
		})
	return p, err
}

// AddMember puts member into group, both by name or id. One who is a member stays one.
func (e *Service) AddMember(ctx context.Context, c engine.Caller, group, member string) error {
	return e.membership(ctx, c, group, member,
		func(tx engine.Tx, _ engine.Rights, data rbac.Data, g, m access.Principal, now access.Event) error {
			if slices.Contains(data.Memberships, rbac.Membership{Group: g.ID, Member: m.ID}) {
				return nil
			}
			loop, err := membershipPath(ctx, tx, data, g, m)
			if err != nil {
				return err
			}
			if loop != "" {
				return access.Fault(access.KindInvalid, "membershipLoop",
					"group %q is a member of %q already, so it cannot contain it: %s", g.Name, m.Name, loop)
			}
			if err := tx.AddMember(ctx, g.ID, m.ID, c.Principal, now.At); err != nil {
				return fmt.Errorf("add member: %w", err)
			}
			now.Kind = access.MemberAdded
			return tx.Append(ctx, now)
		})
}

// RemoveMember takes member out of group, both by name or id.
func (e *Service) RemoveMember(ctx context.Context, c engine.Caller, group, member string) error {
	return e.membership(ctx, c, group, member,
		func(tx engine.Tx, may engine.Rights, data rbac.Data, g, m access.Principal, now access.Event) error {
			return e.removeMember(ctx, tx, may, data, g, m, now)
		})
}

// Leave is RemoveMember within a transaction of another use case, by the ids.
func (e *Service) Leave(ctx context.Context, tx engine.Tx, may engine.Rights, group, member access.PrincipalID) error {
	return inMembership(ctx, tx, may, string(group), string(member),
		func(tx engine.Tx, may engine.Rights, data rbac.Data, g, m access.Principal, now access.Event) error {
			return e.removeMember(ctx, tx, may, data, g, m, now)
		})
}

func (e *Service) removeMember(ctx context.Context, tx engine.Tx, may engine.Rights, data rbac.Data,
	g, m access.Principal, now access.Event,
) error {
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
}

// grouping is what is done to one membership; now is the event of it, without its kind.
type grouping func(tx engine.Tx, may engine.Rights, data rbac.Data, g, m access.Principal, now access.Event) error

func (e *Service) membership(ctx context.Context, c engine.Caller, group, member string, do grouping) error {
	a := engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"group": group, "member": member}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		return inMembership(ctx, tx, may, group, member, do)
	})
}

// inMembership authorizes a change of who is in a group, and finds both.
func inMembership(ctx context.Context, tx engine.Tx, may engine.Rights, group, member string, do grouping) error {
	if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
		return err
	}
	c := may.Caller
	g, err := FindPrincipal(ctx, tx, c.Tenant, group)
	if err != nil {
		return err
	}
	if g.Kind != access.Group {
		return access.Fault(access.KindInvalid, "notAGroup", "%q is not a group", g.Name)
	}
	m, err := FindPrincipal(ctx, tx, c.Tenant, member)
	if err != nil {
		return err
	}
	data, err := tx.Directory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	return do(tx, may, data, g, m, access.Event{
		At: may.Now, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Action: rbac.PrincipalsWrite,
		Details: map[string]string{
			"group": g.Name, "groupId": string(g.ID), "member": m.Name,
			"memberId": string(m.ID),
		},
	})
}

// FindAny gives a principal of a tenant by its name or id, or one of any other by its id: whoever was told the id may
// speak of it, and nobody learns the names of another tenant by trying.
func FindAny(ctx context.Context, r engine.Reader, tenant access.TenantID, ref string) (access.Principal, error) {
	if uuid.Validate(ref) == nil {
		if p, err := r.Principal(ctx,
			access.PrincipalID(strings.ToLower(ref))); !engine.IsKind(err, access.KindNotFound) {
			return p, err
		}
	}
	return FindPrincipal(ctx, r, tenant, ref)
}

// FindPrincipal gives a principal of a tenant by its name or id.
func FindPrincipal(ctx context.Context, r engine.Reader, tenant access.TenantID, ref string) (access.Principal, error) {
	unknown := access.Fault(access.KindNotFound, "unknownPrincipal", "there is no principal %q", engine.Clip(ref))
	find := func() (access.Principal, error) { return r.PrincipalByName(ctx, tenant, ref) }
	if uuid.Validate(ref) == nil { // a name is never one
		find = func() (access.Principal, error) { return r.Principal(ctx, access.PrincipalID(strings.ToLower(ref))) }
	}
	p, err := find()
	switch {
	case engine.IsKind(err, access.KindNotFound) || err == nil && p.Tenant != tenant:
		return access.Principal{}, unknown
	case err != nil:
		return access.Principal{}, fmt.Errorf("read principal: %w", err)
	}
	return p, nil
}
