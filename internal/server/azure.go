package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

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

// seal gives what the keys of access tokens are sealed with: the file tokens.seal, where the operator made one.
func (f *folder) seal() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(f.path, "tokens.seal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what the keys of tokens are sealed with: %w", err)
	}
	return text, nil
}
