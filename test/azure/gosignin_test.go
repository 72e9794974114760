package azure_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
)

// TestGoCertificate signs a service principal in by its certificate.
func TestGoCertificate(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	sign := func(known bool) error {
		certificate, key, _ := c.certificate(known)
		for _, tenant := range []string{"adfs", c.tenant} {
			credential, err := azidentity.NewClientCertificateCredential(tenant, c.client,
				[]*x509.Certificate{certificate}, key,
				&azidentity.ClientCertificateCredentialOptions{
					ClientOptions:            c.goCloud(),
					DisableInstanceDiscovery: true,
				})
			if err != nil {
				return err
			}
			if _, err = credential.GetToken(t.Context(), c.scopes()); err != nil {
				return fmt.Errorf("%s: %w", tenant, err)
			}
		}
		return nil
	}
	if err := sign(false); err == nil || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("an unknown certificate gave %v", err)
	}
	if err := sign(true); err != nil {
		t.Error(err)
	}
}

// TestGoDeviceCode signs a person in by a code that they type elsewhere, and uses what that gives.
func TestGoDeviceCode(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	for _, tenant := range []string{"adfs", c.tenant} {
		categories, err := armmonitor.NewEventCategoriesClient(c.device("admin", tenant),
			&arm.ClientOptions{ClientOptions: c.goCloud()})
		c.must(err)
		if found := all(t, categories.NewListPager(nil),
			func(p armmonitor.EventCategoriesClientListResponse) []*armmonitor.LocalizableString { return p.Value }); len(
			found) == 0 {
			t.Errorf("at %s there is no category", tenant)
		}
	}
}
