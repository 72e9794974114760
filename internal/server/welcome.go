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

	"github.com/postern-dev/postern/internal/engine"
)

// welcome prints what the first start shows once, and the next commands.
func welcome(w io.Writer, dir string, ready Ready) error {
	sum, err := fingerprint(ready.CA)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(ready.Address)
	if err != nil {
		return err
	}
	ca := filepath.Join(dir, "ca.pem")
	_, err = fmt.Fprintf(w, `Postern has started for the first time.

  CA certificate    %s
  its fingerprint   SHA-256 %s
  user              %s
  password          %s
                    It is shown this once, and good only for choosing another.

Next:
  postern login --server https://localhost:%s --ca %s --user %s
  postern machine token web-1
  postern policy set web-1 --port 22/tcp --max 3h

`, ca, sum, engine.AdminName, ready.AdminPassword, port, ca, engine.AdminName)
	return err
}

func fingerprint(ca []byte) (string, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return "", errors.New("the CA's certificate is not PEM")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}
