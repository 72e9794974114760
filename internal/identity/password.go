package identity

import (
	"context"
	"crypto/rand"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// What a password must be.
const (
	minPassword = 12   // characters
	maxPassword = 1024 // bytes
)

const (
	defaultHashing = 2
	maxWaiting     = 64 // callers that wait for their turn to hash
	hashingRests   = 3 * time.Second
)

// CheckPassword refuses a password that is too short, too long, old again, common, or made of the names of whoever will
// have it. old may be empty.
func CheckPassword(password, old string, own ...string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return access.Fault(access.KindInvalid, "weakPassword",
			"the new password is too short: use at least %d characters", minPassword)
	case len(password) > maxPassword:
		return access.Fault(access.KindInvalid, "weakPassword", "the new password is too long: use at most %d bytes",
			maxPassword)
	case !utf8.ValidString(password):
		return access.Fault(access.KindInvalid, "weakPassword", "the new password is not valid UTF-8")
	case strings.Trim(password, firstCharacter(password)) == "":
		return access.Fault(access.KindInvalid, "weakPassword",
			"the new password is one character repeated: choose another")
	case password == old:
		return access.Fault(access.KindInvalid, "weakPassword", "the new password is the old one: choose another")
	case common(password):
		return access.Fault(access.KindInvalid, "weakPassword",
			"the new password is one of those that are tried first: choose another, such as four words that do not "+
				"belong together")
	case madeOf(password, own):
		return access.Fault(access.KindInvalid, "weakPassword",
			"the new password is made of your own name or of Postern's: choose another")
	}
	return nil
}

func firstCharacter(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}

// HashPassword makes the PHC string of a password with argon2id. It neither checks the password nor waits for others;
// it is meant for the first start.
func HashPassword(password string) (string, error) {
	p := phc{
		memory: costMemory, passes: costPasses, threads: costThreads, salt: random(saltBytes),
		sum: make([]byte, sumBytes),
	}
	p.sum = p.derive(password)
	return p.String(), nil
}

// nobody is a hash that no password matches, to spend on an unknown name what a known one costs.
func nobody() phc {
	return phc{
		memory: costMemory, passes: costPasses, threads: costThreads, salt: random(saltBytes),
		sum: random(sumBytes),
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// hashing bounds how much memory and time passwords take at once. Each hash takes 19 MiB, which an idle server would
// keep for minutes: it is given back once nobody has signed in for a moment.
type hashing struct {
	turns   chan struct{}
	waiting atomic.Int64
	rest    *time.Timer
}

func newHashing(n int) *hashing {
	if n <= 0 {
		n = defaultHashing
	}
	h := &hashing{turns: make(chan struct{}, n), rest: time.AfterFunc(hashingRests, debug.FreeOSMemory)}
	h.rest.Stop()
	return h
}

// turn waits for a turn and runs fn; it gives up where too many wait already, or with ctx.
func (h *hashing) turn(ctx context.Context, fn func()) error {
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > maxWaiting {
		return access.Fault(access.KindUnavailable, "busy", "too many sign-ins at once: try again in a moment")
	}
	select {
	case h.turns <- struct{}{}:
		defer func() {
			<-h.turns
			h.rest.Reset(hashingRests)
		}()
		fn()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HashPassword checks a new password and makes its PHC string with argon2id. It waits while others do the same. own are
// the names of whoever will have it.
func (i *Identity) HashPassword(ctx context.Context, password string, own ...string) (hash string, err error) {
	if err := CheckPassword(password, "", own...); err != nil {
		return "", err
	}
	return i.hash(ctx, password)
}

func (i *Identity) hash(ctx context.Context, password string) (hash string, err error) {
	if turnErr := i.hashing.turn(ctx, func() { hash, err = HashPassword(password) }); turnErr != nil {
		return "", turnErr
	}
	return hash, err
}

// CreatePrincipal adds a principal. A user without a password gets a one-time one, which it gives back.
func (i *Identity) CreatePrincipal(ctx context.Context, c engine.Caller, in directory.PrincipalInput,
	password string,
) (p access.Principal, oneTime string, err error) {
	if in.Kind == access.User {
		// Ask first: a hash is dear, and only for those who may.
		if err := i.engine.Directory.MayCreatePrincipal(ctx, c); err != nil {
			return access.Principal{}, "", err
		}
		if password == "" {
			oneTime = directory.OneTimePassword()
			password, in.MustChange = oneTime, true
		}
		if in.PasswordHash, err = i.HashPassword(ctx, password, in.Name, in.DisplayName, in.Email); err != nil {
			return access.Principal{}, "", err
		}
	} else if password != "" {
		return access.Principal{}, "", access.Fault(access.KindInvalid, "passwordNotAllowed",
			"only a user has a password: leave it out")
	}
	if p, err = i.engine.Directory.CreatePrincipal(ctx, c, in); err != nil {
		return access.Principal{}, "", err
	}
	return p, oneTime, nil
}

// CreateTenant makes a tenant, whose administrator gets a one-time password, which it gives back.
func (i *Identity) CreateTenant(ctx context.Context, c engine.Caller,
	in directory.TenantInput,
) (d directory.TenantDetail, oneTime string, err error) {
	// Ask first: a hash is dear, and only for those who may.
	if err := i.engine.Directory.MayCreateTenant(ctx, c); err != nil {
		return d, "", err
	}
	oneTime = directory.OneTimePassword()
	if in.PasswordHash, err = i.HashPassword(ctx, oneTime); err != nil {
		return d, "", err
	}
	if d, err = i.engine.Directory.CreateTenant(ctx, c, in); err != nil {
		return d, "", err
	}
	return d, oneTime, nil
}
