package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/httpapi"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/notify"
	"github.com/postern-dev/postern/internal/store"
)

// Bounds on what a connection may do.
const (
	headerTimeout = 10 * time.Second // also for the TLS handshake
	idleTimeout   = 60 * time.Second
	maxHeader     = 32 << 10
	drainTime     = 10 * time.Second // for calls that are under way when the server stops
	restartAfter  = time.Second      // before the reconciler is tried again
)

// Run runs a server until ctx ends, then drains: it takes no new calls, ends streams and long polls, finishes what is
// under way in at most 10 seconds, and closes the store. It fails at once where the configuration cannot be used.
func Run(ctx context.Context, c Config) error {
	s, err := open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(s.serve(ctx), s.close())
}

// server is everything that one Run holds.
type server struct {
	config      Config
	log         *slog.Logger
	now         func() time.Time
	folder      *folder
	sealKey     sealKey
	store       *store.DB
	engine      *services.Services
	identity    *identity.Identity
	certificate *certificate
	api         *httpapi.API
	azure       azure
	notify      notifier
	metrics     *metrics
	paces       paces
	reconciling atomic.Bool
	homeTenant  atomic.Pointer[access.TenantID] // once it was asked for

	listener, figures net.Listener // figures is nil without metrics
	adminPassword     string
}

