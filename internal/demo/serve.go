package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/postern-dev/postern/api"
)

func (s *story) startServer(ctx context.Context) (string, string, error) {
	if err := s.runServer(ctx); err != nil {
		return "", "", err
	}
	output, err := os.ReadFile(s.server.log)
	if err != nil {
		return "", "", err
	}
	found := regexp.MustCompile(`(?m)^ *password +(\S+)$`).FindSubmatch(output)
	if found == nil {
		return "", "", errors.New("the server printed no password at its first start:\n" + s.server.tail())
	}
	err = os.WriteFile(s.path("first-password"), append(found[1], '\n'), 0o600) //nolint:gosec // in our own folder
	return "server started with SQLite, a new CA, and an administrator", "", err
}

// runServer starts the server and waits until it says that it is ready.
func (s *story) runServer(ctx context.Context) (err error) {
	if s.server, err = start(nil, s.path("server.log"), s.options.Program, "server", "--data", s.path("data"),
		"--listen", serverAddress); err != nil {
		return err
	}
	return s.eventually(ctx, 30*time.Second, s.server, func() (bool, error) { return s.ready(ctx) })
}

func (s *story) ready(ctx context.Context) (bool, error) {
	client, err := trusting(s.path("data/ca.pem"))
	if err != nil {
		return false, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+serverAddress+"/readyz", http.NoBody)
	if err != nil {
		return false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// connectAPI calls the server as whoever signed in.
func (s *story) connectAPI() (*api.Client, error) {
	config, err := s.readConfig()
	if err != nil {
		return nil, err
	}
	return api.NewClient(api.Options{
		Server: config.Server, CA: []byte(config.CA), Token: config.Token,
		UserAgent: "postern-demo",
	})
}

// trusting gives a client that trusts the server's own CA.
func trusting(ca string) (*http.Client, error) {
	text, err := os.ReadFile(ca) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("the CA is not in PEM form")
	}
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}},
	}, nil
}
