package identity

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/engine/services"
)

// Config is what an Identity is made of. Engine, CA, Names, Now and Log are required.
type Config struct {
	Engine *services.Services
	CA     *CA
	Names  Names // under which the server is known
	Now    func() time.Time
	Log    *slog.Logger

	// TrustedProxies are the addresses whose X-Forwarded-For is believed; none by default.
	TrustedProxies []netip.Prefix

	// OIDC are the identity providers that people may sign in with, at most one for each tenant.
	OIDC []OIDCConfig

	// PublicURL is where people reach the server, which passkeys are for; empty: the host that the browser calls.
	PublicURL string

	// Hashing is how many passwords are hashed at once, each with 19 MiB of memory; 0 means 2.
	Hashing int

	// Anonymous limits unauthenticated calls for each address, and Known calls with each credential; zero means the
	// default.
	Anonymous Rate
	Known     Rate

	// Agents limits what the calls of each agent from one place may cost; zero means the default.
	Agents Rate

	// Proven is told of each call of an agent whose certificate counts: of its context, and of the fingerprint of the
	// agent's key. It may be nil.
	Proven func(ctx context.Context, key string)
}

// Rate is how often something may happen: Burst at once, then PerSecond.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Identity finds out who is calling. It is safe for concurrent use.
type Identity struct {
	engine    *services.Services
	ca        *CA
	own       Names // under which the server is known
	now       func() time.Time
	log       *slog.Logger
	proxies   []netip.Prefix
	proven    func(ctx context.Context, key string)
	hashing   *hashing
	familiar  *hashing // of people who signed in before from where they call
	anonymous *limiter // by address
	sites     *limiter // unauthenticated calls by site, where one has many addresses
	names     *limiter // sign-ins by name, whether there is such a name or not
	polls     *limiter // questions after a device's code, by code: anybody may make up as many as they like
	known     *limiter // by credential: a session, an API token, a client's secret
	people    *limiter // by principal, who may have several
	agents    *limiter // by agent and place; see AgentCost
	told      *limiter // words in the log about agents that call too often, by agent
	refusals  *limiter // records of refused certificates, by certificate, and of dead API tokens, by address
	nobody    phc
	tokens    *tokenKeys // of access tokens
	publicURL string
	oidc      []*oidcLogin
}

// New makes an Identity.
func New(c Config) (*Identity, error) {
	if c.Engine == nil || c.CA == nil || c.Names.public == "" || c.Now == nil || c.Log == nil {
		return nil, errors.New("identity needs an engine, a CA, the server's names, a clock and a log")
	}
	oidc, err := newOIDC(c.OIDC)
	if err != nil {
		return nil, err
	}
	known := cmp.Or(c.Known, Rate{PerSecond: 200, Burst: 400})
	return &Identity{
		oidc: oidc, publicURL: c.PublicURL, engine: c.Engine, ca: c.CA, own: c.Names, now: c.Now, log: c.Log,
		proxies: c.TrustedProxies, proven: c.Proven,
		hashing:   newHashing(c.Hashing),
		familiar:  newHashing(1),
		anonymous: newLimiter(c.Anonymous, Rate{PerSecond: 2, Burst: 20}),
		sites: newLimiter(c.Anonymous.times(sitePerAddress),
			Rate{PerSecond: 2 * sitePerAddress, Burst: 20 * sitePerAddress}),
		names:    newLimiter(c.Anonymous, Rate{PerSecond: 0.5, Burst: 20}),
		polls:    newLimiter(c.Anonymous, Rate{PerSecond: 0.5, Burst: 20}),
		known:    newLimiter(known, Rate{}),
		people:   newLimiter(known.times(credentialsOfPrincipal), Rate{}),
		agents:   newLimiter(c.Agents, Rate{PerSecond: 50, Burst: 500}),
		told:     newLimiter(Rate{PerSecond: 1.0 / 600, Burst: 1}, Rate{}),
		refusals: newLimiter(Rate{PerSecond: 1.0 / 600, Burst: 3}, Rate{}),
		nobody:   nobody(),
		tokens:   &tokenKeys{engine: c.Engine.Directory, now: c.Now},
	}, nil
}

// CA gives the certificate authority.
func (i *Identity) CA() *CA { return i.ca }
