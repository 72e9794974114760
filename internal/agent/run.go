package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// DefaultSkewLimit is how far the host's wall clock may be from the server's before the agent refuses to open.
const DefaultSkewLimit = 60 * time.Second

// Config says how to run an agent. The zero value is good but for Log, which is required.
type Config struct {
	StateDir  string        // DefaultStateDir where empty
	SkewLimit time.Duration // DefaultSkewLimit where 0
	Version   string
	Clock     Clock            // SystemClock where zero
	Enforcer  enforce.Enforcer // what to drive, which Run closes; this host's kernel where nil
	Log       *slog.Logger

	timing timing // defaultTiming where zero
}

// timing is how often things happen.
type timing struct {
	silence     time.Duration // after which a connection counts as lost
	leastReport time.Duration // a report goes out this often at most
	mostReport  time.Duration // and this often at least, as a sign of life
	between     time.Duration // reports of what happens are this far apart, so that many things go out in one
	backOff     time.Duration // the longest pause between attempts to reach the server
	refused     time.Duration // the longest pause once the server said that it does not know us
	deaf        time.Duration // between attempts to hear of refused packets
}

func defaultTiming() timing {
	return timing{
		silence: agentwire.Silence, leastReport: 30 * time.Second, mostReport: 50 * time.Second,
		between: 50 * time.Millisecond, backOff: 30 * time.Second, refused: 5 * time.Minute,
		deaf: time.Minute,
	}
}

func (c Config) complete() (Config, error) {
	if c.StateDir == "" {
		c.StateDir = DefaultStateDir
	}
	if c.SkewLimit == 0 {
		c.SkewLimit = DefaultSkewLimit
	}
	if c.SkewLimit < 0 {
		return c, errors.New("the limit of the clock's skew is negative; give a time such as 60s")
	}
	if c.timing == (timing{}) {
		c.timing = defaultTiming()
	}
	if c.Clock.Boot == nil {
		clock, err := SystemClock()
		if err != nil {
			return c, err
		}
		c.Clock = clock
	}
	return c, nil
}

// agent is a running agent.
type agent struct {
	Config

	id     Identity
	creds  *credentials
	self   string // tells this running program from others that might have its certificate, a copy of its folder say
	clocks clocks
	target *watched
	loop   *enforce.Loop
	out    *outbox
	online chan struct{} // receives when a connection begins to bring desired states

	mu       sync.Mutex          // protects what follows
	asked    access.DesiredState // as the server last asked for; without an agent's id until it did
	ends     ends                // of what was asked for, by the server
	holding  held                // what the loop was given
	skew     time.Duration
	skewed   bool                // too far for opening anything
	problems map[string]string   // what is wrong now, by topic
	codes    []access.SealedCode // as the server last said
	foreign  []access.ForeignRule
	short    map[access.GrantID]string // why some openings of a grant are kept closed while others of it are held
	anew     func()                    // ends the present connection so that another is made; nil while there is none
	trials   map[string]*probation     // those that are held, by their ids
	untold   bool                      // the server does not know yet what was found here
}

// Run is the agent: it puts the last desired state in force before it talks to anyone, then follows the server until
// ctx ends. It returns nil then, and leaves the kernel enforcing what it holds.
func Run(ctx context.Context, c Config) (err error) {
	c, err = c.complete()
	if err != nil {
		return err
	}
	id, err := LoadIdentity(c.StateDir)
	if err != nil {
		return err
	}
	enforcer := c.Enforcer
	if enforcer == nil {
		if enforcer, err = openKernel(c); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, enforcer.Close()) }()
	target := &watched{Enforcer: enforcer, applied: make(chan struct{})}
	a := &agent{
		Config: c, id: id, self: rand.Text(), target: target, out: newOutbox(), online: make(chan struct{}, 1),
		problems: make(map[string]string), short: make(map[access.GrantID]string),
		loop: enforce.New(enforce.Config{Enforcer: target, Now: c.Clock.Boot, Log: c.Log}),
	}
	a.begin(ctx)

	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { a.collect(ctx) })
	tasks.Go(func() { a.watchSuspend(ctx) })
	tasks.Go(func() { a.watchTrials(ctx) })
	tasks.Go(func() { a.keepHearing(ctx) })
	tasks.Go(func() { a.serveGlass(ctx) })
	tasks.Go(func() {
		select {
		case <-ctx.Done():
		case <-target.applied: // nobody is talked to before
			tasks.Go(func() { a.letGo(ctx) })
			a.signal(ctx)
		}
	})
	tasks.Go(func() {
		select {
		case <-ctx.Done():
		case <-target.applied:
			a.talk(ctx)
		}
	})
	err = a.loop.Run(ctx)
	a.leave(context.WithoutCancel(ctx))
	return err
}

// talk does everything that needs the server, until ctx ends. Whatever is wrong with the certificate does not prevent
// the agent from enforcing, and is looked at again until it is put right.
func (a *agent) talk(ctx context.Context) {
	for ctx.Err() == nil {
		creds, err := loadCredentials(a.StateDir, a.id, a.Clock)
		if err == nil {
			a.creds = creds
			break
		}
		a.setProblem(ctx, "certificate", err.Error())
		sleep(ctx, a.timing.backOff)
	}
	if ctx.Err() != nil {
		return
	}
	var tasks sync.WaitGroup
	tasks.Go(func() { a.keepFollowing(ctx) })
	tasks.Go(func() { a.keepReporting(ctx) })
	tasks.Go(func() { a.keepRenewing(ctx) })
	tasks.Go(func() { a.keepLooking(ctx) })
	tasks.Wait()
}

// client makes a client that shows the present certificate, and whose exchanges measure the server's clock.
func (a *agent) client() (*agentwire.Client, error) {
	return agentwire.NewClient(agentwire.Config{
		Server: a.id.Server, TLS: a.creds.tlsConfig(), Instance: a.self, Silence: a.timing.silence,
		Now: a.Clock.Boot, Exchanged: a.clocks.exchanged,
	})
}

// begin gives the loop what the state folder says.
func (a *agent) begin(ctx context.Context) {
	if err := sweep(a.StateDir); err != nil {
		a.Log.WarnContext(ctx, "files of an interrupted write could not be removed", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h, problem := load(a.StateDir, a.id, a.Clock.read())
	a.holding = h
	a.problem(ctx, "saved", problem)
	a.loop.Contact(h.contact)
	a.hold(ctx, h.DesiredState)
	a.Log.InfoContext(ctx, "the last desired state is put in force", "agent", a.id.Agent, "name", a.id.Name, "server",
		a.id.Server,
		"revision", h.Revision, "protected", len(h.Protected), "openings", len(h.Openings))
}

// leave saves once more, so that the last contact is known when the agent starts again.
func (a *agent) leave(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked.Agent == "" {
		return // nothing came since the last start, and a state that could not be read stays there to be looked at
	}
	if err := save(a.StateDir, a.holding, a.Clock.read()); err != nil {
		a.Log.ErrorContext(ctx, "the state could not be saved", "error", err)
	}
}

// collect takes over what the loop reports.
func (a *agent) collect(ctx context.Context) {
	for r := range a.loop.Reports() {
		a.setProblem(ctx, "enforcement", r.Problem)
		a.isInForce(r)
		r.Observations = slices.DeleteFunc(r.Observations,
			func(o access.Observation) bool { return strings.HasPrefix(string(o.Grant), glassPrefix) })
		a.mu.Lock()
		for i, o := range r.Observations {
			r.Observations[i] = a.shortened(o)
		}
		a.mu.Unlock()
		a.out.add(r)
	}
}
