package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func shopOffer(change func(*apps.AppDefinitionInput)) apps.AppDefinitionInput {
	in := apps.AppDefinitionInput{
		Name: "shop",
		Definition: app.Definition{
			DisplayName: "Shop", JIT: app.Offer{Available: true, Longest: 4 * time.Hour},
			Endpoint:       "https://hooks.vendor.example/az?sig=secret",
			Authorizations: []app.Authorization{{Principal: "vendors", Role: "contributor"}},
		},
	}
	if change != nil {
		change(&in)
	}
	return in
}

func TestApplicationDefinitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: "vendors"}))(t)
	start := w.size()
	d, created, err := w.Apps.WriteAppDefinition(w.ctx, w.admin, shopOffer(nil))
	if err != nil || !created || d.Definition.Version != "1.0.0" || d.Definition.Revision != 1 ||
		d.Definition.Lock != app.LockReadOnly || !d.Form.HasJIT() {
		t.Fatalf("got %+v %v %v", d.Definition, created, err)
	}
	if got := w.kinds(start); got != "applicationDefinition.written" {
		t.Errorf("events are %q", got)
	}
	start = w.size()
	if same, created, err := w.Apps.WriteAppDefinition(w.ctx, w.admin,
		shopOffer(nil)); err != nil || created || same.Definition.Revision != 1 || w.size() != start {
		t.Errorf("what is the same was written again: %+v %v", same.Definition, err)
	}
	changed, _, err := w.Apps.WriteAppDefinition(w.ctx, w.admin, shopOffer(func(in *apps.AppDefinitionInput) {
		in.Description, in.Endpoint, in.KeepEndpoint = "more", "", true
	}))
	if err != nil || changed.Definition.Version != "1.0.1" || changed.Definition.Revision != 2 ||
		changed.Definition.Endpoint != d.Definition.Endpoint {
		t.Errorf("changed: %+v %v", changed.Definition, err)
	}
	if history := must(w.Apps.AppDefinitionHistory(w.ctx, w.admin, "shop"))(
		t); len(history) != 2 || history[1].Definition.Version != "1.0.0" {
		t.Errorf("history is %+v", history)
	}
	reader := w.user("rita", "Reader")
	if seen := must(w.Apps.AppDefinition(w.ctx, reader, "SHOP"))(
		t); strings.Contains(seen.Definition.Endpoint, "secret") {
		t.Errorf("a reader sees the endpoint's secret: %s", seen.Definition.Endpoint)
	}
	_, _, err = w.Apps.WriteAppDefinition(w.ctx, reader, shopOffer(nil))
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Apps.DeleteAppDefinition(w.ctx, reader, "shop")
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Apps.AppDefinition(w.ctx, w.user("nora", ""), "shop")
	wantCode(t, err, access.KindNotFound, "unknownApplicationDefinition")

	for name, c := range map[string]struct {
		change func(*apps.AppDefinitionInput)
		kind   access.Kind
		code   string
	}{
		"version": {
			func(in *apps.AppDefinitionInput) { in.Version, in.Description = "1.0.0", "x" },
			access.KindConflict, "versionNotRaised",
		},
		"stale": {
			func(in *apps.AppDefinitionInput) { one := int64(1); in.Was = &one }, access.KindConflict,
			"applicationDefinitionChanged",
		},
		"stranger": {
			func(in *apps.AppDefinitionInput) { in.Authorizations[0].Principal = "nobody" },
			access.KindInvalid, "unknownPrincipal",
		},
		"no such role": {
			func(in *apps.AppDefinitionInput) { in.Authorizations[0].Role = "Emperor" },
			access.KindInvalid, "unknownRole",
		},
		"tenant": {
			func(in *apps.AppDefinitionInput) { in.Audience = []access.TenantID{"nowhere"} }, access.KindInvalid,
			"unknownTenant",
		},
		"group": {
			func(in *apps.AppDefinitionInput) { in.Group = "nowhere" }, access.KindNotFound,
			"unknownResourceGroup",
		},
		"name": {func(in *apps.AppDefinitionInput) { in.Name = "a b" }, access.KindInvalid, "malformedName"},
		"another's type": {func(in *apps.AppDefinitionInput) {
			in.Resource = access.ResourceID(
				strings.Replace(string(d.Definition.Resource), "applicationDefinitions", "applications", 1))
		}, access.KindInvalid, "malformedResourceId"},
	} {
		_, _, err := w.Apps.WriteAppDefinition(w.ctx, w.admin, shopOffer(c.change))
		if access.KindOf(err) != c.kind || access.CodeOf(err) != c.code {
			t.Errorf("%s: got %v (%s), want %s", name, err, access.CodeOf(err), c.code)
		}
	}
	list := must(w.Apps.AppDefinitions(w.ctx, w.admin, "", false, engine.Page{}))(t)
	if len(list.Items) != 1 {
		t.Errorf("listed are %d definitions", len(list.Items))
	}
	if n, err := w.Apps.DeleteAppDefinition(w.ctx, w.admin, string(d.Definition.Resource)); err != nil || n != 0 {
		t.Errorf("deleted with %d applications: %v", n, err)
	}
	if diff := cmp.Diff(0, len(must(w.Apps.AppDefinitions(w.ctx, w.admin, "", false, engine.Page{}))(t).Items)); diff != "" {
		t.Error(diff)
	}
}
