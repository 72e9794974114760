package server

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postern-dev/postern/internal/engine"
)

// metrics are the server's figures, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.HistogramVec
	updates  prometheus.Histogram

	deliveries *prometheus.CounterVec
	anchored   *prometheus.GaugeVec
}

func newMetrics(streams func() int64, reconciler func() float64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_http_request_seconds", Help: "How long calls took, by route and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"route", "status"}),
		updates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "postern_store_update_seconds",
			Help:    "How long changes took until they were durable, waiting for their batch included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.calls, m.updates,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "postern_agents_connected",
			Help: "Agents that follow their desired state now.",
		},
			func() float64 { return float64(streams()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "postern_reconciler_up",
			Help: "1 while the reconciler runs, 0 while it does not.",
		},
			reconciler),
	)
	return m
}

// observe counts one answered call.
func (m *metrics) observe(route string, status int, took time.Duration) {
	m.calls.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

// timedStore is a store whose changes are timed.
type timedStore struct {
	engine.Store

	metrics *metrics
	now     func() time.Time
}

// Update implements engine.Store.
func (s timedStore) Update(ctx context.Context, fn func(engine.Tx) error) error {
	began := s.now()
	err := s.Store.Update(ctx, fn)
	s.metrics.updates.Observe(s.now().Sub(began).Seconds())
	return err
}

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
