package azure_test

import (
	"context"
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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/postern-dev/postern/api"
)

// certificate makes a certificate for the service principal deploy and its key, and tells the server of it where known.
func (c *cloud) certificate(known bool) (certificate *x509.Certificate, key *rsa.PrivateKey, file string) {
	c.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	c.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "deploy"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	c.must(err)
	certificate, err = x509.ParseCertificate(der)
	c.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	c.must(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file = filepath.Join(c.t.TempDir(), "deploy.pem")
	c.must(os.WriteFile(file, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), public...),
		0o600))
	if known {
		_, err = c.admin.AddSecret(c.t.Context(), "deploy", api.NewSecret{Certificate: string(public)})
		c.must(err)
	}
	return certificate, key, file
}

// browser makes a program that does what the administrator would in a browser: it signs in on the page that it is
// given, and goes where that page sends it.
func (c *cloud) browser() string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "browser")
	script := "#!/bin/sh\nexec curl -sSfL -o /dev/null --noproxy '*' --cacert '" + c.caFile +
		"' -H 'Sec-Fetch-Site: same-origin' " +
		"-d name=admin --data-urlencode 'password=" + adminPassword + "' -d answer=allow \"$1\"\n"
	c.must(os.WriteFile(file, []byte(script), 0o700)) //nolint:gosec // it must run
	return file
}

// agree signs somebody in on the page /device for a device that shows code.
func (c *cloud) agree(name, code string) {
	c.t.Helper()
	x := &caller{cloud: c, http: c.http()}
	if status, _, text := x.page(http.MethodPost, "/device",
		url.Values{
			"code": {code}, "name": {name}, "password": {adminPassword},
			"answer": {"allow"},
		}); status != http.StatusOK {
		c.t.Errorf("the page gave %d %s", status, text)
	}
}

// user makes a person without any role, who signs in by a device code.
func (c *cloud) user(name string) (id string, credential azcore.TokenCredential) {
	c.t.Helper()
	made, err := c.admin.CreatePrincipal(c.t.Context(),
		api.NewPrincipal{Kind: "user", Name: name, Password: adminPassword})
	c.must(err)
	return made.Principal.ID, c.device(name, "adfs")
}

// person makes a user without any role, signed in to the native API.
func (c *cloud) person(name string) *api.Client {
	c.t.Helper()
	_, err := c.admin.CreatePrincipal(c.t.Context(),
		api.NewPrincipal{Kind: "user", Name: name, Password: adminPassword})
	c.must(err)
	session, err := c.admin.SignIn(c.t.Context(), api.SignIn{Name: name, Password: adminPassword})
	c.must(err)
	return c.admin.WithToken(session.Token)
}

// device is the credential of a person who signs in on a device, by a code that they type elsewhere.
func (c *cloud) device(name, tenant string) azcore.TokenCredential {
	c.t.Helper()
	credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: c.goCloud(), DisableInstanceDiscovery: true, TenantID: tenant,
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			if m.VerificationURL != c.url+"/device" {
				c.t.Errorf("the page is %s", m.VerificationURL)
			}
			c.agree(name, m.UserCode) //nolint:contextcheck // it happens in a browser elsewhere
			return nil
		},
	})
	c.must(err)
	return credential
}

// with calls with the token of a credential.
func (c *cloud) with(credential azcore.TokenCredential) *caller {
	c.t.Helper()
	token, err := credential.GetToken(c.t.Context(), c.scopes())
	c.must(err)
	return &caller{cloud: c, http: c.http(), token: token.Token}
}

// scopes asks for a token for the server.
func (c *cloud) scopes() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{c.url + "/.default"}}
}
