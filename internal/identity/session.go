package identity

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// sessionTime is how long a sign-in lasts.
const sessionTime = 12 * time.Hour

const maxName = 256 // bytes of a sign-in name

// SignInInput is a name, a password and where they come from.
type SignInInput struct {
	Tenant      string // name or id; empty: Name may be name@tenant, and else is of the tenant that runs the server
	Name        string
	Password    string
	NewPassword string // replaces the password; needed with a one-time password
	Address     netip.Addr
	Via         string // cli, api, arm, portal
	Client      string // what the client calls itself
}

// SignedIn is a new session.
type SignedIn struct {
	Token     string // the bearer token; shown here and never again
	ExpiresAt time.Time
	Principal access.Principal
}

// SignIn checks a password and opens a session.
//
// An unknown name, a wrong password, a disabled user and a locked one get the same answer, "wrongCredentials", after
// the same work. A one-time password without a new one is "passwordChangeRequired", a new one that will not do
// "weakPassword", and too many attempts from one address or for one name "tooManyAttempts".
func (i *Identity) SignIn(ctx context.Context, in SignInInput) (SignedIn, error) {
	if err := i.AllowAnonymous(in.Address); err != nil {
		return SignedIn{}, err
	}
	if len(in.Name) > maxName || len(in.Tenant) > maxName || len(in.Password) > maxPassword {
		return SignedIn{}, wrongCredentials()
	}
	account := in.Name
	if in.Tenant != "" {
		account += "@" + in.Tenant
	}
	found, err := i.engine.Directory.Credentials(ctx, in.Tenant, in.Name, in.Address)
	if err != nil && access.KindOf(err) != access.KindNotFound {
		return SignedIn{}, fmt.Errorf("read credentials: %w", err)
	}
	if err := i.allowName(account, in.Address, found.Familiar); err != nil {
		return SignedIn{}, err
	}
	right, stored, err := i.verify(ctx, found, in.Password)
	if err != nil {
		return SignedIn{}, err
	}
	if reason := i.refusal(found, right); reason != "" {
		err := i.engine.Directory.SignInRefused(ctx, directory.SignInRefusal{
			Tenant: in.Tenant, Name: in.Name, Principal: found.Principal.ID, Reason: reason,
			WrongSecret: reason == "wrongPassword", Via: in.Via, Address: in.Address,
		})
		if err != nil {
			return SignedIn{}, fmt.Errorf("record refused sign-in: %w", err)
		}
		return SignedIn{}, wrongCredentials()
	}
	if found.Password.MustChange && in.NewPassword == "" {
		return SignedIn{}, access.Fault(access.KindForbidden, "passwordChangeRequired",
			"this password is good for one sign-in that replaces it: send a new password along")
	}
	hash, err := i.replacement(ctx, in, found, stored)
	if err != nil {
		return SignedIn{}, err
	}
	return i.open(ctx, in, found, hash)
}

// allowName counts an attempt at a name. Where the person signed in before from where it comes, it counts for that
// address alone: strangers who try the name elsewhere do not use their attempts up.
func (i *Identity) allowName(account string, address netip.Addr, familiar bool) error {
	key := strings.ToLower(account)
	if familiar {
		key += " from " + addressKey(address)
	}
	if !i.names.allow(key, i.now()) {
		return access.Fault(access.KindLimited, "tooManyAttempts",
			"too many attempts for this name: wait a minute and try again")
	}
	return nil
}

// verify compares a password with a stored hash; without one it works as long and finds no match. People who signed in
// from there before have a queue of their own.
func (i *Identity) verify(ctx context.Context, found directory.Credentials,
	password string,
) (right bool, stored phc, err error) {
	hash, queue := found.Password.Hash, i.hashing
	if found.Familiar {
		queue = i.familiar
	}
	stored = i.nobody
	if hash != "" {
		if stored, err = parsePHC(hash); err != nil {
			return false, phc{}, fmt.Errorf("read stored password: %w", err)
		}
	}
	err = queue.turn(ctx, func() { right = stored.matches(password) })
	return right && hash != "", stored, err
}

// refusal gives why a sign-in is refused, for the activity log alone; empty if it is not.
func (i *Identity) refusal(found directory.Credentials, right bool) string {
	switch {
	case found.Principal.ID == "":
		return "unknownName"
	case found.Principal.Kind != access.User || found.Password.Hash == "":
		return "noPassword"
	case i.now().Before(found.LockedTill):
		return "locked"
	case !right:
		return "wrongPassword"
	case found.Principal.Disabled:
		return "disabled"
	}
	return ""
}

