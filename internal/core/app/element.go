package app

import (
	"slices"
	"strings"
)

// Element asks for one thing.
type Element struct {
	Name        string
	Type        string            // such as Microsoft.Common.TextBox
	Label       string            // what the element is called; of an element with several labels the first
	Labels      map[string]string // of an element with several: a password and its repetition
	ToolTip     string
	Default     any // may hold expressions; of a choice its label
	Visible     any // a bool or an expression; nil: it is shown
	Required    any // likewise; nil: what is usual for the type
	Allowed     any // of a choice: a list of Choice in JSON's form, or an expression that gives one
	Multiple    bool
	Min, Max    *float64 // of a slider; of a grid, how many rows
	Validations []Validation
	Options     map[string]any
	Elements    []Element      // of a section; of a grid its columns
	More        map[string]any // the element as the form has it: what only those who see it need
}

// Choice is one of the allowed values of an element.
type Choice struct {
	Label       string
	Description string
	Value       any
}

// Choices returns the allowed values that the form itself lists; none where an expression gives them.
func (e Element) Choices() []Choice { return choicesOf(e.Allowed) }

func choicesOf(list any) []Choice {
	items, _ := list.([]any)
	choices := make([]Choice, 0, len(items))
	for _, item := range items {
		if o, ok := objectOf(item); ok {
			label, _ := o.of["label"].(string)
			description, _ := o.of["description"].(string)
			choices = append(choices, Choice{Label: label, Description: description, Value: o.of["value"]})
		}
	}
	return choices
}

// Validation is a condition on an answer. Exactly one of Regex and IsValid is set.
type Validation struct {
	// a pattern of JavaScript, or an expression that gives one: what is no expression is a pattern, such as [a-z]
	Regex   any
	IsValid any // an expression that gives true or false
	Message string
}

// The types of element whose answers mean more than what was typed.
const (
	checkBox         = "Microsoft.Common.CheckBox"
	dateTime         = "Microsoft.Common.DateTime"
	dropDown         = "Microsoft.Common.DropDown"
	editableGrid     = "Microsoft.Common.EditableGrid"
	fileUpload       = "Microsoft.Common.FileUpload"
	infoBox          = "Microsoft.Common.InfoBox"
	optionsGroup     = "Microsoft.Common.OptionsGroup"
	passwordBox      = "Microsoft.Common.PasswordBox"
	section          = "Microsoft.Common.Section"
	slider           = "Microsoft.Common.Slider"
	tagsByResource   = "Microsoft.Common.TagsByResource"
	textBlock        = "Microsoft.Common.TextBlock"
	textBox          = "Microsoft.Common.TextBox"
	credentialsCombo = "Microsoft.Compute.CredentialsCombo"
	sizeSelector     = "Microsoft.Compute.SizeSelector"
	userNameTextBox  = "Microsoft.Compute.UserNameTextBox"
	armAPIControl    = "Microsoft.Solutions.ArmApiControl"
)

// elementTypes are the published types, and the one for just-in-time access. Those that only Azure's portal can draw
// are among them: their answer is given as JSON.
func elementTypes() []string {
	return []string{
		checkBox, dateTime, dropDown, editableGrid, fileUpload, infoBox, optionsGroup, passwordBox, section,
		"Microsoft.Common.ServicePrincipalSelector", slider, tagsByResource, textBlock, textBox, credentialsCombo,
		sizeSelector, userNameTextBox, "Microsoft.KeyVault.KeyVaultCertificateSelector",
		"Microsoft.ManagedIdentity.IdentitySelector", "Microsoft.Network.PublicIpAddressCombo",
		"Microsoft.Network.VirtualNetworkCombo", armAPIControl, "Microsoft.Solutions.ResourceSelector", JITElement,
		"Microsoft.Storage.MultiStorageAccountCombo", "Microsoft.Storage.StorageAccountSelector",
		"Microsoft.Storage.StorageBlobSelector",
	}
}

// unlabeled reports whether elements of a type may stand without a label: nothing of them is shown, or the whole of it
// is text.
func unlabeled(kind string) bool {
	return slices.Contains([]string{infoBox, textBlock, section, armAPIControl, tagsByResource}, kind)
}

// requiredByItself reports whether an element of a type needs an answer where its constraints do not say.
func requiredByItself(kind string) bool { return kind == userNameTextBox || kind == credentialsCombo }

