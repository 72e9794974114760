package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

// The two generations of packages make the policy in two ways.
const (
	generationA = `"[parse(concat('{\"jitAccessEnabled\":', string(steps('jitConfiguration').jitConfigurationControl.jitEnabled), ',\"jitApprovalMode\":\"', steps('jitConfiguration').jitConfigurationControl.jitApprovalMode, '\",\"maximumJitAccessDuration\":\"', steps('jitConfiguration').jitConfigurationControl.maxAccessDuration, '\",\"jitApprovers\":', string(steps('jitConfiguration').jitConfigurationControl.approvers), '}'))]"`
	generationB = `"[steps('jitConfiguration').jitConfigurationControl]"`
)

func form(policy string) string {
	return `{"$schema": "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#",
 "handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview",
 "parameters": {
  "basics": [{"name": "size", "type": "Microsoft.Common.DropDown", "label": "Size", "defaultValue": "small",
    "constraints": {"allowedValues": [{"label": "Small", "value": "small"}, {"label": "Large", "value": "large"}], "required": true}}],
  "steps": [
   {"name": "web", "label": "Web", "elements": [
     {"name": "names", "type": "Microsoft.Common.Section", "label": "Names", "elements": [
       {"name": "host", "type": "Microsoft.Common.TextBox", "label": "Host", "defaultValue": "[concat('web-', basics('size'))]", "constraints": {"required": true}}]},
     {"name": "extra", "type": "Microsoft.Common.TextBox", "label": "Extra", "visible": "[equals(basics('size'), 'large')]", "constraints": {"required": true}}]},
   {"name": "jitConfiguration", "label": "JIT Configuration", "elements": [
     {"name": "jitConfigurationControl", "type": "Microsoft.Solutions.JitConfigurator", "label": "JIT"}]}],
  "outputs": {"size": "[toLower(basics('size'))]", "host": "[steps('web').names.host]", "extra": "[coalesce(steps('web').extra, 'none')]",
    "gone": "[steps('web').extra]", "applicationResourceName": "[concat('shop-', basics('size'))]", "jitAccessPolicy": ` + policy + `}}}`
}

func drawSettings(t *rapid.T) app.Settings {
	s := app.Settings{
		JIT:  rapid.Bool().Draw(t, "jit"),
		Mode: rapid.SampledFrom([]app.Mode{app.Automatic, app.Manual}).Draw(t, "mode"),
	}
	s.Longest = time.Duration(rapid.IntRange(5, 24*60).Draw(t, "minutes")) * time.Minute
	s.Approvers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) app.Approver {
		return app.Approver{
			ID:   access.PrincipalID(rapid.StringMatching(`[a-f0-9-]{8,36}`).Draw(t, "id")),
			Kind: rapid.SampledFrom([]access.PrincipalKind{access.User, access.Group}).Draw(t, "kind"),
			Name: rapid.String().Draw(t, "name"),
		}
	}), 0, 4).Draw(t, "approvers")
	return s
}

// TestBothGenerationsPutOutTheSettings checks that whatever was set comes out of either sort of package as it went in.
func TestBothGenerationsPutOutTheSettings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawSettings(t)
		for name, text := range map[string]string{"first": form(generationA), "second": form(generationB)} {
			parsed, reasons := app.ParseForm(text)
			if len(reasons) > 0 {
				t.Fatalf("%s: %v", name, reasons)
			}
			filled, reasons := parsed.Fill(app.Answers{}, want, app.Values{})
			if len(reasons) > 0 || filled.Settings == nil || !filled.Settings.Equal(want) {
				t.Fatalf("%s generation: got %+v %v, want %+v", name, filled.Settings, reasons, want)
			}
		}
	})
}

func TestFill(t *testing.T) {
	t.Parallel()
	parsed, reasons := app.ParseForm(form(generationB))
	if len(reasons) > 0 {
		t.Fatal(reasons)
	}
	filled, reasons := parsed.Fill(app.Answers{}, app.Settings{JIT: true, Mode: app.Automatic, Longest: time.Hour},
		app.Values{})
	if len(reasons) > 0 {
		t.Fatal(reasons)
	}
	value := func(s string) map[string]any { return map[string]any{"value": s} }
	if diff := cmp.Diff(map[string]any{"size": value("small"), "host": value("web-small"), "extra": value("none")},
		filled.Parameters); diff != "" {
		t.Error(diff)
	}
	if filled.Name != "shop-small" {
		t.Errorf("got the name %q", filled.Name)
	}
	large := app.Answers{Basics: map[string]any{"size": "Large"}}
	if _, reasons := parsed.Fill(app.Answers{Basics: map[string]any{"size": "large"}}, app.Settings{},
		app.Values{}); cmp.Diff([]string{"answerMissing"}, codes(reasons)) != "" {
		t.Errorf("an element that is shown and required has no answer: %v", reasons)
	}
	large.Steps = map[string]map[string]any{"web": {"extra": "yes", "names": map[string]any{"host": "other"}}}
	filled, reasons = parsed.Fill(large, app.Settings{}, app.Values{})
	if len(reasons) > 0 || cmp.Diff(value("large"),
		filled.Parameters["size"]) != "" || cmp.Diff(value("other"), filled.Parameters["host"]) != "" {
		t.Errorf("got %+v %v", filled, reasons)
	}
}

