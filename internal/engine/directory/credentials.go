package directory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// CredentialKind is a sort of credential.
type CredentialKind string

// The kinds of credential that end one by one. A password is replaced, and a provider's word is the provider's.
const (
	CredentialSession  CredentialKind = "session"
	CredentialAPIToken CredentialKind = "token"
	CredentialPasskey  CredentialKind = "passkey"
	CredentialSecret   CredentialKind = "secret" // or certificate of a service principal
)

// CredentialKinds gives them, in a new slice.
func CredentialKinds() []CredentialKind {
	return []CredentialKind{CredentialSession, CredentialAPIToken, CredentialPasskey, CredentialSecret}
}

// CredentialSet is everything that lets somebody in as one principal.
type CredentialSet struct {
	Principal access.Principal
	Password  engine.Password // its zero value where there is none; the hash is left out
	Sessions  []engine.Session
	Tokens    []engine.APIToken
	Passkeys  []engine.Passkey
	Secrets   []engine.Secret
	Providers []engine.ExternalIdentity
	Places    []engine.SignInPlace // where they signed in from
}

// CredentialsOf gives every credential of a principal that has not ended: of the caller themselves, or of one in their
// tenant.
func (e *Service) CredentialsOf(ctx context.Context, c engine.Caller, ref string) (set CredentialSet, err error) {
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
			set, err = e.credentialsOf(ctx, r, p)
			return err
		})
	return set, err
}

func (e *Service) credentialsOf(ctx context.Context, r engine.Reader,
	p access.Principal,
) (set CredentialSet, err error) {
	set.Principal = p
	if set.Password, err = r.Password(ctx, p.ID); err != nil && !engine.IsKind(err, access.KindNotFound) {
		return set, fmt.Errorf("read password: %w", err)
	}
	set.Password.Hash = ""
	if set.Sessions, err = r.Sessions(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read sessions: %w", err)
	}
	set.Sessions = slices.DeleteFunc(set.Sessions, e.over)
	if set.Tokens, err = r.APITokens(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read API tokens: %w", err)
	}
	now := e.kernel.Now()
	set.Tokens = slices.DeleteFunc(set.Tokens, func(t engine.APIToken) bool { return !now.Before(t.ExpiresAt) })
	if set.Passkeys, err = r.Passkeys(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read passkeys: %w", err)
	}
	if set.Secrets, err = r.Secrets(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read secrets: %w", err)
	}
	if set.Providers, err = r.ExternalIdentities(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read external identities: %w", err)
	}
	if set.Places, err = r.SignInPlaces(ctx, p.ID); err != nil {
		return set, fmt.Errorf("read places: %w", err)
	}
	return set, nil
}

// EndCredential ends one credential of the caller, or of a principal in their tenant, by its id.
func (e *Service) EndCredential(ctx context.Context, c engine.Caller, ref, id string) error {
	return e.endCredentials(ctx, c, ref, id, func(_ CredentialKind, one string) bool { return one == id })
}

// EndCredentials ends every credential of those kinds, and of all kinds where none is given. Of the caller's own, the
// session that calls stays: DELETE of it is signing out.
func (e *Service) EndCredentials(ctx context.Context, c engine.Caller, ref string, kinds []CredentialKind) error {
	for _, kind := range kinds {
		if !slices.Contains(CredentialKinds(), kind) {
			return access.Fault(access.KindInvalid, "unknownKind",
				"a credential is a session, token, passkey or secret, not %q", engine.Clip(string(kind)))
		}
	}
	own := (engine.Session{Hash: c.Session}).PublicID()
	return e.endCredentials(ctx, c, ref, "", func(kind CredentialKind, one string) bool {
		return (len(kinds) == 0 || slices.Contains(kinds,
			kind)) && (c.Session == "" || kind != CredentialSession || one != own)
	})
}

// endCredentials ends those that wanted picks. id is the one that must be among them; empty where none need be.
func (e *Service) endCredentials(ctx context.Context, c engine.Caller, ref, id string,
	wanted func(CredentialKind, string) bool,
) error {
	a := engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref, "credential": id}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		var err error
		self := IsSelf(may, ref)
		if self {
			err = SignedInOnly(c)
		} else {
			err = may.Require(rbac.PrincipalsWrite, access.Root)
		}
		if err != nil {
			return err
		}
		p, err := FindPrincipal(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		set, err := e.credentialsOf(ctx, tx, p)
		if err != nil {
			return err
		}
		ended := set.only(wanted)
		switch {
		case id != "" && ended.count() == 0:
			return access.Fault(access.KindNotFound, "unknownCredential",
				"%s has no credential %q: look at the list of them", p.Name, engine.Clip(id))
		case self && len(ended.Passkeys) > 0 && !c.SteppedUp(may.Now):
			return engine.StepUpRequired("ending your passkeys")
		}
		w := e.kernel.NewWork(tx, may.Now)
		if err := endThese(ctx, w, ended, c.Actor()); err != nil {
			return err
		}
		if id == "" && wanted(CredentialSession, "") {
			if err := endSessions(ctx, w, p.ID, c); err != nil {
				return err
			}
		}
		if !self && ended.count() > 0 {
			if err := tellOwner(ctx, w, p, "Your sign-ins were ended",
				fmt.Sprintf("%s ended what lets people in as %s: %s.", c.Name, p.Name, ended.inWords()),
				c.Actor()); err != nil {
				return err
			}
		}
		return w.Finish(ctx)
	})
}

