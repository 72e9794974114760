package azure_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/postern-dev/postern/api"
)

// certificate makes a certificate for the service principal deploy and its key, and tells the server of it where known.
func (c *cloud) certificate(known bool) (certificate *x509.Certificate, key *rsa.PrivateKey, file string) {
	c.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	c.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "deploy"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	c.must(err)
	certificate, err = x509.ParseCertificate(der)
	c.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	c.must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file = filepath.Join(c.t.TempDir(), "deploy.pem")
	c.must(os.WriteFile(file, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), public...), 0o600))
	if known {
		_, err = c.admin.AddSecret(c.t.Context(), "deploy", api.NewSecret{Certificate: string(public)})
		c.must(err)
	}
	return certificate, key, file
}

// browser makes a program that does what the administrator would in a browser: it signs in on the page that it is given,
// and goes where that page sends it.
func (c *cloud) browser() string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "browser")
	script := "#!/bin/sh\nexec curl -sSfL -o /dev/null --noproxy '*' --cacert '" + c.caFile + "' -H 'Sec-Fetch-Site: same-origin' " +
		"-d name=admin --data-urlencode 'password=" + adminPassword + "' -d answer=allow \"$1\"\n"
	c.must(os.WriteFile(file, []byte(script), 0o700)) //nolint:gosec // it must run
	return file
}

// agree signs the administrator in on the page /device for a device that shows code.
func (c *cloud) agree(code string) {
	c.t.Helper()
	x := &caller{cloud: c, http: c.http()}
	if status, _, text := x.page(http.MethodPost, "/device", url.Values{"code": {code}, "name": {"admin"}, "password": {adminPassword}, "answer": {"allow"}}); status != http.StatusOK {
		c.t.Errorf("the page gave %d %s", status, text)
	}
}

// scopes asks for a token for the server.
func (c *cloud) scopes() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{c.url + "/.default"}}
}
