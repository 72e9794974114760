package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// breaks takes the reports of codes that were used.
func (s *server) breaks(w http.ResponseWriter, r *http.Request) {
	var use agentwire.GlassUse
	if err := json.NewDecoder(r.Body).Decode(&use); err != nil {
		s.problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if use.Code == s.putOff {
		s.problem(w, http.StatusTooManyRequests, "tooManyUses", "later")
		return
	}
	s.glass = append(s.glass, use.Code)
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) broken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.glass)
}

// TestGlassBreaksWithAndWithoutTheAgent opens through a running agent, and without one, and proves that neither the
// server's next states nor a restart close what a code opened, and that the server is told though it takes no report.
func TestGlassBreaksWithAndWithoutTheAgent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.change(func() {
		for _, code := range []string{"ONE", "TWO", "THREE"} {
			sum := sha256.Sum256([]byte(code))
			s.desired.Codes = append(s.desired.Codes,
				agentwire.SealedCode{
					ID: code, Machine: "machine-1", Hash: hex.EncodeToString(sum[:]), MaxSeconds: 3600,
					RemainingMillis: 3_600_000,
				})
		}
		s.desired.Revision++
	})
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.0/24", time.Hour)
	h.opens("192.0.2.0/24 22")
	config := Config{StateDir: h.dir, Enforcer: h.target, Clock: h.clock, Log: slog.New(slog.DiscardHandler)}
	in := GlassConfig{
		Code: "one", Port: 22, Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"),
		For: 2 * time.Hour, Reason: "site down",
	}
	opened, err := BreakGlass(t.Context(), config, in)
	if err != nil || opened.Direct || opened.For != time.Hour || opened.Machine != "web-1" {
		t.Fatalf("through the agent: %+v, %v", opened, err)
	}
	h.opens("192.0.2.0/24 22", "203.0.113.7/32 22")
	if _, err := BreakGlass(t.Context(), config, in); err == nil {
		t.Error("a code opens twice")
	}
	eventually(t, "the server is told", func() bool { return slices.Equal(s.broken(), []string{"ONE"}) })
	s.revoke() // the ordinary one
	h.opens("203.0.113.7/32 22")
	if said := s.said(glassPrefix + "ONE"); len(said) > 0 {
		t.Errorf("the server hears of a grant that it never gave: %v", said)
	}
	h.halt()

	in.Code, in.Source = "TWO", netip.MustParsePrefix("203.0.113.8/32")
	opened, err = BreakGlass(t.Context(), config, in)
	if err != nil || !opened.Direct {
		t.Fatalf("without the agent: %+v, %v", opened, err)
	}
	h.opens("203.0.113.7/32 22", "203.0.113.8/32 22")
	in.Code, in.Source = "THREE", netip.MustParsePrefix("203.0.113.9/32")
	if _, err := BreakGlass(t.Context(), config, in); err != nil {
		t.Fatal(err)
	}
	all := []string{"203.0.113.7/32 22", "203.0.113.8/32 22", "203.0.113.9/32 22"}
	h.opens(all...)
	// A report that is put off does not hold up what is told of an emergency, and neither does one emergency that is.
	s.change(func() { s.busy, s.putOff = true, "TWO" })
	h.start()
	eventually(t, "the server is told of the third",
		func() bool { return slices.Equal(s.broken(), []string{"ONE", "THREE"}) })
	s.change(func() { s.putOff = "" })
	eventually(t, "the server is told of the second",
		func() bool { return slices.Equal(s.broken(), []string{"ONE", "THREE", "TWO"}) })
	h.opens(all...)
	h.halt()
}

// TestGlassCodesEndByTheServersClock holds that a code is good until it ends on the server's clock, though the host's
// own was set wrong when the code came, and was set right since: nobody is there to ask in an emergency.
func TestGlassCodesEndByTheServersClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"slow": -40 * time.Minute, "fast": 40 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.change(func() {
				sum := sha256.Sum256([]byte("ONE"))
				s.desired.Codes = []agentwire.SealedCode{
					{
						ID: "ONE", Machine: "machine-1", Hash: hex.EncodeToString(sum[:]), MaxSeconds: 60,
						RemainingMillis: 1_800_000,
					},
				}
				s.desired.Revision++
			})
			h := newHost(t, s)
			right := h.clock
			h.clock.Wall = func() time.Time { return right.Wall().Add(wrong) }
			h.start()
			eventually(t, "the code comes", func() bool {
				known := false
				err := glass(h.dir, func(g *glassState) (bool, error) {
					known = len(g.Codes) == 1
					return false, nil
				})
				return err == nil && known
			})
			h.halt()
			config := Config{StateDir: h.dir, Enforcer: h.target, Clock: right, Log: slog.New(slog.DiscardHandler)}
			in := GlassConfig{
				Code: "one", Port: 22, Protocol: access.TCP,
				Source: netip.MustParsePrefix("203.0.113.7/32"), For: time.Minute, Reason: "site down",
			}
			config.Clock.Wall = func() time.Time { return right.Wall().Add(35 * time.Minute) }
			if _, err := BreakGlass(t.Context(), config, in); err == nil {
				t.Error("a code opens after its end")
			}
			config.Clock = right
			if _, err := BreakGlass(t.Context(), config, in); err != nil {
				t.Errorf("a code does not open before its end: %v", err)
			}
		})
	}
}