// only gives those of the set that wanted picks.
func (s CredentialSet) only(wanted func(CredentialKind, string) bool) CredentialSet {
	s.Sessions = keep(s.Sessions, func(x engine.Session) bool { return wanted(CredentialSession, x.PublicID()) })
	s.Tokens = keep(s.Tokens, func(x engine.APIToken) bool { return wanted(CredentialAPIToken, string(x.ID)) })
	s.Passkeys = keep(s.Passkeys, func(x engine.Passkey) bool { return wanted(CredentialPasskey, x.ID) })
	s.Secrets = keep(s.Secrets, func(x engine.Secret) bool { return wanted(CredentialSecret, string(x.ID)) })
	return s
}

func keep[T any](list []T, wanted func(T) bool) (kept []T) {
	for _, x := range list {
		if wanted(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

func (s CredentialSet) count() int {
	return len(s.Sessions) + len(s.Tokens) + len(s.Passkeys) + len(s.Secrets)
}

// inWords counts them: "2 sessions, 1 API token".
func (s CredentialSet) inWords() string {
	var parts []string
	for _, x := range []struct {
		n    int
		noun string
	}{
		{len(s.Sessions), "session"},
		{len(s.Tokens), "API token"},
		{len(s.Passkeys), "passkey"},
		{len(s.Secrets), "secret"},
	} {
		switch {
		case x.n == 1:
			parts = append(parts, "1 "+x.noun)
		case x.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", x.n, x.noun))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// endCredentials ends credentials as endThese does, and of a principal's sessions and API tokens those too that the set
// left out, because there are so many or their time is over.
func endCredentials(ctx context.Context, w *engine.Work, set CredentialSet, by access.Actor) error {
	if err := endThese(ctx, w, set, by); err != nil {
		return err
	}
	if err := w.Tx.DeleteSessionsOf(ctx, set.Principal.ID); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := w.Tx.DeleteAPITokensOf(ctx, set.Principal.ID); err != nil {
		return fmt.Errorf("end API tokens: %w", err)
	}
	return nil
}

// endSessions ends the sessions of a principal but the one that calls, those too that no list has because there are so
// many.
func endSessions(ctx context.Context, w *engine.Work, principal access.PrincipalID, c engine.Caller) error {
	calling, err := w.Tx.Session(ctx, c.Session)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return fmt.Errorf("read session: %w", err)
	}
	stays := err == nil && calling.Principal == principal
	if err := w.Tx.DeleteSessionsOf(ctx, principal); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if !stays {
		return nil
	}
	if err := w.Tx.SaveSession(ctx, calling); err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
	return nil
}

// endThese ends credentials, each with its event; sessions have one together.
func endThese(ctx context.Context, w *engine.Work, set CredentialSet, by access.Actor) error {
	about := func(kind access.EventKind, details map[string]string) {
		if by.ID != set.Principal.ID {
			details["principal"], details["of"] = string(set.Principal.ID), set.Principal.Name
		}
		w.Event(access.Event{
			Kind: kind, Actor: by, Tenant: set.Principal.Tenant, Action: rbac.PrincipalsWrite,
			Details: details,
		})
	}
	for _, s := range set.Sessions {
		if err := w.Tx.DeleteSession(ctx, s.Hash); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	switch n := len(set.Sessions); {
	case n == 1:
		s := set.Sessions[0]
		about(access.SignedOut,
			map[string]string{"session": s.PublicID(), "address": s.Address, "client": engine.Clip(s.Client)})
	case n > 1:
		about(access.SignedOut, map[string]string{"sessions": strconv.Itoa(n)})
	}
	for _, t := range set.Tokens {
		if err := w.Tx.DeleteAPIToken(ctx, t.ID); err != nil {
			return fmt.Errorf("end API token: %w", err)
		}
		about(access.APITokenRevoked, map[string]string{"token": string(t.ID), "name": t.Name})
	}
	for _, k := range set.Passkeys {
		if err := w.Tx.DeletePasskey(ctx, k.ID); err != nil {
			return fmt.Errorf("end passkey: %w", err)
		}
		about(access.PasskeyDeleted, map[string]string{"passkey": engine.Clip(k.ID), "name": k.Name})
	}
	for _, s := range set.Secrets {
		if err := w.Tx.DeleteSecret(ctx, s.ID); err != nil {
			return fmt.Errorf("end secret: %w", err)
		}
		about(access.SecretDeleted, map[string]string{"secret": string(s.ID), "secretName": s.Name})
	}
	return nil
}
