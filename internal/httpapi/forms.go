package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine/apps"
)

func (a *API) formRoutes() {
	register(a, operation{
		method: http.MethodPost, path: "/application-definitions/{definition}/form", id: "evaluateApplicationForm",
		tag: applicationsTag, entry: people,
		summary: "Tell how the form of a definition stands with the answers so far; nothing is kept",
	}, a.evaluateForm)
	register(a, operation{
		method: http.MethodPost, path: "/application-forms", id: "evaluateApplicationFormDraft",
		tag: applicationsTag, entry: people, maxBody: 3 << 20,
		summary: "Tell what is wrong with a form that is not published yet, or how it stands with answers; nothing is " +
			"kept",
	}, a.evaluateFormDraft)
}

type formInput struct {
	calling

	Definition string `path:"definition" maxLength:"2048" doc:"Name or resource id; another tenant's as tenant/name."`
	Body       api.FormQuestion
}

func (a *API) evaluateForm(ctx context.Context, in *formInput) (*answer[api.FormState], error) {
	input, err := questionIn(in.Body)
	if err != nil {
		return nil, err
	}
	input.Definition = in.Definition
	s, err := a.engine.Apps.AppForm(ctx, in.caller, input)
	return &answer[api.FormState]{formStateOut(s)}, err
}

type formDraftInput struct {
	calling

	Body api.FormDraft
}

func (a *API) evaluateFormDraft(ctx context.Context, in *formDraftInput) (*answer[api.FormState], error) {
	input, err := questionIn(in.Body.FormQuestion)
	if err != nil {
		return nil, err
	}
	b := in.Body
	draft := app.Definition{Form: b.CreateUIDefinition, JIT: offerIn(b.JIT)}
	s, mistakes, err := a.engine.Apps.AppFormDraft(ctx, in.caller, draft, input)
	out := formStateOut(s)
	for _, m := range mistakes {
		out.Mistakes = append(out.Mistakes, api.FormMistake{
			Reason: api.Reason{Code: m.Code, Field: m.Field, Message: m.Message},
			Line:   app.Line(b.CreateUIDefinition, m.Field),
		})
	}
	return &answer[api.FormState]{out}, err
}

func questionIn(q api.FormQuestion) (apps.ApplicationInput, error) {
	answers, err := allAnswersIn(q.Basics, q.Steps)
	return apps.ApplicationInput{
		Name: q.Name, Group: q.ResourceGroup, Managed: q.ManagedResourceGroup, Shown: q.DefinitionDigest,
		Settings: settingsIn(q.Settings), Answers: answers, Form: true,
		Seed: q.Seed,
	}, err
}

// allAnswersIn reads the answers to a form.
func allAnswersIn(basics api.Answers, steps map[string]api.Answers) (answers app.Answers, err error) {
	answers.Steps = map[string]map[string]any{}
	if answers.Basics, err = answersIn(basics); err != nil {
		return answers, err
	}
	for step, given := range steps {
		if answers.Steps[step], err = answersIn(given); err != nil {
			return answers, err
		}
	}
	return answers, nil
}

func formStateOut(s apps.FormState) api.FormState {
	out := api.FormState{
		Steps: []api.FormPage{}, Ready: s.Ready, Wizard: s.Wizard, Settings: settingsOut(s.Settings), JIT: offerOut(s.Offer),
		Digest: s.Digest, Problems: reasonsOut(s.Problems),
	}
	if s.Ready {
		out.Parameters = s.Filled.EncodeParameters()
	}
	for _, step := range s.Steps {
		out.Steps = append(out.Steps, api.FormPage{
			Name: step.Name, Label: step.Label, Title: richOut(step.Title), Lead: richOut(step.Lead),
			Before: richOut(step.Before), After: richOut(step.After), Valid: step.Valid, Fields: fieldsOut(step.Fields),
		})
	}
	return out
}

func reasonsOut(reasons []access.Reason) []api.Reason {
	var out []api.Reason
	for _, r := range reasons {
		out = append(out, api.Reason{Code: r.Code, Field: r.Field, Message: r.Message})
	}
	return out
}

func richOut(text app.Rich) []api.FormSpan {
	var out []api.FormSpan
	for _, span := range text {
		out = append(out, api.FormSpan{Text: span.Text, Link: span.Link})
	}
	return out
}

func fieldsOut(fields []app.Field) []api.FormField {
	var out []api.FormField
	for _, f := range fields {
		one := api.FormField{
			Name: f.Name, Path: f.Path, Kind: string(f.Kind), Type: f.Type, Label: f.Label, Tip: richOut(f.Tip),
			Text: richOut(f.Text), Icon: f.Icon, Placeholder: f.Placeholder, Unit: f.Unit, Required: f.Required,
			Multiple: f.Multiple, Confirm: f.Confirm, Value: f.Value, Open: f.Open, Min: f.Min, Max: f.Max,
			Resources: f.Resources, Fields: fieldsOut(f.Fields), Problem: f.Problem,
		}
		for _, c := range f.Choices {
			one.Choices = append(one.Choices,
				api.FormOption{Label: c.Label, Description: c.Description, Value: c.Value})
		}
		for _, p := range f.Parts {
			one.Parts = append(one.Parts, api.FormPart{
				Path: p.Path, Label: p.Label, Kind: string(p.Kind), Lines: p.Lines, Choices: p.Choices, When: p.When,
				Is: p.Is,
			})
		}
		for _, row := range f.Rows {
			one.Rows = append(one.Rows, fieldsOut(row))
		}
		out = append(out, one)
	}
	return out
}
