package api

import (
	"context"
	"net/http"
)

// FormQuestion is a deployment that is being filled in: what it would be deployed with so far.
type FormQuestion struct {
	Name                 string               `json:"name,omitempty" maxLength:"64" doc:"With a name, everything that a deployment would be refused for is among the problems."`
	ResourceGroup        string               `json:"resourceGroup,omitempty" maxLength:"2048"`
	ManagedResourceGroup string               `json:"managedResourceGroup,omitempty" maxLength:"2048"`
	DefinitionDigest     string               `json:"definitionDigest,omitempty" maxLength:"64" doc:"Of the definition that is filled in: where it is another by now, the answer is 409."`
	Settings             *ApplicationSettings `json:"settings,omitempty"`
	Basics               Answers              `json:"basics,omitempty" doc:"Answers to the form's basics, by element."`
	Steps                map[string]Answers   `json:"steps,omitempty" doc:"Answers to the form's steps, by step and element."`
	Seed                 string               `json:"seed,omitempty" maxLength:"64" doc:"The same gives the same ids and numbers where the form draws some at random."`
}

// FormDraft is a form that is not published yet, with answers to try it out.
type FormDraft struct {
	FormQuestion

	CreateUIDefinition string           `json:"createUiDefinition,omitempty" doc:"The form, as JSON text."`
	JIT                ApplicationOffer `json:"jit"`
}

// FormState is a form as it stands with the answers so far: what is asked now, what is wrong so far, and what a
// deployment would come to. What it shows as ready is what a deployment takes.
type FormState struct {
	Steps      []FormPage          `json:"steps" doc:"The basics first, whose name is empty."`
	Problems   []Reason            `json:"problems,omitempty" doc:"What none of the fields has."`
	Mistakes   []FormMistake       `json:"mistakes,omitempty" doc:"Of a draft: why it cannot be published. Nothing is evaluated then."`
	Wizard     bool                `json:"wizard,omitempty" doc:"Each step is checked before the next."`
	Ready      bool                `json:"ready"`
	Parameters string              `json:"parameters,omitempty" doc:"Of the template, as JSON text, once it is ready."`
	Settings   ApplicationSettings `json:"settings" doc:"As they would be."`
	JIT        ApplicationOffer    `json:"jit"`
	Digest     string              `json:"digest,omitempty" doc:"Of the definition."`
}

// FormMistake is a reason for which a form cannot be published.
type FormMistake struct {
	Reason

	Line int `json:"line,omitempty" doc:"Of the document; absent: it is not known."`
}

// FormPage is a step of a form, without what is hidden.
type FormPage struct {
	Name   string      `json:"name"`
	Label  string      `json:"label"`
	Title  []FormSpan  `json:"title,omitempty"`
	Lead   []FormSpan  `json:"lead,omitempty"`
	Before []FormSpan  `json:"before,omitempty" doc:"Below the label, before the step is checked."`
	After  []FormSpan  `json:"after,omitempty" doc:"Below the label, once it is."`
	Fields []FormField `json:"fields,omitempty"`
	Valid  bool        `json:"valid"`
}

// FormSpan is a piece of a text.
type FormSpan struct {
	Text string `json:"text"`
	Link string `json:"link,omitempty" doc:"An address of https."`
}

// FormField is an element of a form as it is to be drawn now.
type FormField struct {
	Name        string        `json:"name"`
	Path        string        `json:"path" doc:"Where its answer lies, such as steps.web.names.host."`
	Kind        string        `json:"kind" enum:"text,secret,choice,options,check,number,section,note,grid,parts,tags,file,date,json,jit,absent"`
	Type        string        `json:"type" doc:"Such as Microsoft.Common.TextBox."`
	Label       string        `json:"label,omitempty"`
	Tip         []FormSpan    `json:"tip,omitempty"`
	Text        []FormSpan    `json:"text,omitempty"`
	Icon        string        `json:"icon,omitempty"`
	Placeholder string        `json:"placeholder,omitempty"`
	Unit        string        `json:"unit,omitempty"`
	Required    bool          `json:"required,omitempty"`
	Multiple    bool          `json:"multiple,omitempty" doc:"Several choices, or several lines of text."`
	Confirm     bool          `json:"confirm,omitempty" doc:"A secret is typed twice."`
	Value       any           `json:"value,omitempty" doc:"What counts while nothing is answered."`
	Choices     []FormOption  `json:"choices,omitempty"`
	Open        bool          `json:"open,omitempty" doc:"Others than the choices may be typed."`
	Min         *float64      `json:"min,omitempty" doc:"Of a number; of a grid, how many rows."`
	Max         *float64      `json:"max,omitempty"`
	Parts       []FormPart    `json:"parts,omitempty" doc:"The answer is an object of these."`
	Resources   []string      `json:"resources,omitempty" doc:"Of tags: what they are for."`
	Fields      []FormField   `json:"fields,omitempty" doc:"Of a section; of a grid its columns."`
	Rows        [][]FormField `json:"rows,omitempty" doc:"Of a grid, as they are answered."`
	Problem     string        `json:"problem,omitempty"`
}

// FormOption is a choice of a field.
type FormOption struct {
	Label       string `json:"label"`
	Description string `json:"description,omitempty"`
	Value       any    `json:"value,omitempty"`
}

// FormPart is one of the values of an answer that is an object.
type FormPart struct {
	Path    string   `json:"path" doc:"Names with dots between them."`
	Label   string   `json:"label"`
	Kind    string   `json:"kind" enum:"text,secret,choice,number"`
	Lines   bool     `json:"lines,omitempty"`
	Choices []string `json:"choices,omitempty"`
	When    string   `json:"when,omitempty" doc:"Path of the part that must have one of the values of is."`
	Is      []string `json:"is,omitempty"`
}

// EvaluateForm tells how the form of a definition stands with the answers so far. Nothing is kept.
func (c *Client) EvaluateForm(ctx context.Context, definition string, in FormQuestion) (FormState, error) {
	return ask[FormState](ctx, c,
		call{method: http.MethodPost, path: definitionPath(definition) + "/form", body: in})
}

// EvaluateFormDraft tells what is wrong with a form that is not published yet, or how it stands with the answers.
func (c *Client) EvaluateFormDraft(ctx context.Context, in FormDraft) (FormState, error) {
	return ask[FormState](ctx, c, call{method: http.MethodPost, path: "/application-forms", body: in})
}