// replacement gives the hash that replaces the stored one: of a new password, or of the same at the present cost.
func (i *Identity) replacement(ctx context.Context, in SignInInput, found directory.Credentials,
	stored phc,
) (string, error) {
	password := in.Password
	if in.NewPassword != "" {
		if err := CheckPassword(in.NewPassword, in.Password, found.Principal.Name, found.Principal.DisplayName,
			found.Principal.Email); err != nil {
			return "", err
		}
		password = in.NewPassword
	} else if stored.current() {
		return "", nil
	}
	var hash string
	var err error
	if turnErr := i.hashing.turn(ctx, func() { hash, err = HashPassword(password) }); turnErr != nil {
		return "", turnErr
	}
	return hash, err
}

func (i *Identity) open(ctx context.Context, in SignInInput, found directory.Credentials,
	hash string,
) (SignedIn, error) {
	token := newToken()
	now := i.now().UTC().Truncate(time.Microsecond)
	session := engine.Session{
		Hash: hashToken(token), Principal: found.Principal.ID, CreatedAt: now, ExpiresAt: now.Add(sessionTime),
		Address: in.Address.String(), Client: clip(in.Client),
	}
	err := i.engine.Directory.SignIn(ctx, directory.SignInInput{
		Session: session, Via: in.Via, Address: in.Address, PasswordHash: hash,
		Rehashed: hash != "" && in.NewPassword == "", Checked: found.Password.Hash,
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("open session: %w", err)
	}
	return SignedIn{Token: token, ExpiresAt: session.ExpiresAt, Principal: found.Principal}, nil
}

// Authenticate finds the caller behind the token of a session or an API token, and counts the call, which is a use of
// the session; address and via go into the events that the caller causes. It fails with access.KindUnauthenticated, or
// access.KindLimited.
func (i *Identity) Authenticate(ctx context.Context, token string, address netip.Addr,
	via string,
) (engine.Caller, error) {
	c, err := i.Recognize(ctx, token, address, via)
	if err != nil {
		return c, err
	}
	return c, i.engine.Directory.UseSession(ctx, c)
}

// Recognize is Authenticate for what goes on without the person, such as a page that keeps itself up to date: it does
// not keep the session from ending for want of use.
func (i *Identity) Recognize(ctx context.Context, token string, address netip.Addr, via string) (engine.Caller, error) {
	err := checkToken(token)
	var c engine.Caller
	switch {
	case err != nil:
	case strings.HasPrefix(token, directory.APITokenPrefix):
		c, err = i.engine.Directory.APITokenCaller(ctx, hashToken(token))
	default:
		c, _, err = i.engine.Directory.Session(ctx, hashToken(token))
	}
	if access.KindOf(err) == access.KindUnauthenticated {
		if limited := i.AllowAnonymous(address); limited != nil {
			return engine.Caller{}, limited
		}
		if access.CodeOf(err) == "tokenEnded" {
			if failed := i.recordEnded(ctx, address, via); failed != nil {
				return engine.Caller{}, failed
			}
		}
	}
	if err != nil {
		return engine.Caller{}, err
	}
	c.Address, c.Via = address, via
	return c, i.allowKnown(c, hashToken(token))
}

// recordEnded puts on record that somebody came with an API token that is not good any more, or never was: it may have
// leaked. A program that does not give up tries for days, so this is bounded for each address.
func (i *Identity) recordEnded(ctx context.Context, address netip.Addr, via string) error {
	if !i.refusals.allow("API tokens from "+addressKey(address), i.now()) {
		return nil
	}
	refusal := directory.SignInRefusal{Name: "API token", Reason: "tokenEnded", Via: via, Address: address}
	if err := i.engine.Directory.SignInRefused(ctx, refusal); err != nil {
		return fmt.Errorf("record refused API token: %w", err)
	}
	return nil
}

// SignOut ends the caller's session.
func (i *Identity) SignOut(ctx context.Context, c engine.Caller) error {
	return i.engine.Directory.SignOut(ctx, c)
}

// EndHeld ends the session whose token a browser had until somebody signed in there anew, or out. Whoever put it there
// beforehand would else keep a way in. A token that is none, or no more, is no error. The call is not counted: whoever
// calls all the time with a copy of the token would keep it alive.
func (i *Identity) EndHeld(ctx context.Context, token string, address netip.Addr, via string) error {
	if token == "" || strings.HasPrefix(token, directory.APITokenPrefix) {
		return nil
	}
	c, _, err := i.engine.Directory.Session(ctx, hashToken(token))
	if err == nil {
		c.Address, c.Via = address, via
		err = i.SignOut(ctx, c)
	}
	if access.KindOf(err) == access.KindUnauthenticated {
		return nil
	}
	return err
}

func wrongCredentials() error {
	return access.Fault(access.KindUnauthenticated, "wrongCredentials",
		"the name or the password is wrong, or there were too many wrong attempts: check both, or wait a few minutes")
}

func clip(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