func open(ctx context.Context, c Config) (s *server, err error) {
	s = &server{config: c, now: c.Now, paces: usualPaces()}
	if s.config.Out == nil {
		s.config.Out = os.Stdout
	}
	if s.config.Log == nil {
		s.config.Log = os.Stderr
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.log = newLog(s.config.Log, c.LogFormat, c.LogLevel)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.folder, err = openFolder(c.Data); err != nil {
		return s, err
	}
	if s.sealKey, err = s.folder.sealKey(); err != nil {
		return s, err
	}
	if err := s.openStore(ctx); err != nil {
		return s, err
	}
	s.metrics = newMetrics(s.streams, s.reconciler)
	s.metrics.notifyMetrics(s.backlog)
	s.metrics.anchorMetrics()
	if err := s.openNotifier(); err != nil {
		return s, err
	}
	if s.engine, err = services.New(services.Config{
		Store: timedStore{Store: s.store, metrics: s.metrics, now: s.now}, Now: s.now, Log: s.log,
		SealKey:    s.sealKey.bytes,
		SealSecret: s.notify.vault.Seal, TestChannel: s.testChannel, Tickets: s.tickets(),
		Quotas: s.config.Quotas, Anchors: s.anchors(), AnchorEvery: s.config.AnchorEvery, Signed: s.memory(signedName),
		SessionIdle: s.config.SessionIdle,
	}); err != nil {
		return s, err
	}
	if err := s.openDispatcher(); err != nil {
		return s, err
	}
	if err := s.listen(ctx); err != nil {
		return s, err
	}
	if err := s.openFaces(); err != nil { //nolint:contextcheck // handlers have the context of their call
		return s, err
	}
	// Last of all: the first password is shown once, so a configuration that cannot be used must not use it up.
	if s.adminPassword, err = s.engine.Directory.Bootstrap(ctx, identity.HashPassword); err != nil {
		return s, s.sealKey.explain(fmt.Errorf("prepare the database: %w", err))
	}
	if s.adminPassword != "" {
		debug.FreeOSMemory() // hashing the password took 19 MiB, which an idle server would keep for long
	}
	return s, nil
}

func (s *server) openStore(ctx context.Context) (err error) {
	dsn := s.config.Database
	if dsn == "" {
		dsn = filepath.Join(s.folder.path, "postern.db")
	}
	if s.store, err = store.Open(ctx, store.Config{DSN: dsn, Log: s.log}); err != nil {
		return &KeyError{Key: "database", Err: err}
	}
	return nil
}

// openFaces makes what stands between the network and the engine.
func (s *server) openFaces() error {
	ca, err := identity.OpenCA(s.folder.path, s.now())
	if err != nil {
		return err
	}
	s.certificate = &certificate{ca: ca, tls12: s.config.TLS12, dir: s.folder.path, now: s.now, log: s.log}
	if s.certificate.names, err = names(s.config); err != nil {
		return err
	}
	if err := s.certificate.load(); err != nil {
		return err
	}
	providers, err := s.config.providers()
	if err != nil {
		return err
	}
	own, err := s.names()
	if err != nil {
		return err
	}
	s.identity, err = identity.New(identity.Config{
		Names: own,
		OIDC:  providers, PublicURL: s.config.PublicURL, Engine: s.engine, CA: ca, Now: s.now, Log: s.log,
		TrustedProxies: s.config.TrustedProxies, Proven: proven,
		Known: identity.Rate{PerSecond: float64(s.config.CallsPerSecond), Burst: 2 * s.config.CallsPerSecond},
	})
	if err != nil {
		return err
	}
	if err := s.openAzure(); err != nil {
		return err
	}
	s.api, err = httpapi.New(httpapi.Config{
		Engine: s.engine, Identity: s.identity, Title: notify.Title, Now: s.now, Log: s.log,
		Observe: s.metrics.observe,
	})
	return err
}

func (s *server) streams() int64 { return s.api.Streams() } // asked once the server serves

func (s *server) reconciler() float64 {
	if s.reconciling.Load() {
		return 1
	}
	return 0
}

// serve works, and drains when ctx ends or a listener breaks.
func (s *server) serve(ctx context.Context) error {
	listener, front := s.listener, s.front()
	ready := Ready{Address: listener.Addr().String(), CA: s.identity.CA().PEM(), AdminPassword: s.adminPassword}
	broken := make(chan error, 2)
	var figures *http.Server
	if s.figures != nil {
		figures = &http.Server{
			Handler: s.metrics.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: s.paces.body,
			WriteTimeout: s.paces.take, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		}
		ready.Metrics = s.figures.Addr().String()
		go func() { broken <- figures.Serve(s.figures) }()
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	working.Go(func() { s.reconcile(background) })
	working.Go(func() { s.certificate.keep(background) })
	working.Go(func() { s.dispatch(background) })
	if len(s.config.ProxyProtocol) > 0 {
		listener = proxyListener{Listener: listener, from: s.config.ProxyProtocol}
	}
	listener = crowdListener{Listener: listener, crowd: &crowd{
		most: cmp.Or(s.config.ConnectionsPerAddress, Default().ConnectionsPerAddress), exempt: s.config.TrustedProxies,
		log: s.log, held: map[string]int{},
	}}
	// Announced before anything is answered: whoever finds the server ready finds the first password printed.
	err := s.announce(ready)
	if err == nil {
		go func() { broken <- front.ServeTLS(listener, "", "") }()
		select {
		case <-ctx.Done():
		case err = <-broken:
		}
	}
	err = errors.Join(err, s.drain(ctx, front, figures))
	stop()
	working.Wait()
	return err
}

// front is the API's own HTTP server.
func (s *server) front() *http.Server {
	mux := http.NewServeMux()
	health{
		store: s.store, alive: s.reconciling.Load,
		room: func() bool { return s.config.Database != "" || s.folder.room() },
	}.routes(
		mux)
	mux.Handle("/", s.api)
	return &http.Server{
		Handler: s.faces(mux), TLSConfig: s.certificate.config(), ReadHeaderTimeout: headerTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader, ConnContext: s.connected, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *server) announce(ready Ready) error {
	s.log.Info("serving", "address", ready.Address, "metrics", ready.Metrics, "data", s.folder.path)
	if ready.AdminPassword != "" {
		if err := welcome(s.config.Out, s.config, s.folder.path, ready); err != nil {
			return fmt.Errorf("print the first password: %w", err)
		}
	}
	if s.config.Ready != nil {
		s.config.Ready(ready)
	}
	return nil
}

// drain ends what the servers do, politely for at most drainTime.
func (s *server) drain(ctx context.Context, servers ...*http.Server) error {
	s.log.InfoContext(ctx, "stopping")
	s.api.Drain()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	var errs []error
	for _, h := range servers {
		if h == nil {
			continue
		}
		if err := h.Shutdown(bounded); err != nil {
			s.log.WarnContext(ctx, "calls were cut off", "error", err)
			errs = append(errs, h.Close())
		}
	}
	if err := s.api.Wait(bounded); err != nil { // after Shutdown: no further streams begin
		s.log.WarnContext(ctx, "streams were cut off", "error", err)
	}
	return errors.Join(errs...)
}

// reconcile runs the engine's own work until ctx ends. Where it breaks it is tried again; until then the server says
// that it is not ready.
func (s *server) reconcile(ctx context.Context) {
	for {
		s.reconciling.Store(true)
		err := s.engine.Run(ctx)
		s.reconciling.Store(false)
		if ctx.Err() != nil {
			return
		}
		s.log.ErrorContext(ctx, "the reconciler broke and is started again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartAfter):
		}
	}
}

func (s *server) close() error {
	var errs []error
	for _, l := range []net.Listener{s.listener, s.figures} {
		if l != nil {
			_ = l.Close() // drained, it is closed already
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.folder != nil {
		errs = append(errs, s.folder.Close())
	}
	return errors.Join(errs...)
}

// tickets gives what asks whether tickets are good; nil where none is configured.
func (s *server) tickets() engine.TicketChecker {
	if s.config.TicketWebhook == "" {
		return nil
	}
	return notify.TicketWebhook{
		URL: s.config.TicketWebhook, Keys: s.config.TicketKey, CA: s.config.TicketCA,
		Now: s.now,
	}
}
