package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"

	"github.com/postern-dev/postern/internal/engine/directory"
)

// welcome prints what the first start shows once, and the next commands.
func welcome(w io.Writer, c Config, dir string, ready Ready) error {
	sum, err := fingerprint(ready.CA)
	if err != nil {
		return err
	}
	address, err := reached(c, ready.Address)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `Postern has started for the first time.

  CA certificate    %s
  its fingerprint   SHA-256 %s
  user              %s
  password          %s
                    It is shown this once, and good only for choosing another.

Open it in a browser, which warns of the connection until it trusts the CA certificate, %s/install/ca.pem:
  %s

Or go on with the command line, on your own computer:
  postern login --server %s --ca-fingerprint %s --user %s
  postern machine token web-1
which prints the command that enrolls the machine, to run there as root; it asks for the token:
  postern agent enroll --server %s --ca-fingerprint %s
  systemctl enable --now postern-guard postern-agent
and on your own computer again, to close its port 22 but for those who ask:
  postern policy set web-1 --port 22/tcp --max 3h

`, filepath.Join(dir, "ca.pem"), sum, directory.AdminName, ready.AdminPassword, address, address, address, sum,
		directory.AdminName, address, sum)
	return err
}

// reached gives the address under which people most likely reach the server, which listens at address: what is
// configured, or this host's name.
func reached(c Config, address string) (string, error) {
	if c.PublicURL != "" {
		return c.PublicURL, nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", err
	}
	c.Listen = net.JoinHostPort(host, port) // the real port, where any free one was asked for
	return guessPublic(c), nil
}

func fingerprint(ca []byte) (string, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return "", errors.New("the CA's certificate is not PEM")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}
