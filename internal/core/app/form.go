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
}

// Step is a page of a form.
type Step struct {
	Name     string
	Label    string
	Elements []Element
}

// Element asks for one thing.
type Element struct {
	Name     string
	Type     string // such as Microsoft.Common.TextBox
	Label    string
	ToolTip  string
	Default  any // may hold expressions
	Visible  any // a bool or an expression; nil: it is shown
	Required any // likewise; nil: it is not
	Allowed  []Choice
	Options  map[string]any
	Elements []Element // of a section
}

// Choice is one of the allowed values of an element.
type Choice struct {
	Label string
	Value any
}

// Limits of a form.
const (
	maxFormSteps    = 50
	maxFormElements = 500
	formHandler     = "Microsoft.Azure.CreateUIDef"
	formVersion     = "0.1.2-preview"
)

// elementTypes are the published types, and the one for just-in-time access. Those that only Azure's portal can draw are
// among them: their answer is given as JSON.
func elementTypes() []string {
	return []string{
		"Microsoft.Common.CheckBox", "Microsoft.Common.DropDown", "Microsoft.Common.EditableGrid", "Microsoft.Common.FileUpload",
		"Microsoft.Common.InfoBox", "Microsoft.Common.OptionsGroup", "Microsoft.Common.PasswordBox", "Microsoft.Common.Section",
		"Microsoft.Common.ServicePrincipalSelector", "Microsoft.Common.Slider", "Microsoft.Common.TagsByResource",
		"Microsoft.Common.TextBlock", "Microsoft.Common.TextBox", "Microsoft.Compute.CredentialsCombo", "Microsoft.Compute.SizeSelector",
		"Microsoft.Compute.UserNameTextBox", "Microsoft.KeyVault.KeyVaultCertificateSelector", "Microsoft.ManagedIdentity.IdentitySelector",
		"Microsoft.Network.PublicIpAddressCombo", "Microsoft.Network.VirtualNetworkCombo", "Microsoft.Solutions.ArmApiControl",
		"Microsoft.Solutions.ResourceSelector", JITElement, "Microsoft.Storage.MultiStorageAccountCombo",
		"Microsoft.Storage.StorageAccountSelector", "Microsoft.Storage.StorageBlobSelector",
	}
}

// ParseForm reads a createUiDefinition, and gives every reason for which it is not one; none where it is.
func ParseForm(text string) (Form, []access.Reason) {
	r := formReader{}
	if len(text) > MaxDocument {
		r.add("documentTooLong", "createUiDefinition", "the document has %d bytes; %d are allowed", len(text), MaxDocument)
		return Form{}, r.reasons
	}
	document, err := decodeObject(text)
	if err != nil {
		r.add("malformedForm", "createUiDefinition", "%v", err)
		return Form{}, r.reasons
	}
	if handler, _ := document["handler"].(string); !strings.EqualFold(handler, formHandler) {
		r.add("unknownHandler", "createUiDefinition.handler", "the handler is %s, not %q", formHandler, clip(handler))
	}
	version, _ := document["version"].(string)
	if version != formVersion {
		r.add("unknownVersion", "createUiDefinition.version", "the version is %s, not %q", formVersion, clip(version))
	}
	if schema, ok := document["$schema"].(string); ok && !strings.Contains(schema, "/"+version+"/") {
		r.add("otherSchema", "createUiDefinition.$schema", "the schema is of another version than %s", formVersion)
	}
	parameters, ok := document["parameters"].(map[string]any)
	if !ok {
		r.add("parametersMissing", "createUiDefinition.parameters", "the form has no parameters, which hold its basics, steps and outputs")
		return Form{}, r.reasons
	}
	f := r.form(parameters)
	return f, r.reasons
}

type formReader struct {
	reasons

	elements int
}

