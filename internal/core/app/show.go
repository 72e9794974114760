package app

import (
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Kind says how an element is drawn.
type Kind string

// The kinds of fields.
const (
	KindText    Kind = "text"
	KindSecret  Kind = "secret"  // what is typed is never given back
	KindChoice  Kind = "choice"  // one of Choices, in a list; or several, where Multiple says so
	KindOptions Kind = "options" // one of Choices, side by side
	KindCheck   Kind = "check"
	KindNumber  Kind = "number" // from Min to Max
	KindSection Kind = "section"
	KindNote    Kind = "note" // Text, which asks for nothing
	KindGrid    Kind = "grid"
	KindParts   Kind = "parts" // an object of several Parts
	KindTags    Kind = "tags"  // an object of names and values for each of Resources
	KindFile    Kind = "file"  // the text of a file
	KindDate    Kind = "date"
	KindJSON    Kind = "json" // any value, as JSON
	KindJIT     Kind = "jit"  // the terms of just-in-time access, which are no answer to the form
	KindAbsent  Kind = "absent"
)

const maxShown = 2000 // choices of one field

// Shown is a form as it stands with the answers that are there.
type Shown struct {
	Steps    []ShownStep     // the basics first, whose name is empty
	Problems []access.Reason // what no field has
	Wizard   bool            // each step is checked before the next
	Ready    bool            // nothing is wrong, and Filled counts
	Filled   Filled
}

// ShownStep is a page of a form, without what is hidden.
type ShownStep struct {
	Name, Label   string
	Title, Lead   Rich
	Before, After Rich // below the label, before it is checked and once it is
	Fields        []Field
	Valid         bool
}

// Field is an element as it is to be drawn.
type Field struct {
	Name, Path  string // Path is where its answer lies, and where reasons point to
	Kind        Kind
	Type, Label string
	Tip, Text   Rich
	Icon        string // of a note: None, Info, Warning or Error
	Placeholder string
	Unit        string // of a number
	Required    bool
	Multiple    bool // several choices, or several lines of text
	Confirm     bool // a secret is typed twice
	Value       any  // what counts while nothing is answered; nil: nothing does
	Choices     []Choice
	Open        bool // of choices: others may be typed
	Min, Max    *float64
	Parts       []Part
	Resources   []string
	Fields      []Field   // of a section; of a grid its columns
	Rows        [][]Field // of a grid, as they are answered
	Problem     string
}

// Show evaluates the form with the answers that are there. It gives every field that is shown with what is wrong with
// it, and what Fill gives where nothing is.
func (f Form) Show(answers Answers, jit Settings, values Values) Shown {
	fill := f.settle(answers, jit, values)
	fill.show = true
	steps := fill.pass(f, answers)
	fill.validate()
	shown := Shown{Filled: fill.outputs(f), Wizard: f.Wizard}
	shown.Ready = len(*fill.reasons) == 0
	problems := map[string]string{}
	for _, r := range *fill.reasons {
		if problems[r.Field] == "" {
			problems[r.Field] = r.Message
		}
	}
	for i := range steps {
		steps[i].Valid = place(steps[i].Fields, problems)
	}
	placed := map[string]bool{}
	for _, r := range *fill.reasons {
		if _, left := problems[r.Field]; left && !placed[r.Field] {
			placed[r.Field] = true
			shown.Problems = append(shown.Problems, r)
		}
	}
	shown.Steps = steps
	return shown
}

// place puts problems at their fields and takes them from the list; it reports whether there were none.
func place(fields []Field, problems map[string]string) bool {
	fine := true
	for i := range fields {
		f := &fields[i]
		if text, has := problems[f.Path]; has {
			f.Problem, fine = strings.TrimPrefix(text, f.Label+": "), false
			delete(problems, f.Path)
		}
		fine = place(f.Fields, problems) && fine
		for _, row := range f.Rows {
			fine = place(row, problems) && fine
		}
	}
	return fine
}

// describe returns an element as it is drawn, but for what its answer shows.
func (f *filling) describe(e Element, at string) Field {
	d := Field{
		Name: e.Name, Path: at, Type: e.Type, Kind: kindFor(e), Label: e.Label, Min: e.Min, Max: e.Max,
		Tip: f.rich(e.More["toolTip"]), Placeholder: f.words(e.More["placeholder"]), Multiple: e.Multiple,
	}
	switch e.Type {
	case textBox:
		d.Multiple, _ = e.More["multiLine"].(bool)
	case passwordBox:
		d.Confirm = e.Options["hideConfirmation"] != true
	case slider:
		d.Unit = f.words(e.More["subLabel"])
	case infoBox, textBlock:
		f.note(&d, e)
	case dropDown, optionsGroup:
		choices, known := f.choices(e, at)
		d.Choices, d.Open = choices[:min(len(choices), maxShown)], !known
		if !known {
			d.Kind = KindText
		}
	case tagsByResource:
		d.Resources = textsOf(e.More["resources"])
	case armAPIControl:
		d.Text = Rich{{Text: "The form asks Azure for data here, which this server does not do. What depends on it is " +
			"left to you; --answers of postern app create takes it as JSON."}}
	case editableGrid:
		for _, column := range e.Elements {
			column.Label = f.words(column.Label)
			d.Fields = append(d.Fields, f.describe(column, column.Name))
		}
	case sizeSelector:
		for _, size := range textsOf(e.More["recommendedSizes"]) {
			d.Choices = append(d.Choices, Choice{Label: size, Value: size})
		}
		d.Open = true
	}
	d.Parts = partsOf(e)
	if d.Kind == KindParts && e.Type != credentialsCombo || d.Kind == KindJSON {
		d.Text = Rich{{Text: "Azure's portal lists resources here; this server has none of Azure's. Type what the " +
			"template is to get."}}
	}
	d.Required = asksFor(d.Kind) && f.holds(e.Required, requiredByItself(e.Type), at)
	return d
}

// asksFor reports whether fields of a kind have an answer.
func asksFor(k Kind) bool {
	return !slices.Contains([]Kind{KindSection, KindNote, KindJIT, KindAbsent}, k)
}

func kindFor(e Element) Kind {
	kinds := map[string]Kind{
		textBox: KindText, userNameTextBox: KindText, sizeSelector: KindText, passwordBox: KindSecret,
		dropDown: KindChoice, optionsGroup: KindOptions, checkBox: KindCheck, slider: KindNumber, section: KindSection,
		infoBox: KindNote, textBlock: KindNote, editableGrid: KindGrid, fileUpload: KindFile, dateTime: KindDate,
		tagsByResource: KindTags, armAPIControl: KindAbsent, JITElement: KindJIT,
	}
	if kind, ok := kinds[e.Type]; ok {
		return kind
	}
	if len(partsOf(e)) > 0 {
		return KindParts
	}
	return KindJSON
}

// note reads the text of an element that asks for nothing, and its link.
func (f *filling) note(d *Field, e Element) {
	d.Label = ""
	d.Icon, _ = e.Options["icon"].(string)
	d.Text = f.rich(e.Options["text"])
	link, _ := objectOf(e.Options["link"])
	label, uri := f.words(link.of["label"]), f.words(link.of["uri"])
	if uri == "" {
		uri = f.words(e.Options["uri"])
	}
	if label == "" {
		label = "More"
	}
	if href, ok := safeLink(uri); ok {
		if len(d.Text) > 0 {
			d.Text = append(d.Text, Span{Text: " "})
		}
		d.Text = append(d.Text, Span{Text: label, Link: href})
	}
}

// words returns a text of a form, which may be an expression; of an object of texts the first. One that cannot be
// evaluated is as it is.
func (f *filling) words(v any) string {
	if several, ok := objectOf(v); ok {
		for _, name := range several.names {
			if text := f.words(several.of[name]); text != "" {
				return text
			}
		}
	}
	s, _ := v.(string)
	if !IsExpression(s) {
		return s
	}
	out, err := resolveWithin(s, *f.values, f.left)
	if _, gone := out.(Undefined); err != nil || gone || out == nil {
		return ""
	}
	return text(out)
}

func (f *filling) rich(v any) Rich { return ParseRich(f.words(v)) }

func textsOf(v any) []string {
	items, _ := v.([]any)
	var out []string
	for _, item := range items {
		if s, ok := item.(string); ok && strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}
