package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// EnrollConfig says how to enroll. Server and Token are required.
type EnrollConfig struct {
	Server   string // such as https://postern.example:8443
	Token    string
	CA       []byte // who may sign the server's certificate, PEM; empty: the system's CAs
	StateDir string // DefaultStateDir where empty
	Name     string // the host's own name where empty; counts only where the token names no machine
	Version  string
	Replace  bool // enroll although the state folder holds an identity already
	Now      func() time.Time
	Log      *slog.Logger
}

// Enroll makes a key on this host, has the server sign it in exchange for a one-time token, and keeps the result in
// the state folder. Until it has succeeded an identity that was there before stays as it is.
func Enroll(ctx context.Context, c EnrollConfig) (Identity, error) {
	if c.StateDir == "" {
		c.StateDir = DefaultStateDir
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	pool, err := roots(len(c.CA) == 0, c.CA)
	if err != nil {
		return Identity{}, fmt.Errorf("read the CA: %w", err)
	}
	client, err := agentwire.NewClient(agentwire.Config{
		Server: c.Server, TLS: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Time: c.Now},
	})
	if err != nil {
		return Identity{}, err
	}
	defer client.Close()
	if strings.TrimSpace(c.Token) == "" {
		return Identity{}, errors.New("a token is needed; an administrator makes one with \"postern machine token\"")
	}
	if c.Name == "" {
		if c.Name, err = hostName(); err != nil {
			return Identity{}, err
		}
	}
	if err := access.CheckName("machine", c.Name); err != nil {
		return Identity{}, err
	}
	if before, err := LoadIdentity(c.StateDir); !errors.Is(err, ErrNotEnrolled) && !c.Replace {
		return Identity{},
			errors.Join(fmt.Errorf("this host is enrolled as %q at %s already; give --replace to enroll it anew",
				before.Name, before.Server),
				err)
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("make the state folder: %w", err)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return Identity{}, err
	}
	// A token is good once, so find out that the folder cannot be written to before it is spent.
	const pending = credentialsFile + ".new"
	if err := writeFile(c.StateDir, pending, keyPEM); err != nil {
		return Identity{}, err
	}
	id, err := enroll(ctx, c, client, key, keyPEM)
	return id, errors.Join(err, ignoreMissing(os.Remove(filepath.Join(c.StateDir, pending))))
}

func enroll(ctx context.Context, c EnrollConfig, client *agentwire.Client, key *ecdsa.PrivateKey,
	keyPEM []byte,
) (Identity, error) {
	csr, err := signingRequest(key)
	if err != nil {
		return Identity{}, err
	}
	server := client.Server()
	answer, err := client.Enroll(ctx, agentwire.Enroll{
		Token: strings.TrimSpace(c.Token), CSR: csr, Name: c.Name, OS: runtime.GOOS, Addresses: addresses(),
		Version: c.Version,
	})
	if err != nil {
		return Identity{}, enrollError(server, err)
	}
	id := Identity{
		Server: server, Agent: access.AgentID(answer.Agent), Machine: access.MachineID(answer.Machine),
		Name: answer.Name,
		Mode: access.Mode(answer.Mode), SystemRoots: len(c.CA) == 0,
	}
	if id.Agent == "" || id.Mode != access.ModeHost && id.Mode != access.ModeGateway {
		return Identity{}, fmt.Errorf("the answer of %s makes no sense: agent %.80q, mode %.80q", server, answer.Agent,
			answer.Mode)
	}
	if err := keepCertificate(c.StateDir, key, keyPEM, c.CA, answer); err != nil {
		return Identity{}, fmt.Errorf("the answer of %s cannot be kept: %w", server, err)
	}
	if err := begun(c.StateDir, id); err != nil {
		return Identity{}, err
	}
	return id, id.save(c.StateDir)
}

// begun saves that the server has asked for nothing yet, on a host that never held a state. Without it the first start
// would take the state for lost and close the management ports until the server has answered, which would end the very
// session in which somebody installs the agent.
func begun(dir string, id Identity) error {
	for _, name := range []string{stateFile, protectedFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return err // what was protected stays so until the server says otherwise
		}
	}
	clock, err := SystemClock()
	if err != nil {
		return err
	}
	now := clock.read()
	return save(dir, held{DesiredState: access.DesiredState{Agent: id.Agent, Mode: id.Mode}, contact: now.boot}, now)
}

// enrollError says what to do about an enrollment that did not succeed.
func enrollError(server string, err error) error {
	switch status, _ := agentwire.Refusal(err); status {
	case 0:
		return err
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusGone:
		return fmt.Errorf("%s refuses the token: %w; an administrator makes a new one with \"postern machine token\"",
			server, err)
	case http.StatusConflict:
		return fmt.Errorf("%s refuses to enroll this host: %w; choose another --name, or delete the old machine there",
			server, err)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%s has seen too many attempts from here: %w; wait a minute", server, err)
	case http.StatusNotFound:
		return fmt.Errorf("%s does not know how to enroll agents; check that it is a Postern server: %w", server, err)
	}
	return fmt.Errorf("%s did not enroll this host: %w", server, err)
}

// keepCertificate writes an answer to the state folder: the certificate behind our key, and whom to believe beside
// those that are trusted already.
func keepCertificate(dir string, key *ecdsa.PrivateKey, keyPEM, trusted []byte, answer agentwire.Enrolled) error {
	if err := checkPair(keyPEM, answer.Certificate, key); err != nil {
		return err
	}
	ca, err := mergeCAs(trusted, []byte(answer.CA))
	if err != nil {
		return err
	}
	if err := writeFile(dir, caFile, ca); err != nil {
		return err
	}
	return writeFile(dir, credentialsFile, append(keyPEM, answer.Certificate...))
}

// checkPair tells whether the certificate is for our key.
func checkPair(keyPEM []byte, certificate string, key *ecdsa.PrivateKey) error {
	pair, err := tls.X509KeyPair([]byte(certificate), keyPEM)
	if err != nil {
		return fmt.Errorf("its certificate does not fit our key: %w", err)
	}
	if public, ok := pair.Leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		return errors.New("its certificate is for another key")
	}
	return nil
}

// mergeCAs gives the CA certificates of both, each once, as PEM.
func mergeCAs(sets ...[]byte) ([]byte, error) {
	var merged []byte
	var seen []string
	for _, rest := range sets {
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" || slices.Contains(seen, string(block.Bytes)) {
				continue
			}
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return nil, fmt.Errorf("a CA certificate cannot be read: %w", err)
			}
			seen = append(seen, string(block.Bytes))
			merged = append(merged, pem.EncodeToMemory(block)...)
		}
	}
	return merged, nil
}

// hostName gives the first label of the host's name.
func hostName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the host's name; give one with --name: %w", err)
	}
	name, _, _ = strings.Cut(name, ".")
	return name, nil
}

// addresses gives the addresses under which this host may be reached.
func addresses() []string {
	const most = 64
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // they are only shown to people
	}
	var texts []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && len(texts) < most && n.IP.IsGlobalUnicast() {
			texts = append(texts, n.IP.String())
		}
	}
	return texts
}
