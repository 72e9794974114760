package server

import (
	"crypto/tls"
	"net/http"

	"github.com/postern-dev/postern/internal/armapi"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/portal"
)

// azure is what Azure's clients call, and the pages on which their users sign in.
type azure struct {
	arm    *armapi.API
	oauth  *identity.OAuth
	portal *portal.Portal
}

func (s *server) openAzure() (err error) {
	s.azure.oauth = identity.NewOAuth(s.identity)
	if s.azure.portal, err = portal.New(
		portal.Config{Engine: s.engine, Identity: s.identity, Now: s.now, Log: s.log}); err != nil {
		return err
	}
	s.azure.arm, err = armapi.New(armapi.Config{
		Engine: s.engine, Identity: s.identity, Now: s.now, Log: s.log,
		Observe: s.metrics.observe,
	})
	return err
}

// faces gives each path to the face that serves it, and the rest to mux. It stands before mux, which would send a
// client that writes two slashes on to another path.
//
// None of them says Strict-Transport-Security: the certificate is of a private authority, and a browser that was told
// to take the host by HTTPS alone would offer no way past a new one, nor to anything else that the host serves without
// TLS. A proxy with a certificate of a public authority is the place to say it.
func (s *server) faces(mux http.Handler) http.Handler {
	p := s.paces
	arm, oauth, pages := p.taken(s.azure.arm), p.taken(s.azure.oauth), p.taken(s.azure.portal)
	return p.bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case armapi.Serves(path):
			arm.ServeHTTP(w, r)
		case identity.ServesOAuth(path):
			oauth.ServeHTTP(w, r)
		case portal.Serves(path):
			pages.ServeHTTP(w, r)
		case r.TLS != nil && r.TLS.Version < tls.VersionTLS13: // which only tls12 lets in, and only for what stands above
			say(w, http.StatusUpgradeRequired,
				"This needs TLS 1.3: TLS 1.2 is for Azure's clients and their sign-in alone.\n")
		case portal.ServesApp(r):
			pages.ServeHTTP(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
}
