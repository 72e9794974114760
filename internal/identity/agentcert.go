package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// agentTime is how long an agent's certificate is good for; it renews it when a third is left.
const agentTime = 30 * 24 * time.Hour

const maxCSR = 16 << 10

// AgentCertificate is what an agent receives.
type AgentCertificate struct {
	PEM       []byte // its client certificate
	NotAfter  time.Time
	Authority []byte // the CA's certificate, PEM
}

// agentURI is the agent's name in its certificate, in the manner of SPIFFE.
func agentURI(id access.AgentID) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: "postern", Path: "/agent/" + string(id)}
}

// Fingerprint gives the SHA-256 of a public key in hex.
func Fingerprint(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// parseCSR gives the public key of a certificate signing request in PEM form whose signature holds. Nothing else in it
// counts: the names in the certificate are ours to give.
func parseCSR(text []byte) (crypto.PublicKey, error) {
	malformed := func(why string) error {
		return access.Fault(access.KindInvalid, "malformedCsr", "the certificate signing request %s", why)
	}
	if len(text) > maxCSR {
		return nil, malformed("is too long")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 1 {
		return nil, malformed("is not one CERTIFICATE REQUEST in PEM form")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, malformed("cannot be read")
	}
	if csr.CheckSignature() != nil {
		return nil, malformed("is not signed with its own key")
	}
	switch key := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, malformed("has a key of a kind that is not taken: use ECDSA P-256, P-384 or Ed25519")
		}
		return key, nil
	case ed25519.PublicKey:
		return key, nil
	default:
		return nil, malformed("has a key of a kind that is not taken: use ECDSA P-256, P-384 or Ed25519")
	}
}

// signer makes the function with which the engine has a certificate issued.
func (i *Identity) signer(key crypto.PublicKey, out *AgentCertificate) func(access.AgentID) (string, error) {
	return func(id access.AgentID) (string, error) {
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: string(id)},
			URIs:        []*url.URL{agentURI(id)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		der, err := i.ca.issue(template, key, agentTime, i.now())
		if err != nil {
			return "", fmt.Errorf("issue the agent's certificate: %w", err)
		}
		*out = AgentCertificate{PEM: encodeCertificate(der), NotAfter: template.NotAfter, Authority: i.ca.PEM()}
		return Fingerprint(key)
	}
}

// Enroll uses an enrollment token up and issues the agent's certificate for the key of csr (PEM).
func (i *Identity) Enroll(ctx context.Context, address netip.Addr, in machines.EnrollInput,
	csr []byte,
) (machines.Enrolled, AgentCertificate, error) {
	if err := i.AllowAnonymous(address); err != nil {
		return machines.Enrolled{}, AgentCertificate{}, err
	}
	key, err := parseCSR(csr)
	if err != nil {
		return machines.Enrolled{}, AgentCertificate{}, err
	}
	var certificate AgentCertificate
	enrolled, err := i.engine.Machines.Enroll(ctx, address, in, i.signer(key, &certificate))
	if err != nil {
		return machines.Enrolled{}, AgentCertificate{}, err
	}
	return enrolled, certificate, nil
}

// Renew issues a fresh certificate to an agent for the key of csr (PEM).
func (i *Identity) Renew(ctx context.Context, agent access.AgentID, address netip.Addr,
	csr []byte,
) (machines.Enrolled, AgentCertificate, error) {
	key, err := parseCSR(csr)
	if err != nil {
		return machines.Enrolled{}, AgentCertificate{}, err
	}
	var certificate AgentCertificate
	enrolled, err := i.engine.Machines.RenewAgent(ctx, agent, address, i.signer(key, &certificate))
	if err != nil {
		return machines.Enrolled{}, AgentCertificate{}, err
	}
	return enrolled, certificate, nil
}

// AgentFromCertificate gives the agent that a connection belongs to. A certificate that is missing, foreign, ended, or
// no longer counts is access.KindUnauthenticated; where one was shown, it is on the activity log. The call is counted
// before anything is looked up: access.KindLimited when the agent has spent more than it may.
func (i *Identity) AgentFromCertificate(ctx context.Context, state *tls.ConnectionState, address netip.Addr,
	cost AgentCost,
) (access.Agent, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return access.Agent{}, access.Fault(access.KindUnauthenticated, "certificateMissing",
			"this needs the client certificate of an agent: enroll the agent first")
	}
	leaf := state.PeerCertificates[0]
	id, err := i.ca.agentOf(leaf, i.now())
	if err != nil {
		return access.Agent{}, i.refuseCertificate(ctx, leaf, address, err)
	}
	fingerprint, err := Fingerprint(leaf.PublicKey)
	if err != nil {
		return access.Agent{}, err
	}
	if err := i.allowAgent(id, fingerprint, address, cost); err != nil {
		return access.Agent{}, err
	}
	agent, err := i.engine.Machines.AuthenticateAgent(ctx, id, fingerprint)
	if err == nil && i.proven != nil {
		i.proven(ctx, fingerprint)
	}
	if access.KindOf(err) == access.KindUnauthenticated {
		if recordErr := i.recordRefusal(ctx, leaf, address, access.CodeOf(err), err); recordErr != nil {
			return access.Agent{}, recordErr
		}
	}
	return agent, err
}

func (ca *CA) agentOf(leaf *x509.Certificate, now time.Time) (access.AgentID, error) {
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: ca.pool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	id := access.AgentID(leaf.Subject.CommonName)
	if err == nil && (len(leaf.URIs) != 1 || *leaf.URIs[0] != *agentURI(id)) {
		err = fmt.Errorf("certificate names no agent")
	}
	return id, err
}

// refuseCertificate puts a foreign certificate on record and gives the error.
func (i *Identity) refuseCertificate(ctx context.Context, leaf *x509.Certificate, address netip.Addr,
	cause error,
) error {
	if err := i.recordRefusal(ctx, leaf, address, "foreignCertificate", cause); err != nil {
		return err
	}
	refusal := access.Fault(access.KindUnauthenticated, "certificateRefused",
		"the client certificate is not a valid one of this server: enroll the agent again")
	refusal.Err = cause
	return refusal
}

// recordRefusal puts a refused certificate on record, within the bounds of its address. An agent that does not give up
// tries for days, so one certificate is recorded a few times at first, and then every ten minutes at most.
func (i *Identity) recordRefusal(ctx context.Context, leaf *x509.Certificate, address netip.Addr, reason string,
	cause error,
) error {
	if err := i.AllowAnonymous(address); err != nil {
		return err
	}
	sum := sha256.Sum256(leaf.Raw)
	certificate := hex.EncodeToString(sum[:])
	if !i.refusals.allow(certificate, i.now()) {
		return nil
	}
	details := map[string]string{
		"subject": clip(leaf.Subject.String()), "issuer": clip(leaf.Issuer.String()),
		"certificate": certificate, "cause": clip(cause.Error()),
	}
	if err := i.engine.Machines.AgentRefused(ctx, address, reason, details); err != nil {
		return fmt.Errorf("record refused certificate: %w", err)
	}
	return nil
}