func TestFormIsRefusedWithEveryReason(t *testing.T) {
	t.Parallel()
	good := form(generationB)
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"as it should be": {good, nil},
		"no JSON":         {"{", []string{"malformedForm"}},
		"a list":          {"[]", []string{"malformedForm"}},
		"a name twice":    {`{"handler": 1, "handler": 2}`, []string{"malformedForm"}},
		"nothing":         {"{}", []string{"parametersMissing", "unknownHandler", "unknownVersion"}},
		"other handler": {
			strings.Replace(good, "Azure.CreateUIDef", "Azure.Other", 1),
			[]string{"unknownHandler"},
		},
		"other schema": {
			strings.Replace(good, "schemas/0.1.2-preview", "schemas/0.1.1-preview", 1),
			[]string{"otherSchema"},
		},
		"other element": {
			strings.Replace(good, "Common.DropDown", "Common.Lever", 1),
			[]string{"unknownElement"},
		},
		"same name": {
			strings.Replace(good, `"name": "extra"`, `"name": "names"`, 1),
			[]string{"duplicateName"},
		},
		"bad name": {
			strings.Replace(good, `"name": "extra"`, `"name": "2 b"`, 1),
			[]string{"malformedName"},
		},
		"no label": {strings.Replace(good, `"label": "Size",`, ``, 1), []string{"labelMissing"}},
		"expression": {
			strings.Replace(good, "toLower(", "toLoud(", 1),
			[]string{"malformedExpression"},
		},
		"in a constraint": {
			strings.Replace(good, `"visible": "[equals(`, `"visible": "[equals((`, 1),
			[]string{"malformedExpression"},
		},
		"policy without its element": {
			strings.Replace(good, "Solutions.JitConfigurator", "Common.CheckBox", 1),
			[]string{"jitMissing"},
		},
		"two such elements": {
			strings.Replace(good, `{"name": "extra", "type": "Microsoft.Common.TextBox"`,
				`{"name": "extra", "type": "Microsoft.Solutions.JitConfigurator"`, 1),
			[]string{"duplicateJIT"},
		},
		"steps are no list": {
			strings.Replace(good, `"steps": [`, `"steps": 1, "other": [`, 1),
			[]string{"jitMissing", "malformedSteps"},
		},
	} {
		if _, reasons := app.ParseForm(tc.text); cmp.Diff(tc.want, codes(reasons)) != "" {
			t.Errorf("%s: %s", name, cmp.Diff(tc.want, codes(reasons)))
		}
	}
}

func TestStepForJITIsAddedWhereThereIsNone(t *testing.T) {
	t.Parallel()
	parsed, reasons := app.ParseForm(`{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {"outputs": {"a": 1}}}`)
	if len(reasons) > 0 || parsed.HasJIT() {
		t.Fatalf("%+v %v", parsed, reasons)
	}
	want := app.Settings{
		JIT: true, Mode: app.Manual, Longest: time.Hour,
		Approvers: []app.Approver{{ID: "ann", Kind: access.User, Name: "Ann"}},
	}
	filled, reasons := parsed.WithJIT().Fill(app.Answers{}, want, app.Values{})
	if len(reasons) > 0 || filled.Settings == nil || !filled.Settings.Equal(want) || parsed.HasJIT() {
		t.Errorf("got %+v %v", filled, reasons)
	}
}

func TestPolicyIsRefusedWithEveryReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		policy any
		want   []string
	}{
		"nothing":     {nil, []string{"malformedPolicy"}},
		"bad text":    {"{", []string{"malformedPolicy"}},
		"text":        {`{"jitAccessEnabled": true, "other": 1}`, nil},
		"no decision": {map[string]any{}, []string{"jitAccessEnabledMissing"}},
		"all wrong": {map[string]any{
			"jitAccessEnabled": "yes", "jitApprovalMode": "Perhaps", "maximumJitAccessDuration": "08:00:00",
			"jitApprovers": "ann",
		}, []string{"jitAccessEnabledMissing", "malformedApprovers", "malformedDuration", "unknownMode"}},
		"approvers": {
			map[string]any{
				"jitAccessEnabled": true,
				"jitApprovers":     []any{map[string]any{"type": "Robot"}, 3},
			},
			[]string{"approverKind", "approverMissing", "approverMissing"},
		},
	} {
		if _, reasons := app.ReadPolicy(tc.policy); cmp.Diff(tc.want, codes(reasons)) != "" {
			t.Errorf("%s: %s", name, cmp.Diff(tc.want, codes(reasons)))
		}
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add(form(generationA))
	f.Add(form(generationB))
	f.Add(`{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {"steps": [{"name": "a", "label": "A", "elements": [[]]}]}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		parsed, reasons := app.ParseForm(text)
		if len(reasons) > 0 {
			return
		}
		// What is accepted can be filled in, well or with reasons.
		_, _ = parsed.WithJIT().Fill(app.Answers{}, app.Settings{JIT: true}, app.Values{Now: noon()})
		_ = parsed.WithJIT().Show(app.Answers{}, app.Settings{JIT: true}, app.Values{Now: noon()})
	})
}