func (r *formReader) form(parameters map[string]any) Form {
	const at = "createUiDefinition.parameters"
	f := Form{Outputs: map[string]any{}}
	if config, ok := parameters["config"].(map[string]any); ok {
		f.Wizard, _ = config["isWizard"].(bool)
	}
	f.Basics = r.list(parameters["basics"], at+".basics")
	steps, ok := parameters["steps"].([]any)
	if parameters["steps"] != nil && !ok || len(steps) > maxFormSteps {
		r.add("malformedSteps", at+".steps", "steps is an array of at most %d", maxFormSteps)
		steps = nil
	}
	for i, s := range steps {
		field := fmt.Sprintf("%s.steps[%d]", at, i)
		object, ok := s.(map[string]any)
		if !ok {
			r.add("malformedStep", field, "a step is an object")
			continue
		}
		step := Step{Name: r.name(object, field), Label: r.label(object, field), Elements: r.list(object["elements"], field+".elements")}
		if slices.ContainsFunc(f.Steps, func(o Step) bool { return strings.EqualFold(o.Name, step.Name) }) {
			r.add("duplicateName", field+".name", "there is a step %q already", clip(step.Name))
		}
		f.Steps = append(f.Steps, step)
	}
	outputs, ok := parameters["outputs"].(map[string]any)
	if parameters["outputs"] != nil && !ok {
		r.add("malformedOutputs", at+".outputs", "outputs is an object")
	}
	if ok {
		r.expressions(outputs, at+".outputs")
		f.Outputs = outputs
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
		r.add("jitMissing", at+".outputs.jitAccessPolicy", "the output is of an element %s, which the form does not have", JITElement)
	}
}

func (r *formReader) name(of map[string]any, field string) string {
	name, _ := of["name"].(string)
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`).MatchString(name) {
		r.add("malformedName", field+".name", "the name %q is not a letter and then at most 63 letters, digits, '_' and '-'", clip(name))
	}
	return name
}

func (r *formReader) label(of map[string]any, field string) string {
	label, _ := of["label"].(string)
	if label == "" {
		r.add("labelMissing", field+".label", "it has no label")
	}
	return label
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
		object, ok := item.(map[string]any)
		if !ok {
			r.add("malformedElement", at, "an element is an object")
			continue
		}
		e := r.element(object, at)
		if slices.ContainsFunc(list, func(o Element) bool { return strings.EqualFold(o.Name, e.Name) }) {
			r.add("duplicateName", at+".name", "there is an element %q already", clip(e.Name))
		}
		list = append(list, e)
	}
	return list
}

func (r *formReader) element(object map[string]any, at string) Element {
	e := Element{Name: r.name(object, at), Default: object["defaultValue"], Visible: object["visible"]}
	e.Type, _ = object["type"].(string)
	e.ToolTip, _ = object["toolTip"].(string)
	i := slices.IndexFunc(elementTypes(), func(known string) bool { return strings.EqualFold(known, e.Type) })
	if i < 0 {
		r.add("unknownElement", at+".type", "%q is not a type of element", clip(e.Type))
	} else {
		e.Type = elementTypes()[i]
	}
	switch e.Type {
	case "Microsoft.Common.InfoBox", "Microsoft.Common.TextBlock", "Microsoft.Common.Section":
		e.Label, _ = object["label"].(string)
	default:
		e.Label = r.label(object, at)
	}
	r.expressions(e.Default, at+".defaultValue")
	r.expressions(e.Visible, at+".visible")
	e.Options, _ = object["options"].(map[string]any)
	if constraints, ok := object["constraints"].(map[string]any); ok {
		r.expressions(constraints, at+".constraints")
		e.Required = constraints["required"]
		if allowed, ok := constraints["allowedValues"].([]any); ok {
			e.Allowed = choices(allowed)
		}
	}
	if e.Type == "Microsoft.Common.Section" {
		e.Elements = r.list(object["elements"], at+".elements")
	}
	return e
}

func choices(allowed []any) []Choice {
	var list []Choice
	for _, a := range allowed {
		if object, ok := a.(map[string]any); ok {
			label, _ := object["label"].(string)
			list = append(list, Choice{Label: label, Value: object["value"]})
		}
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
	case map[string]any:
		for _, name := range sortedNames(v) {
			r.expressions(v[name], field+"."+name)
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
	f.Steps = append(slices.Clone(f.Steps), Step{Name: "jitConfiguration", Label: "JIT Configuration", Elements: []Element{
		{Name: "jitConfigurationControl", Type: JITElement, Label: "JIT Configuration Control"},
	}})
	outputs := map[string]any{"jitAccessPolicy": "[steps('jitConfiguration').jitConfigurationControl]"}
	maps.Copy(outputs, f.Outputs)
	f.Outputs = outputs
	return f
}
