package app

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// JITElement is the type of the element by which a form asks for the terms of just-in-time access.
const JITElement = "Microsoft.Solutions.JitConfigurator"

// Form is a createUiDefinition that was understood: what it asks, and what it makes of the answers.
type Form struct {
	Basics  []Element
	Steps   []Step
	Outputs map[string]any // texts in it may be expressions
	Wizard  bool           // each step is checked before the next
	Lead    any            // what stands above the basics; may be an expression
}

// Step is a page of a form.
type Step struct {
	Name     string
	Label    string
	Title    any // above its elements, and below its label before it is checked and once it is; may be expressions
	Before   any
	After    any
	Elements []Element
}

// Limits of a form.
const (
	maxFormSteps    = 50
	maxFormElements = 500
	formHandler     = "Microsoft.Azure.CreateUIDef"
	formVersion     = "0.1.2-preview"
)

// ParseForm reads a createUiDefinition, and gives every reason for which it is not one; none where it is.
func ParseForm(text string) (Form, []access.Reason) {
	f, reasons := parseForm(text)
	return f, located(text, reasons)
}

func parseForm(text string) (Form, []access.Reason) {
	r := formReader{}
	if len(text) > MaxDocument {
		r.add("documentTooLong", "createUiDefinition", "the document has %d bytes; %d are allowed", len(text),
			MaxDocument)
		return Form{}, r.reasons
	}
	document, err := decodeObject(text)
	if err != nil {
		r.add("malformedForm", "createUiDefinition", "%v", err)
		return Form{}, r.reasons
	}
	if handler, _ := document.of["handler"].(string); !strings.EqualFold(handler, formHandler) {
		r.add("unknownHandler", "createUiDefinition.handler", "the handler is %s, not %q", formHandler, clip(handler))
	}
	version, _ := document.of["version"].(string)
	if version != formVersion {
		r.add("unknownVersion", "createUiDefinition.version", "the version is %s, not %q", formVersion, clip(version))
	}
	if schema, ok := document.of["$schema"].(string); ok && !strings.Contains(schema, "/"+version+"/") {
		r.add("otherSchema", "createUiDefinition.$schema", "the schema is of another version than %s", formVersion)
	}
	parameters, ok := objectOf(document.of["parameters"])
	if !ok {
		r.add("parametersMissing", "createUiDefinition.parameters",
			"the form has no parameters, which hold its basics, steps and outputs")
		return Form{}, r.reasons
	}
	f := r.form(parameters.of)
	return f, r.reasons
}

type formReader struct {
	reasons

	elements int
}

func (r *formReader) form(parameters map[string]any) Form {
	const at = "createUiDefinition.parameters"
	f := Form{Outputs: map[string]any{}}
	if config, ok := objectOf(parameters["config"]); ok {
		f.Wizard, _ = config.of["isWizard"].(bool)
		basics, _ := objectOf(config.of["basics"])
		f.Lead = basics.of["description"]
	}
	f.Basics = r.list(parameters["basics"], at+".basics")
	steps, ok := parameters["steps"].([]any)
	if parameters["steps"] != nil && !ok || len(steps) > maxFormSteps {
		r.add("malformedSteps", at+".steps", "steps is an array of at most %d", maxFormSteps)
		steps = nil
	}
	for i, s := range steps {
		field := fmt.Sprintf("%s.steps[%d]", at, i)
		object, ok := objectOf(s)
		if !ok {
			r.add("malformedStep", field, "a step is an object")
			continue
		}
		if len(object.names) == 0 {
			continue // it stands for nothing
		}
		below, _ := objectOf(object.of["subLabel"])
		step := Step{
			Name: r.name(object.of, field), Label: r.label(object.of, field, true), Title: object.of["bladeTitle"],
			Before: below.of["preValidation"], After: below.of["postValidation"],
			Elements: r.list(object.of["elements"], field+".elements"),
		}
		if slices.ContainsFunc(f.Steps, func(o Step) bool { return strings.EqualFold(o.Name, step.Name) }) {
			r.add("duplicateName", field+".name", "there is a step %q already", clip(step.Name))
		}
		f.Steps = append(f.Steps, step)
	}
	outputs, ok := objectOf(parameters["outputs"])
	if parameters["outputs"] != nil && !ok {
		r.add("malformedOutputs", at+".outputs", "outputs is an object")
	}
	if ok {
		r.expressions(outputs, at+".outputs")
		f.Outputs = outputs.of
	}
	r.jit(f, at)
	return f
}

