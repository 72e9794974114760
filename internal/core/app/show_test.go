package app_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/app"
)

// document is a form with elements in its basics and in one step s.
func document(basics, elements, outputs string) string {
	return `{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {
 "config": {"isWizard": true, "basics": {"description": "Read [the manual](https://docs.example/a) <script>x</script>"}},
 "basics": [` + basics + `],
 "steps": [{"name": "s", "label": "The step", "bladeTitle": "[concat('Title of ', basics('n'))]",
  "subLabel": {"preValidation": "To do", "postValidation": "Done"}, "elements": [` + elements + `]}],
 "outputs": {` + outputs + `}}}`
}

func parsed(t *testing.T, text string) app.Form {
	t.Helper()
	f, reasons := app.ParseForm(text)
	if len(reasons) > 0 {
		t.Fatal(reasons)
	}
	return f
}

const nameBox = `{"name": "n", "type": "Microsoft.Common.TextBox", "label": "[concat('Na', 'me')]", "placeholder": "web-1",
 "toolTip": "See [here](https://docs.example) or [there](javascript:alert(1))", "constraints": {"required": true, "regex": "^[a-z]+$", "validationMessage": "Small letters."}}`

func find(t *testing.T, s app.Shown, path string) app.Field {
	t.Helper()
	var in func(fields []app.Field) *app.Field
	in = func(fields []app.Field) *app.Field {
		for _, f := range fields {
			if f.Path == path {
				return &f
			}
			for _, inner := range append(slices.Clone(f.Rows), f.Fields) {
				if found := in(inner); found != nil {
					return found
				}
			}
		}
		return nil
	}
	for _, step := range s.Steps {
		if f := in(step.Fields); f != nil {
			return *f
		}
	}
	return app.Field{}
}

// TestShow looks at a form while it is filled in: what is asked, what is wrong so far, and what it comes to.
func TestShow(t *testing.T) {
	t.Parallel()
	f := parsed(t, document(nameBox,
		`{"name": "size", "type": "Microsoft.Common.DropDown", "label": "Size", "defaultValue": "Large", "constraints": {"allowedValues": [{"label": "Small", "description": "One", "value": "s"}, {"label": "Large", "value": "l"}]}},
		 {"name": "more", "type": "Microsoft.Common.TextBox", "label": "More", "visible": "[equals(steps('s').size, 's')]", "defaultValue": "[concat(basics('n'), '-x')]"},
		 {"name": "pw", "type": "Microsoft.Common.PasswordBox", "label": {"password": "Password", "confirmPassword": "Again"}, "constraints": {"required": true}},
		 {"name": "net", "type": "Microsoft.Network.VirtualNetworkCombo", "label": {"virtualNetwork": "Network"}, "subnets": {"web": {"label": "Web"}}},
		 {"name": "note", "type": "Microsoft.Common.InfoBox", "options": {"icon": "Warning", "text": "[concat('For ', basics('n'))]", "uri": "https://docs.example/b"}}`,
		`"name": "[basics('n')]", "more": "[steps('s').more]"`))
	empty := f.Show(app.Answers{}, app.Settings{}, app.Values{})
	if empty.Ready || empty.Steps[0].Valid || find(t, empty, "basics.n").Problem != "Name needs an answer" {
		t.Errorf("an empty form is %+v", empty)
	}
	name := find(t, empty, "basics.n")
	if name.Label != "Name" || name.Placeholder != "web-1" || !name.Required || cmp.Diff(app.Rich{
		{Text: "See "}, {Text: "here", Link: "https://docs.example"}, {Text: " or [there](javascript:alert(1))"},
	}, name.Tip) != "" {
		t.Errorf("the name is %+v", name)
	}
	wrong := app.Answers{Basics: map[string]any{"n": "A"}}
	if got := find(t, f.Show(wrong, app.Settings{}, app.Values{}), "basics.n").Problem; got != "Small letters." {
		t.Errorf("a wrong name is %q", got)
	}
	given := app.Answers{
		Basics: map[string]any{"n": "web"}, Steps: map[string]map[string]any{"s": {"size": "s", "pw": "hunter2"}},
	}
	s := f.Show(given, app.Settings{}, app.Values{})
	step := s.Steps[1]
	if !s.Ready || !step.Valid || step.Label != "The step" || step.Title[0].Text != "Title of web" ||
		step.Before[0].Text != "To do" || step.After[0].Text != "Done" || len(s.Problems) > 0 {
		t.Errorf("the form is %+v", s)
	}
	if more := find(t, s, "steps.s.more"); more.Value != "web-x" || more.Label != "More" {
		t.Errorf("a default that follows another answer is %+v", more)
	}
	if find(t, empty, "steps.s.more").Path != "" {
		t.Error("what is hidden is among the fields")
	}
	if size := find(t, empty, "steps.s.size"); size.Value != "l" || size.Choices[0].Description != "One" {
		t.Errorf("the size is %+v", size)
	}
	if pw := find(t, s, "steps.s.pw"); pw.Kind != app.KindSecret || pw.Value != nil || !pw.Confirm {
		t.Errorf("the password is %+v", pw)
	}
	if net := find(t, s, "steps.s.net"); net.Kind != app.KindParts || net.Parts[4].Path != "subnets.web.name" {
		t.Errorf("the network is %+v", net)
	}
	if note := find(t, s, "steps.s.note"); note.Text[0].Text != "For web" ||
		note.Text[len(note.Text)-1].Link != "https://docs.example/b" || note.Icon != "Warning" {
		t.Errorf("the note is %+v", note)
	}
	if strings.Contains(fmt.Sprintf("%+v", s.Steps), "hunter2") {
		t.Error("the password is given back")
	}
	given.Steps["s"]["more"] = ""
	if got := f.Show(given, app.Settings{}, app.Values{}).Filled.Parameters["more"]; cmp.Diff(
		map[string]any{"value": ""}, got) != "" {
		t.Errorf("what was emptied has its default again: %v", got)
	}
}

