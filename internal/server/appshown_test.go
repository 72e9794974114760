package server_test

import (
	"net/http"
	"testing"

	"github.com/postern-dev/postern/api"
)

// Over the API as well, a customer agrees to what it was shown, and changes the terms that it read.
func TestApplicationsAreChangedAsTheyWereRead(t *testing.T) {
	t.Parallel()
	r, ctx := start(t), t.Context()
	admin := r.admin()
	_, err := admin.CreatePrincipal(ctx, api.NewPrincipal{Kind: "group", Name: "vendors"})
	if err != nil {
		t.Fatal(err)
	}
	offer := func(role string) api.ApplicationDefinition {
		d, err := admin.SetApplicationDefinition(ctx, "shop", api.ApplicationDefinitionInput{
			JIT:            api.ApplicationOffer{Available: true},
			Authorizations: []api.ApplicationAuthorization{{Principal: "vendors", Role: role}},
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	conflict := func(what string, err error) {
		if problem, ok := err.(*api.Problem); !ok || problem.Status != http.StatusConflict { //nolint:errorlint // as the client gives it
			t.Errorf("%s gives %v", what, err)
		}
	}
	first := offer("Reader")
	second := offer("Contributor")
	in := api.NewApplication{Name: "shop", Definition: "shop", DefinitionDigest: first.Digest}
	_, err = admin.DeployApplication(ctx, in)
	conflict("deploying what was changed", err)
	in.DefinitionDigest = second.Digest
	v, err := admin.DeployApplication(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	third := offer("Owner")
	_, err = admin.RefreshApplication(ctx, "shop", second.Digest)
	conflict("accepting what was changed", err)
	if _, err = admin.RefreshApplication(ctx, "shop", ""); err == nil {
		t.Error("an update is accepted that nobody names")
	}
	if now, err := admin.Application(ctx, "shop"); err != nil || now.Authorizations[0].Role != "Contributor" {
		t.Errorf("the application has become %+v, %v", now, err)
	}

	// Two people have read the same terms: who comes second takes nothing of the first one's back.
	stricter := api.ApplicationChange{Settings: &api.ApplicationSettings{
		JIT: true, Approval: "manual", MaxSeconds: 3600, Approvers: []api.ApplicationApprover{{Name: "admin"}},
	}}
	if _, err := admin.ChangeApplication(ctx, "shop", stricter, v.Revision); err != nil {
		t.Fatal(err)
	}
	older := api.ApplicationChange{Settings: &api.ApplicationSettings{JIT: true, Approval: "automatic", MaxSeconds: 600}}
	_, err = admin.ChangeApplication(ctx, "shop", older, v.Revision)
	conflict("changing what was changed", err)
	now, err := admin.Application(ctx, "shop")
	if err != nil || now.Settings.Approval != "manual" || len(now.Settings.Approvers) != 1 {
		t.Errorf("the terms have become %+v, %v", now.Settings, err)
	}
	if now, err = admin.RefreshApplication(ctx, "shop", third.Digest); err != nil || now.Authorizations[0].Role != "Owner" {
		t.Errorf("what was shown and accepted is %+v, %v", now, err)
	}
	if _, err := admin.ChangeApplication(ctx, "shop", older, now.Revision); err != nil {
		t.Error(err)
	}
}