// jit refuses more than one element for just-in-time access: there is one policy.
func (r *formReader) jit(f Form, at string) {
	n := 0
	f.walk(func(_ string, e Element) {
		if isJIT(e) {
			n++
		}
	})
	if n > 1 {
		r.add("duplicateJIT", at, "there are %d elements %s; one is enough", n, JITElement)
	}
	if _, has := f.Outputs["jitAccessPolicy"]; n == 0 && has {
		r.add("jitMissing", at+".outputs.jitAccessPolicy",
			"the output is of an element %s, which the form does not have", JITElement)
	}
}

func (r *formReader) name(of map[string]any, field string) string {
	name, _ := of["name"].(string)
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`).MatchString(name) {
		r.add("malformedName", field+".name",
			"the name %q is not a letter and then at most 63 letters, digits, '_' and '-'", clip(name))
	}
	return name
}

func (r *formReader) list(v any, field string) []Element {
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		r.add("malformedElements", field, "elements are an array")
		return nil
	}
	var list []Element
	for i, item := range items {
		if r.elements++; r.elements > maxFormElements {
			r.add("tooManyElements", field, "the form has more than %d elements", maxFormElements)
			return list
		}
		at := fmt.Sprintf("%s[%d]", field, i)
		object, ok := objectOf(item)
		if !ok {
			r.add("malformedElement", at, "an element is an object")
			continue
		}
		if len(object.names) == 0 {
			continue // it stands for nothing
		}
		e := r.element(object.of, at)
		if slices.ContainsFunc(list, func(o Element) bool { return strings.EqualFold(o.Name, e.Name) }) {
			r.add("duplicateName", at+".name", "there is an element %q already", clip(e.Name))
		}
		list = append(list, e)
	}
	return list
}

// expressions refuses the texts in v, at whatever depth, that look like expressions and are none.
func (r *formReader) expressions(v any, field string) {
	const mostReasons = 50
	if len(r.reasons) > mostReasons {
		return
	}
	switch v := v.(type) {
	case string:
		if IsExpression(v) {
			if _, err := ParseExpression(v); err != nil {
				r.add("malformedExpression", field, "%v", err)
			}
		}
	case []any:
		for i, element := range v {
			r.expressions(element, fmt.Sprintf("%s[%d]", field, i))
		}
	case map[string]any, Object:
		o, _ := objectOf(v)
		for _, name := range o.names {
			r.expressions(o.of[name], field+"."+name)
		}
	}
}

func sortedNames(of map[string]any) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// walk calls do for every element with the name of its step, which is empty for the basics.
func (f Form) walk(do func(step string, e Element)) {
	var all func(step string, list []Element)
	all = func(step string, list []Element) {
		for _, e := range list {
			do(step, e)
			all(step, e.Elements)
		}
	}
	all("", f.Basics)
	for _, s := range f.Steps {
		all(s.Name, s.Elements)
	}
}

func isJIT(e Element) bool { return e.Type == JITElement }

// HasJIT tells whether the form asks for the terms of just-in-time access.
func (f Form) HasJIT() bool {
	found := false
	f.walk(func(_ string, e Element) { found = found || isJIT(e) })
	return found
}

// WithJIT gives the form with a step for just-in-time access at its end, where it has none.
func (f Form) WithJIT() Form {
	if f.HasJIT() {
		return f
	}
	f.Steps = append(slices.Clone(f.Steps),
		Step{Name: "jitConfiguration", Label: "JIT Configuration", Elements: []Element{
			{Name: "jitConfigurationControl", Type: JITElement, Label: "JIT Configuration Control"},
		}})
	outputs := map[string]any{"jitAccessPolicy": "[steps('jitConfiguration').jitConfigurationControl]"}
	maps.Copy(outputs, f.Outputs)
	f.Outputs = outputs
	return f
}
