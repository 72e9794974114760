package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// SecretInput is a new secret of a service principal, or a certificate of it.
type SecretInput struct {
	Name        string        // for people
	Certificate string        // PEM; empty makes a secret
	TTL         time.Duration // 0: 180 days; a certificate ends with itself at the latest
}

const (
	secretPrefix     = "pss_"
	defaultSecretTTL = 180 * 24 * time.Hour
	maxSecretTTL     = 2 * 365 * 24 * time.Hour
	maxSecrets       = 20 // of one service principal
)

// AddSecret gives a service principal one more secret, which is shown here and never again, or a certificate.
func (e *Service) AddSecret(ctx context.Context, c engine.Caller, ref string,
	in SecretInput,
) (secretText string, s engine.Secret, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
				return err
			}
			p, err := findServicePrincipal(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			earlier, err := tx.Secrets(ctx, p.ID)
			if err != nil {
				return fmt.Errorf("read secrets: %w", err)
			}
			if len(earlier) >= maxSecrets {
				return access.Fault(access.KindConflict, "tooManySecrets",
					"%q has %d secrets, the most that are allowed: delete one first", p.Name, len(earlier))
			}
			if secretText, s, err = in.make(may.Now); err != nil {
				return err
			}
			s.ID, s.Principal, s.CreatedBy, s.CreatedAt = engine.SecretID(engine.NewID()), p.ID, c.Principal, may.Now
			if err := tx.SaveSecret(ctx, s); err != nil {
				return fmt.Errorf("save secret: %w", err)
			}
			return tx.Append(ctx, s.Event(access.SecretAdded, p, c, may.Now))
		})
	if err != nil {
		return "", engine.Secret{}, err
	}
	return secretText, s, nil
}

func (in SecretInput) make(now time.Time) (text string, s engine.Secret, err error) {
	if in.TTL == 0 {
		in.TTL = defaultSecretTTL
	}
	switch {
	case in.TTL < time.Minute || in.TTL > maxSecretTTL:
		return "", s, access.Fault(access.KindInvalid, "ttlOutOfRange",
			"the secret would be valid for %s; use one minute to two years", in.TTL)
	case len(in.Name) > maxPrincipalName || !PlainText(in.Name):
		return "", s, access.Fault(access.KindInvalid, "malformedName",
			"the name of the secret is too long or has control characters")
	}
	s = engine.Secret{Name: in.Name, ExpiresAt: now.Add(in.TTL)}
	if in.Certificate == "" {
		text = secretPrefix + Secret()
		s.Hash = HashSecret(text)
		return text, s, nil
	}
	block, _ := pem.Decode([]byte(in.Certificate))
	if block == nil || block.Type != "CERTIFICATE" {
		return "", s, access.Fault(access.KindInvalid, "malformedCertificate",
			"the certificate is not PEM: it begins with -----BEGIN CERTIFICATE-----")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", s, access.Fault(access.KindInvalid, "malformedCertificate", "the certificate cannot be read")
	}
	if !now.Before(certificate.NotAfter) {
		return "", s, access.Fault(access.KindInvalid, "certificateExpired", "the certificate ended at %s",
			certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	if certificate.NotAfter.Before(s.ExpiresAt) {
		s.ExpiresAt = certificate.NotAfter.UTC()
	}
	sum := sha256.Sum256(block.Bytes)
	s.Hash = hex.EncodeToString(sum[:])
	s.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
	return "", s, nil
}

// Secrets lists the secrets and certificates of a service principal, the oldest first. It may see its own.
func (e *Service) Secrets(ctx context.Context, c engine.Caller, ref string) (list []engine.Secret, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsRead, Details: map[string]string{"principal": ref}},
		func(r engine.Reader, may engine.Rights) error {
			if err := readPrincipal(may, ref); err != nil {
				return err
			}
			p, err := findServicePrincipal(ctx, r, c.Tenant, ref)
			if err != nil {
				return err
			}
			list, err = r.Secrets(ctx, p.ID)
			return err
		})
	return list, err
}

// DeleteSecret takes a secret or certificate away from a service principal; the tokens that came from it end with it.
func (e *Service) DeleteSecret(ctx context.Context, c engine.Caller, ref string, id engine.SecretID) error {
	a := engine.Attempt{
		Action:  rbac.PrincipalsWrite,
		Details: map[string]string{"principal": ref, "secret": string(id)},
	}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
			return err
		}
		p, err := findServicePrincipal(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		s, err := tx.Secret(ctx, id)
		switch {
		case engine.IsKind(err, access.KindNotFound) || err == nil && s.Principal != p.ID:
			return access.Fault(access.KindNotFound, "unknownSecret", "%q has no secret %q", p.Name,
				engine.Clip(string(id)))
		case err != nil:
			return fmt.Errorf("read secret: %w", err)
		}
		if err := tx.DeleteSecret(ctx, id); err != nil {
			return fmt.Errorf("delete secret: %w", err)
		}
		return tx.Append(ctx, s.Event(access.SecretDeleted, p, c, may.Now))
	})
}

func findServicePrincipal(ctx context.Context, r engine.Reader, tenant access.TenantID,
	ref string,
) (access.Principal, error) {
	p, err := FindPrincipal(ctx, r, tenant, ref)
	if err == nil && p.Kind != access.ServicePrincipal {
		return p, access.Fault(access.KindInvalid, "notAServicePrincipal",
			"%q is not a service principal: people sign in with a password", p.Name)
	}
	return p, err
}