// label reads the label of an element or a step: a text, or an object of texts.
func (r *formReader) label(of map[string]any, field string, needed bool) string {
	label, _ := of["label"].(string)
	if several, ok := objectOf(of["label"]); ok {
		for _, name := range several.names {
			if text, _ := several.of[name].(string); label == "" {
				label = text
			}
		}
	}
	if label == "" && needed {
		r.add("labelMissing", field+".label", "it has no label")
	}
	return label
}

func (r *formReader) element(object map[string]any, at string) Element {
	e := Element{Name: r.name(object, at)}
	r.typed(&e, object, at)
	e.Label = r.label(object, at, !unlabeled(e.Type))
	return e
}

// typed reads what an element has beside its name and its label, which the column of a grid does not need.
func (r *formReader) typed(e *Element, object map[string]any, at string) {
	e.Default, e.Visible, e.More = object["defaultValue"], object["visible"], object
	e.Type, _ = object["type"].(string)
	e.ToolTip, _ = object["toolTip"].(string)
	i := slices.IndexFunc(elementTypes(), func(known string) bool { return strings.EqualFold(known, e.Type) })
	if i < 0 {
		r.add("unknownElement", at+".type", "%q is not a type of element", clip(e.Type))
	} else {
		e.Type = elementTypes()[i]
	}
	if several, ok := objectOf(object["label"]); ok {
		e.Labels = map[string]string{}
		for _, name := range several.names {
			e.Labels[name], _ = several.of[name].(string)
		}
	}
	r.expressions(e.Default, at+".defaultValue")
	r.expressions(e.Visible, at+".visible")
	if options, ok := objectOf(object["options"]); ok {
		e.Options = options.of
	}
	e.Multiple, _ = object["multiselect"].(bool)
	e.Min, e.Max = bound(object["min"]), bound(object["max"])
	if constraints, ok := objectOf(object["constraints"]); ok {
		r.constraints(e, constraints.of, at+".constraints")
	}
	if e.Type == section {
		e.Elements = r.list(object["elements"], at+".elements")
	}
}

func bound(v any) *float64 {
	f, ok := float(v)
	if !ok {
		return nil
	}
	return &f
}

func (r *formReader) constraints(e *Element, of map[string]any, at string) {
	e.Required, e.Allowed = of["required"], of["allowedValues"]
	r.expressions(e.Required, at+".required")
	r.expressions(e.Allowed, at+".allowedValues")
	message, _ := of["validationMessage"].(string)
	if pattern, ok := of["regex"].(string); ok && pattern != "" {
		e.Validations = append(e.Validations, Validation{Regex: pattern, Message: message})
	}
	if pattern, ok := of["customPasswordRegex"].(string); ok && pattern != "" {
		custom, _ := of["customValidationMessage"].(string)
		e.Validations = append(e.Validations, Validation{Regex: pattern, Message: custom})
	}
	if e.Type == checkBox && message != "" {
		e.Validations = append(e.Validations, Validation{Message: message})
	}
	list, _ := of["validations"].([]any)
	for _, item := range list {
		v, _ := objectOf(item)
		text, _ := v.of["message"].(string)
		switch {
		case v.of["isValid"] != nil:
			e.Validations = append(e.Validations, Validation{IsValid: v.of["isValid"], Message: text})
		case v.of["regex"] != nil:
			e.Validations = append(e.Validations, Validation{Regex: v.of["regex"], Message: text})
		}
	}
	for _, v := range e.Validations {
		r.expressions(v.IsValid, at+".validations")
	}
	if e.Type == editableGrid {
		r.grid(e, of, at)
	}
}

// grid reads the columns of a grid, which are elements without a label, and how many rows it may have.
func (r *formReader) grid(e *Element, of map[string]any, at string) {
	rows, _ := objectOf(of["rows"])
	count, _ := objectOf(rows.of["count"])
	e.Min, e.Max = bound(count.of["min"]), bound(count.of["max"])
	columns, _ := of["columns"].([]any)
	for _, c := range columns {
		if r.elements++; r.elements > maxFormElements {
			r.add("tooManyElements", at, "the form has more than %d elements", maxFormElements)
			return
		}
		column, _ := objectOf(c)
		object, ok := objectOf(column.of["element"])
		if !ok {
			r.add("malformedElement", at+".columns", "a column has an element")
			continue
		}
		inner := Element{}
		inner.Name, _ = column.of["id"].(string)
		inner.Label, _ = column.of["header"].(string)
		r.typed(&inner, object.of, at+".columns")
		e.Elements = append(e.Elements, inner)
	}
}
