package identity

import (
	"cmp"
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// maxLimiters bounds the memory of a limiter: beyond it the key that was not seen for the longest time starts anew.
const maxLimiters = 16384

// limiter counts calls for each key. It is safe for concurrent use.
type limiter struct {
	rate Rate

	mu     sync.Mutex // guards what follows
	recent *list.List // of *counted, the newest first
	byKey  map[string]*list.Element
}

type counted struct {
	key    string
	bucket *rate.Limiter
}

func newLimiter(r, fallback Rate) *limiter {
	if r == (Rate{}) {
		r = fallback
	}
	return &limiter{rate: r, recent: list.New(), byKey: make(map[string]*list.Element)}
}

// allow counts one call of key.
func (l *limiter) allow(key string, now time.Time) bool { return l.allowN(key, now, 1) }

// allowN counts n calls of key at once, all of them or none.
func (l *limiter) allowN(key string, now time.Time, n int) bool {
	_, ok := l.take(key, now, n)
	return ok
}

// take is allowN, and gives what is called where they are not to be counted after all.
func (l *limiter) take(key string, now time.Time, n int) (giveBack func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.byKey[key]
	if ok {
		l.recent.MoveToFront(element)
	} else {
		if l.recent.Len() >= maxLimiters {
			if oldest, ok := l.recent.Remove(l.recent.Back()).(*counted); ok {
				delete(l.byKey, oldest.key)
			}
		}
		element = l.recent.PushFront(&counted{
			key:    key,
			bucket: rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst),
		})
		l.byKey[key] = element
	}
	c, ok := element.Value.(*counted)
	if !ok {
		return nil, false
	}
	taken := c.bucket.ReserveN(now, n)
	giveBack = func() { taken.CancelAt(now) }
	if !taken.OK() || taken.DelayFrom(now) > 0 {
		giveBack()
		return nil, false
	}
	return giveBack, true
}

// addressKey is what an address is counted by: itself, or of IPv6 its /64, since a host has as many as it likes there.
func addressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// siteKey is what an IPv6 address is counted by besides: the /48 that one site has, with 65,536 times the /64 of an
// address. Of IPv4 it is empty.
func siteKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(48); err == nil {
			return p.String()
		}
	}
	return ""
}

// sitePerAddress is how many times more calls a site may make than one of its addresses.
const sitePerAddress = 4

func (r Rate) times(n int) Rate { return Rate{PerSecond: r.PerSecond * float64(n), Burst: r.Burst * n} }

// AllowAnonymous counts one unauthenticated call from an address: access.KindLimited when there were too many. SignIn,
// Enroll and failures of Authenticate and AgentFromCertificate count themselves.
func (i *Identity) AllowAnonymous(address netip.Addr) error {
	_, err := i.AllowGuess(address)
	return err
}

// AllowGuess is AllowAnonymous for a call that names what could be guessed, such as a short code or a tenant: count it
// before anything is looked up, and call right where it was named rightly, which then costs nothing. Counting the wrong
// ones alone would bound nothing, since whoever has spent all goes on, and knows what is right by not being refused.
func (i *Identity) AllowGuess(address netip.Addr) (right func(), err error) {
	now := i.now()
	right, allowed := i.anonymous.take(addressKey(address), now, 1)
	if site := siteKey(address); allowed && site != "" {
		own := right
		var ofSite func()
		if ofSite, allowed = i.sites.take(site, now, 1); allowed {
			right = func() { own(); ofSite() }
		}
	}
	if !allowed {
		return nil, access.Fault(access.KindLimited, "tooManyAttempts",
			"too many attempts from this address: wait a little and try again")
	}
	return right, nil
}

// credentialsOfPrincipal is how many times more calls than one credential is good for a principal may make with all
// that they have. Whoever stole one of them cannot keep its owner from signing in anew and ending it.
const credentialsOfPrincipal = 4

// allowKnown counts one call of a principal with a credential: access.KindLimited when there were too many.
func (i *Identity) allowKnown(c engine.Caller, credential string) error {
	now := i.now()
	if !i.known.allow(credential, now) || !i.people.allow(string(c.Principal), now) {
		return access.Fault(access.KindLimited, "tooManyCalls", "too many calls at once: wait a little and try again")
	}
	return nil
}

// AgentCost is what a call of an agent costs, of what it may spend. Where the bounds lie, a gateway of a thousand
// machines that are opened and closed all day does not come near: an agent sends one report at a time, 20 a second at
// most, and whatever happens meanwhile goes out with the next one.
type AgentCost int

// What calls cost. A stream derives a whole desired state and may take over from another; what is sent has to be read
// and looked up.
const (
	costOfCall   AgentCost = 1
	CostOfStream AgentCost = 10
	bytesOfCost            = 64 << 10
)

// CostOfBody is what a call with a body of so many bytes costs; of one that does not say how long it is, longest
// counts.
func CostOfBody(length, longest int64) AgentCost {
	if length < 0 || length > longest {
		length = longest
	}
	return costOfCall + AgentCost(length/bytesOfCost)
}

// allowAgent counts a call of an agent, which is known by its key and its place, so that nobody spends for it with a
// certificate that does not count any more, nor with a copy of it elsewhere: access.KindLimited when it has called too
// often, which the log says now and then.
func (i *Identity) allowAgent(id access.AgentID, key string, address netip.Addr, cost AgentCost) error {
	now := i.now()
	if i.agents.allowN(key+" "+cmp.Or(siteKey(address), addressKey(address)), now, int(cost)) {
		return nil
	}
	if i.told.allow(key, now) {
		i.log.Warn("an agent calls too often; it is told to wait", "agent", id)
	}
	return access.Fault(access.KindLimited, "tooManyCalls",
		"this agent calls too often: wait and then send what there is in one report")
}
