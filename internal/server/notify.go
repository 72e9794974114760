package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// notifier is what tells people.
type notifier struct {
	vault      *notify.Vault
	courier    *notify.Courier
	dispatcher *notify.Dispatcher
}

// openNotifier makes what seals secrets and sends, before there is an engine.
func (s *server) openNotifier() error {
	secrets := filepath.Join(s.folder.path, "secrets")
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		return &KeyError{Key: "data", Err: fmt.Errorf("make the folder of secrets: %w", err)}
	}
	var err error
	if s.notify.vault, err = notify.NewVault(s.sealKey.bytes, secrets); err != nil {
		return &KeyError{Key: "data", Err: fmt.Errorf("%s: %w", sealKeyName, err)}
	}
	public := s.config.PublicURL
	if public == "" {
		public = guessPublic(s.config)
	}
	if s.notify.courier, err = notify.NewCourier(s.notify.vault, public, s.home, s.now); err != nil {
		return &KeyError{Key: "publicURL", Err: err}
	}
	return nil
}

// home gives the tenant that runs the server, which never changes.
func (s *server) home(ctx context.Context) (access.TenantID, error) {
	if known := s.homeTenant.Load(); known != nil {
		return *known, nil
	}
	t, err := s.engine.Directory.FindTenant(ctx, "")
	if err == nil {
		s.homeTenant.Store(&t.ID)
	}
	return t.ID, err
}

// openDispatcher makes what carries out the outbox of the store.
func (s *server) openDispatcher() (err error) {
	s.notify.dispatcher, err = notify.New(notify.Config{
		Outbox: engine.NewOutbox(s.store), Sender: countedSender{Sender: s.notify.courier, metrics: s.metrics},
		Now: s.now, Log: s.log,
	})
	return err
}

// testChannel implements engine.Config.TestChannel.
func (s *server) testChannel(ctx context.Context, c engine.Channel, to, by string) (string, error) {
	receipt, err := s.notify.courier.Test(ctx, c, to, by)
	return receipt.Text, err
}

// dispatch delivers until ctx ends, and starts again where that breaks.
func (s *server) dispatch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.notify.dispatcher.Run(ctx); err != nil {
			s.log.ErrorContext(ctx, "the dispatcher of notifications broke and is started again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
}

// backlog is how many deliveries wait; -1 where the database does not say.
func (s *server) backlog() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	count := -1
	err := s.store.View(ctx, func(r engine.Reader) error {
		var err error
		count, err = r.Backlog(ctx)
		return err
	})
	if err != nil {
		return -1
	}
	return float64(count)
}

// guessPublic gives the address under which people may reach the server where nobody said it: the first name that it
// was given, else this host's.
func guessPublic(c Config) string {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "https://localhost"
	}
	switch name, err := os.Hostname(); {
	case len(c.Names) > 0:
		host = c.Names[0]
	case host != "" && host != "0.0.0.0" && host != "::":
	case err == nil && isHostName(name):
		host = name
	default:
		host = "localhost"
	}
	return (&url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)}).String()
}

// countedSender counts attempts by how they ended.
type countedSender struct {
	notify.Sender

	metrics *metrics
}

// Send implements notify.Sender.
func (s countedSender) Send(ctx context.Context, p notify.Parcel) (notify.Receipt, error) {
	receipt, err := s.Sender.Send(ctx, p)
	outcome := "delivered"
	if failure, ok := errors.AsType[*notify.SendError](err); ok && failure.Failure.Permanent {
		outcome = "refused"
	} else if err != nil {
		outcome = "failed"
	}
	s.metrics.deliveries.WithLabelValues(string(p.Channel.Kind), outcome).Inc()
	return receipt, err
}

// notifyMetrics registers the figures of notifications.
func (m *metrics) notifyMetrics(backlog func() float64) {
	m.deliveries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postern_deliveries_total",
		Help: "Attempts to deliver a notification, by kind of channel and outcome: delivered, failed (tried again) " +
			"or refused (dead).",
	}, []string{"channel", "outcome"})
	m.registry.MustRegister(m.deliveries, prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{
			Name: "postern_deliveries_pending",
			Help: "Deliveries that wait, at most 100000; -1 where the database does not answer.",
		},
		backlog))
}

func setPublicURL(c *Config, text string) error {
	c.PublicURL = text
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"https", "http"},
		u.Scheme) || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not an address that people could open; write one such as https://postern.example",
			text)
	}
	return nil
}
