package engine_test

import (
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
)

const shopForm = `{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {
 "basics": [{"name": "site", "type": "Microsoft.Common.TextBox", "label": "Site", "constraints": {"required": true, "regex": "^[a-z]+$", "validationMessage": "Small letters."}}],
 "outputs": {"site": "[basics('site')]", "group": "[resourceGroup().name]"}}}`

// TestAppForm fills a form in as it is typed: what is shown as ready is deployed, and what is not is refused.
func TestAppForm(t *testing.T) {
	t.Parallel()
	m := newMarket(t, func(in *apps.AppDefinitionInput) { in.Public, in.Form = true, shopForm })
	in := apps.ApplicationInput{Name: "shop", Definition: "vendor/shop", Form: true}
	before := m.size()
	s := must(m.Apps.AppForm(m.ctx, m.admin, in))(t)
	if s.Ready || s.Steps[0].Fields[0].Problem == "" || s.Steps[1].Fields[0].Kind != app.KindJIT || !s.Settings.JIT {
		t.Errorf("an empty form is %+v", s)
	}
	_, err := m.Apps.DeployApplication(m.ctx, m.admin, in)
	wantCode(t, err, access.KindInvalid, "answerMissing")
	in.Answers.Basics = map[string]any{"site": "web"}
	in.Settings = &app.Settings{JIT: true, Mode: app.Manual}
	if s := must(m.Apps.AppForm(m.ctx, m.admin, in))(t); s.Ready || len(s.Problems) == 0 ||
		!strings.Contains(s.Problems[0].Field, "jitApprovers") {
		t.Errorf("settings without approvers are %+v", s.Problems)
	}
	in.Settings, in.Shown = manual(), s.Digest
	s = must(m.Apps.AppForm(m.ctx, m.admin, in))(t)
	if !s.Ready || s.Settings.Approvers[0].Name != "ann" || s.Steps[0].Fields[0].Problem != "" {
		t.Errorf("a form that is filled in is %+v", s)
	}
	if m.size() != before {
		t.Error("looking at a form is on the activity log")
	}
	d := must(m.Apps.DeployApplication(m.ctx, m.admin, in))(t)
	if d.Application.Parameters != s.Filled.EncodeParameters() || !d.Application.Settings.Equal(s.Settings) {
		t.Errorf("%s was deployed, not %s", d.Application.Parameters, s.Filled.EncodeParameters())
	}
	s = must(m.Apps.AppForm(m.ctx, m.admin, in))(t)
	if s.Ready || len(s.Problems) != 1 || s.Problems[0].Code != "applicationExists" || s.Problems[0].Field != "name" {
		t.Errorf("a name that is taken is %+v", s.Problems)
	}
	in.Shown = "other"
	_, err = m.Apps.AppForm(m.ctx, m.admin, in)
	wantCode(t, err, access.KindConflict, "applicationDefinitionChanged")
	_, err = m.Apps.AppForm(m.ctx, m.vic, in)
	if err == nil {
		t.Error("somebody who may deploy nothing fills a form in")
	}
	_, stranger := m.tenant("another")
	in.Definition = string(m.definition.Definition.Resource)
	if _, err := m.Apps.AppForm(m.ctx, stranger, in); err != nil && access.KindOf(err) == access.KindInternal {
		t.Error(err)
	}
}

// TestAppFormDraft tries a form out before it is published.
func TestAppFormDraft(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	draft := app.Definition{Form: strings.Replace(shopForm, "TextBox", "Lever", 1)}
	_, mistakes, err := m.Apps.AppFormDraft(m.ctx, m.vera, draft, apps.ApplicationInput{})
	if err != nil || len(mistakes) != 1 || mistakes[0].Code != "unknownElement" || !strings.HasPrefix(
		mistakes[0].Message, "line 2: ") {
		t.Errorf("a form with a mistake is %+v %v", mistakes, err)
	}
	draft.Form = shopForm
	s, mistakes, err := m.Apps.AppFormDraft(m.ctx, m.vera, draft,
		apps.ApplicationInput{Answers: app.Answers{Basics: map[string]any{"site": "A"}}})
	if err != nil || len(mistakes) > 0 || s.Steps[0].Fields[0].Problem != "Small letters." || len(s.Steps) != 1 {
		t.Errorf("a draft is %+v %v %v", s, mistakes, err)
	}
	_, _, err = m.Apps.AppFormDraft(m.ctx, engine.Caller{Principal: m.vic.Principal, Tenant: m.vic.Tenant}, draft,
		apps.ApplicationInput{})
	if access.KindOf(err) != access.KindForbidden {
		t.Errorf("somebody who may publish nothing tries a form out: %v", err)
	}
}

// TestOwnDefinitionsAlone lists what a tenant publishes, without what others offer it.
func TestOwnDefinitionsAlone(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	names := func(own bool) (names []string) {
		for _, d := range must(m.Apps.AppDefinitions(m.ctx, m.admin, "", own, engine.Page{}))(t).Items {
			names = append(names, string(d.Definition.Tenant))
		}
		return names
	}
	if own, all := names(true), names(false); len(own) != 0 || len(all) != 1 {
		t.Errorf("own are %v, all are %v", own, all)
	}
}