// TestFormComesToRest gives forms whose elements depend on others further down: in the end, in any order, or never.
func TestFormComesToRest(t *testing.T) {
	t.Parallel()
	box := func(name, more string) string {
		return `{"name": "` + name + `", "type": "Microsoft.Common.TextBox", "label": "` + name + `", ` + more + `}`
	}
	late := parsed(t, document(box("n", `"defaultValue": "[concat(steps('s').z, '!')]"`),
		box("y", `"defaultValue": "[concat(steps('s').z, '?')]"`)+","+box("z", `"defaultValue": "zed"`),
		`"n": "[basics('n')]"`))
	if got := late.Show(app.Answers{}, app.Settings{}, app.Values{}); find(t, got, "basics.n").Value != "zed!" ||
		find(t, got, "steps.s.y").Value != "zed?" {
		t.Errorf("what stands further down is not known above: %+v", got.Steps)
	}
	circle := parsed(t, document(box("n", `"defaultValue": "x"`),
		box("a", `"defaultValue": "A", "visible": "[empty(steps('s').b)]"`)+","+
			box("b", `"defaultValue": "[coalesce(steps('s').a, '')]"`),
		`"n": "[steps('s').b]"`))
	began := time.Now()
	got := circle.Show(app.Answers{}, app.Settings{}, app.Values{})
	if took := time.Since(began); got.Ready || len(got.Problems) != 1 ||
		!strings.Contains(got.Problems[0].Message, "steps.s.b") || took > 5*time.Second {
		t.Errorf("a circle gives %+v after %s", got.Problems, took)
	}
	if _, reasons := circle.Fill(app.Answers{}, app.Settings{}, app.Values{}); codes(reasons)[0] != "formGoesInCircles" {
		t.Errorf("a circle is filled in: %v", reasons)
	}
	random := parsed(t, document(box("n", `"defaultValue": "[concat(guid(), '/', guid())]"`),
		box("b", `"defaultValue": "[string(rand(1, 9))]"`), `"n": "[basics('n')]"`))
	first := random.Show(app.Answers{}, app.Settings{}, app.Values{Seed: "x"})
	again := random.Show(app.Answers{}, app.Settings{}, app.Values{Seed: "x"})
	other := random.Show(app.Answers{}, app.Settings{}, app.Values{Seed: "y"})
	id, _ := find(t, first, "basics.n").Value.(string)
	if one, two, _ := strings.Cut(id, "/"); !first.Ready || len(one) != 36 || len(two) != 36 || one == two ||
		find(t, again, "basics.n").Value != id || find(t, other, "basics.n").Value == id {
		t.Errorf("what is drawn is %q", id)
	}
}

