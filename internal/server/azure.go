package server

import (
	"net"
	"net/http"
	"strings"

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
	if s.azure.portal, err = portal.New(portal.Config{Engine: s.engine, Identity: s.identity, Now: s.now, Log: s.log}); err != nil {
		return err
	}
	s.azure.arm, err = armapi.New(armapi.Config{Engine: s.engine, Identity: s.identity, Now: s.now, Log: s.log, Observe: s.metrics.observe})
	return err
}

// faces gives each path to the face that serves it, and the rest to mux. It stands before mux, which would send a client
// that writes two slashes on to another path.
func (s *server) faces(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !onlyHere(r.Host) {
			w.Header().Set("Strict-Transport-Security", "max-age=63072000")
		}
		switch path := r.URL.Path; {
		case armapi.Serves(path):
			s.azure.arm.ServeHTTP(w, r)
		case identity.ServesOAuth(path):
			s.azure.oauth.ServeHTTP(w, r)
		case portal.Serves(path) || portal.ServesApp(r):
			s.azure.portal.ServeHTTP(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// onlyHere tells whether host is a name for the client's own machine. Such a name is not told to be HTTPS alone: it is that of
// everything else there too, such as of the command-line client that waits for the browser to bring a code.
func onlyHere(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
