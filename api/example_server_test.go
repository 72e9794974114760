package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"os"
	"sync"
	"testing"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/server"
)

// password is everybody's in the examples.
const password = "correct horse battery staple"

// fixture is a real server, which guards port 22 of web-1: ann may ask for it, and bob decides.
type fixture struct {
	address string
	ca      []byte
	stop    func()
}

// started is global because an example takes no argument.
var started = sync.OnceValue(start)

func running() (address string, ca []byte) { return started().address, started().ca }

func TestMain(m *testing.M) {
	code := m.Run()
	started().stop()
	os.Exit(code)
}

func start() fixture {
	folder, err := os.MkdirTemp("", "postern-example-")
	must(err)
	var out bytes.Buffer
	ready := make(chan server.Ready, 1)
	config := server.Default()
	config.Data, config.Listen, config.MetricsListen = folder, "127.0.0.1:0", "off"
	config.Out, config.Log = &out, &out
	config.Ready = func(r server.Ready) { ready <- r }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, config) }()
	var is server.Ready
	select {
	case is = <-ready:
	case err := <-ended:
		log.Fatalf("the server ended: %v\n%s", err, out.String())
	}
	f := fixture{address: "https://" + is.Address, ca: is.CA, stop: func() {
		cancel()
		must(<-ended)
		must(os.RemoveAll(folder))
	}}
	f.people(is.AdminPassword)
	return f
}

// people makes the people, the machine and its policy.
func (f fixture) people(adminPassword string) {
	ctx := context.Background()
	client, err := api.NewClient(api.Options{Server: f.address, CA: f.ca})
	must(err)
	session, err := client.SignIn(ctx,
		api.SignIn{Name: "admin", Password: adminPassword, NewPassword: password + " of the administrator"})
	must(err)
	admin := client.WithToken(session.Token)
	defer admin.Close()
	for _, name := range []string{"ann", "bob"} {
		_, err := admin.CreatePrincipal(ctx, api.NewPrincipal{Kind: "user", Name: name, Password: password})
		must(err)
	}
	_, err = admin.AssignRole(ctx, api.NewRoleAssignment{Principal: "ann", Role: "JIT Access Requester"})
	must(err)
	token, err := admin.CreateEnrollmentToken(ctx, api.NewEnrollmentToken{Name: "web-1"})
	must(err)
	f.enroll(token.Token)
	_, err = admin.SetMachinePolicy(ctx, "web-1", api.MachinePolicy{
		Ports: []api.PortRule{{Ports: "22", MaxSeconds: 3600}},
		Approval: []api.ApprovalCase{{
			Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"bob"}}}}},
		}},
	}, 0)
	must(err)
}

// enroll enrolls an agent that is never heard of again.
func (f fixture) enroll(token string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.ca)
	agent, err := agentwire.NewClient(agentwire.Config{
		Server: f.address, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
	})
	must(err)
	defer agent.Close()
	_, err = agent.Enroll(context.Background(), agentwire.Enroll{
		Token: token, Name: "web-1", OS: "linux", Version: "1.0.0", Addresses: []string{"192.0.2.10"},
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	must(err)
}

// signedIn gives a client of somebody.
func signedIn(ctx context.Context, name string) *api.Client {
	address, ca := running()
	client, err := api.NewClient(api.Options{Server: address, CA: ca})
	must(err)
	session, err := client.SignIn(ctx, api.SignIn{Name: name, Password: password})
	must(err)
	return client.WithToken(session.Token)
}

// askedByAnn makes a request that waits for a decision.
func askedByAnn(ctx context.Context) {
	client := signedIn(ctx, "ann")
	defer client.Close()
	_, err := client.Submit(ctx, api.NewRequest{
		Items:      []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{"203.0.113.7"}}},
		ForSeconds: 1800, Justification: "roll back release 42",
	}, "")
	must(err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