// TestLargeFormIsShown fills in a form of the most elements, each of which looks at the one before.
func TestLargeFormIsShown(t *testing.T) {
	t.Parallel()
	elements := make([]string, 490)
	for i := range elements {
		elements[i] = fmt.Sprintf(`{"name": "e%d", "type": "Microsoft.Common.TextBox", "label": "E", "defaultValue": "[if(empty(steps('s').e%d), 'first', concat('a', take(steps('s').e%d, 5)))]", "constraints": {"required": true, "regex": "^[a-z]{1,20}$"}}`,
			i, max(0, i-1), max(0, i-1))
	}
	f := parsed(t, document(nameBox, strings.Join(elements, ","), `"all": "[steps('s').e1]"`))
	s := f.Show(app.Answers{Basics: map[string]any{"n": "web"}}, app.Settings{}, app.Values{})
	if len(s.Steps[1].Fields) != len(elements) {
		t.Errorf("%d fields are shown, and %v", len(s.Steps[1].Fields), s.Problems)
	}
}

// TestLinesOfMistakes holds the line that each reason names to the one on which the mistake was made.
func TestLinesOfMistakes(t *testing.T) {
	t.Parallel()
	text := "{\"handler\": \"Microsoft.Azure.CreateUIDef\", \"version\": \"0.1.2-preview\",\n\"parameters\": {\"basics\": [\n" +
		"{\"name\": \"a\", \"type\": \"Microsoft.Common.TextBox\", \"label\": \"A\"},\n" +
		"{\"name\": \"b\",\n\"type\": \"Microsoft.Common.Lever\",\n\"label\": \"B\", \"visible\": \"[nope()]\"}]}}"
	_, reasons := app.ParseForm(text)
	var got []string
	for _, r := range reasons {
		line, _, _ := strings.Cut(r.Message, ":")
		got = append(got, r.Code+" "+line)
	}
	if diff := cmp.Diff([]string{"unknownElement line 5", "malformedExpression line 6"}, got); diff != "" {
		t.Error(diff)
	}
	if _, reasons := app.ParseForm("{\n\n\"a\": x}"); !strings.HasPrefix(reasons[0].Message, "line 3: ") {
		t.Errorf("a mistake of JSON is %v", reasons)
	}
}

// TestShowAndFillAgree draws answers, and demands that what is shown as ready is what a deployment takes, with the same
// outputs.
func TestShowAndFillAgree(t *testing.T) {
	t.Parallel()
	elements := documentedElements()
	rapid.Check(t, func(t *rapid.T) {
		tc := rapid.SampledFrom(elements).Draw(t, "element")
		f, reasons := app.ParseForm(document(nameBox, `{"name": "e", `+tc.element+`}`, `"out": "[steps('s').e]"`))
		if len(reasons) > 0 {
			t.Skip("no form")
		}
		answers := app.Answers{Basics: map[string]any{"n": rapid.StringMatching(`[a-zA]{0,3}`).Draw(t, "n")}}
		if text := rapid.SampledFrom(elements).Draw(t, "answer").answer; text != "" {
			v, err := app.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			answers.Steps = map[string]map[string]any{"s": {"e": v}}
		}
		s := f.Show(answers, app.Settings{}, app.Values{})
		filled, reasons := f.Fill(answers, app.Settings{}, app.Values{})
		if s.Ready != (len(reasons) == 0) || asJSON(s.Filled.Parameters) != asJSON(filled.Parameters) {
			t.Fatalf("shown as %+v, filled in as %+v %v", s, filled, reasons)
		}
	})
}

func FuzzRich(f *testing.F) {
	for _, s := range []string{
		"[a](https://x.example)", `<a href="https://x.example/?a=1&amp;b">b</a>`, "<a href='javascript:1'>c</a>",
		"[d](https://u:p@x.example)", "[h](http://x.example)", "<b>e</b><br>f", "[[g](https://h)](https://i)", "&lt;script&gt;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, span := range app.ParseRich(s) {
			if u, err := url.Parse(span.Link); span.Link != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" ||
				u.User != nil) {
				t.Errorf("%q links to %q", s, span.Link)
			}
		}
	})
}
