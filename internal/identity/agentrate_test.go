package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/identity"
)

// TestACopyDoesNotSpendForTheOriginal holds that whoever has a copy of an agent's key, and calls with it from elsewhere
// as often as they can, does not have the agent itself told to wait.
func TestACopyDoesNotSpendForTheOriginal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) { c.Agents = identity.Rate{PerSecond: 1.0 / 3600, Burst: 20} })
	token, _, err := w.engine.Machines.MakeEnrollmentToken(w.ctx, w.admin(), machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	csr, _ := request(t)
	_, issued, err := w.identity.Enroll(w.ctx, office, machines.EnrollInput{Token: token}, csr)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(issued.PEM)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	call := func(from string, cost identity.AgentCost) error {
		_, err := w.identity.AgentFromCertificate(w.ctx,
			&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, netip.MustParseAddr(from), cost)
		return err
	}
	for _, copied := range []string{"198.51.100.7", "2001:db8:1:2::7"} {
		var last error
		for range 30 {
			last = call(copied, 1)
		}
		wantCode(t, last, access.KindLimited, "tooManyCalls")
	}
	wantCode(t, call("2001:db8:1:9999::7", 1), access.KindLimited, "tooManyCalls") // of the same site
	for _, cost := range []identity.AgentCost{identity.CostOfStream, 1} {
		if err := call("203.0.113.7", cost); err != nil {
			t.Errorf("the agent itself: %v", err)
		}
	}
}