// ClientCredentials is what identity checks a service principal's proof against.
type ClientCredentials struct {
	Principal access.Principal
	Secrets   []engine.Secret // those that have not expired
}

// ClientCredentials gives the service principal that client, a name or an id, names in a tenant, with what it may prove
// itself with; it fails with access.KindNotFound where there is none. Package identity alone calls it.
func (e *Service) ClientCredentials(ctx context.Context, tenant access.TenantID,
	client string,
) (cred ClientCredentials, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		cred = ClientCredentials{}
		if tenant == "" {
			if tenant, err = engine.HomeTenant(ctx, r); err != nil {
				return fmt.Errorf("read tenants: %w", err)
			}
		}
		if cred.Principal, err = findServicePrincipal(ctx, r, tenant, client); err != nil {
			return access.Fault(access.KindNotFound, "unknownPrincipal", "there is no service principal %q",
				engine.Clip(client))
		}
		all, err := r.Secrets(ctx, cred.Principal.ID)
		if err != nil {
			return fmt.Errorf("read secrets: %w", err)
		}
		now := e.kernel.Now()
		for _, s := range all {
			if now.Before(s.ExpiresAt) {
				cred.Secrets = append(cred.Secrets, s)
			}
		}
		return nil
	})
	return cred, err
}

// Match gives the secret that text is, after comparing it with every one of them. A secret has 256 random bits, so a
// plain hash of it is enough.
func (c ClientCredentials) Match(text string) (found engine.Secret, ok bool) {
	hash := []byte(HashSecret(text))
	for _, s := range c.Secrets {
		if s.Certificate == "" && subtle.ConstantTimeCompare(hash, []byte(s.Hash)) == 1 {
			found, ok = s, true
		}
	}
	return found, ok
}

// ClientProof is what a service principal proved itself by. Once, where it is not empty, is the mark of a proof that
// counts once, and Until when it ends by itself.
type ClientProof struct {
	Secret engine.Secret
	Once   string
	Until  time.Time
}

// AssertionUsed is the code of the refusal of a proof that was used before.
const AssertionUsed = "assertionUsed"

// ClientSignedIn records that a service principal got a token, and that its proof was used. A program may sign in as
// often as it likes: of very many sign-ins the activity log has the number.
func (e *Service) ClientSignedIn(ctx context.Context, p access.Principal, proof ClientProof, address netip.Addr) error {
	now := e.kernel.Now()
	if proof.Once != "" {
		if err := e.kernel.Update(ctx, func(tx engine.Tx) error {
			_, err := tx.Ceremony(ctx, proof.Once)
			if err == nil {
				return access.Fault(access.KindUnauthenticated, AssertionUsed,
					"this assertion was used before; each one is valid once")
			}
			if !engine.IsKind(err, access.KindNotFound) {
				return fmt.Errorf("read used proof: %w", err)
			}
			used := engine.Ceremony{
				Hash: proof.Once, Kind: assertionCeremony, Principal: p.ID, CreatedAt: now,
				ExpiresAt: proof.Until,
			}
			if err := tx.SaveCeremony(ctx, used); err != nil {
				return fmt.Errorf("save used proof: %w", err)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return e.kernel.RecordAttempt(ctx, engine.Caller{Principal: p.ID}, access.Event{
		At: now, Kind: access.SignedIn, Outcome: access.Succeeded, Tenant: p.Tenant,
		Actor:   access.Actor{ID: p.ID, Name: p.Name, Address: address, Via: "arm"},
		Details: map[string]string{"secret": string(proof.Secret.ID)},
	})
}

// assertionCeremony is the kind of what is kept of a used assertion; nothing finishes it.
const assertionCeremony = "assertion"

// TokenSubject is whom an access token speaks for, and what it came from: a session or a secret.
type TokenSubject struct {
	Principal access.PrincipalID
	Session   string // hash of the session's token
	Secret    engine.SecretID
}

// TokenCaller gives the caller behind an access token; it fails with access.KindUnauthenticated where the principal is
// disabled, or where the session or secret that the token came from has ended.
func (e *Service) TokenCaller(ctx context.Context, subject TokenSubject) (c engine.Caller, err error) {
	ended := access.Fault(access.KindUnauthenticated, "tokenEnded",
		"the session or secret behind this token has ended or was revoked: sign in again")
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		var s engine.Session // its zero value where the token came from a secret
		var over bool
		if subject.Session != "" {
			if s, err = r.Session(ctx, subject.Session); err != nil {
				return orEnded(err, ended)
			}
			over = e.over(s)
		} else {
			secret, err := r.Secret(ctx, subject.Secret)
			if err != nil {
				return orEnded(err, ended)
			}
			s.Principal, over = secret.Principal, !e.kernel.Now().Before(secret.ExpiresAt)
		}
		p, err := r.Principal(ctx, s.Principal)
		if err != nil {
			return orEnded(err, ended)
		}
		if p.Disabled || p.ID != subject.Principal || over {
			return ended
		}
		c = callerBy(p, s)
		return nil
	})
	return c, err
}

func orEnded(err error, ended *access.Error) error {
	if engine.IsKind(err, access.KindNotFound) {
		return ended
	}
	return fmt.Errorf("read what a token came from: %w", err)
}
