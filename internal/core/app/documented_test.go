package app_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/app"
)

// sameObjects compares objects with the order of their members.
func sameObjects() cmp.Option {
	return cmp.Comparer(func(a, b app.Object) bool { return asJSON(a) == asJSON(b) })
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// TestDocumentedFunctions holds each function to the example that Microsoft documents for it. element1 is what the page
// assumes of it.
func TestDocumentedFunctions(t *testing.T) {
	t.Parallel()
	const (
		list   = `[1, 2, 3]`
		object = `{"key1": "Linux", "key2": "Windows"}`
	)
	for _, tc := range []struct{ element1, expression, want string }{
		{"", `contains('webapp', 'web')`, `true`},
		{list, `contains(steps('demoStep').element1, 4)`, `false`},
		{object, `contains(steps('demoStep').element1, 'key1')`, `true`},
		{"", `empty('')`, `true`},
		{list, `empty(steps('demoStep').element1)`, `false`},
		{object, `empty(steps('demoStep').element1)`, `false`},
		{"null", `empty(steps('demoStep').element1)`, `true`},
		{"", `empty(steps('demoStep').element1)`, `true`},
		{
			"", `filter(parse('[{"name":"abc"},{"name":"xyz"}]'), (item) => contains(item.name, 'abc'))`,
			`[{"name":"abc"}]`,
		},
		{"", `first('contoso')`, `"c"`},
		{list, `first(steps('demoStep').element1)`, `1`},
		{object, `first(steps('demoStep').element1)`, `{"key1":"Linux"}`},
		{"", `last('contoso')`, `"o"`},
		{list, `last(steps('demoStep').element1)`, `3`},
		{object, `last(steps('demoStep').element1)`, `{"key2":"Windows"}`},
		{"", `length('Contoso')`, `7`},
		{list, `length(steps('demoStep').element1)`, `3`},
		{object, `length(steps('demoStep').element1)`, `2`},
		{"", `map(parse('[1, 2, 3]'), (item) => mul(2, item))`, `[2,4,6]`},
		{"", `map(parse('[{"name":"abc"},{"name":"xyz"}]'), (item) => item.name)`, `["abc","xyz"]`},
		{"", `skip('webapp', 3)`, `"app"`},
		{list, `skip(steps('demoStep').element1, 2)`, `[3]`},
		{object, `skip(steps('demoStep').element1, 1)`, `{"key2":"Windows"}`},
		{"", `split('555-867-5309', '-')`, `["555","867","5309"]`},
		{"", `take('webapp', 3)`, `"web"`},
		{list, `take(steps('demoStep').element1, 2)`, `[1,2]`},
		{object, `take(steps('demoStep').element1, 1)`, `{"key1":"Linux"}`},
		{`{"z": 1, "a": 2}`, `first(steps('demoStep').element1)`, `{"z":1}`}, // the order is the object's own

		{"", `bool(1)`, `true`},
		{"", `bool(0)`, `false`},
		{"", `bool(true)`, `true`},
		{"", `bool('true')`, `true`},
		{"", `decodeBase64('Q29udG9zbw==')`, `"Contoso"`},
		{"", `decodeUriComponent('https%3A%2F%2Fportal.azure.com%2F')`, `"https://portal.azure.com/"`},
		{"", `encodeBase64('Contoso')`, `"Q29udG9zbw=="`},
		{"", `encodeUriComponent('https://portal.azure.com/')`, `"https%3A%2F%2Fportal.azure.com%2F"`},
		{"", `float('1.0')`, `1`},
		{"", `float(2.9)`, `2.9`},
		{"", `int('1')`, `1`},
		{"", `int(2.9)`, `2`},
		{"", `parse('1')`, `1`},
		{"", `parse('true')`, `true`},
		{"", `parse('[1,2,3]')`, `[1,2,3]`},
		{"", `parse('{"type":"webapp"}')`, `{"type":"webapp"}`},
		{"", `string(1)`, `"1"`},
		{"", `string(2.9)`, `"2.9"`},
		{"", `string([1,2,3])`, `"[1,2,3]"`},
		{"", `string({"type":"webapp"})`, `"{\"type\":\"webapp\"}"`},

		{"", `addHours('1990-12-31T23:59:59Z', 1)`, `"1991-01-01T00:59:59.000Z"`},
		{"", `addMinutes('1990-12-31T23:59:59Z', 1)`, `"1991-01-01T00:00:59.000Z"`},
		{"", `addSeconds('1990-12-31T23:59:60Z', 1)`, `"1991-01-01T00:00:00.000Z"`},

		{"", `and(equals(0, 0), equals('web', 'web'), less(1, 2))`, `true`},
		{"", `and(equals(0, 0), greater(1, 2))`, `false`},
		{"", `coalesce(steps('demoStep').element1, steps('demoStep').element2, 'Contoso')`, `"Contoso"`},
		{
			"", `concat('^jdbc:', coalesce(steps('section_database').databaseConnectionInfo.databaseType, ''), '.*$')`,
			`"^jdbc:.*$"`,
		},
		{"", `equals(0, 0)`, `true`},
		{"", `equals('web', 'web')`, `true`},
		{"", `equals('abc', ['a', 'b', 'c'])`, `false`},
		{"", `greater(1, 2)`, `false`},
		{"", `greater('9', '10')`, `true`},
		{"", `greaterOrEquals(2, 2)`, `true`},
		{"", `if(equals(42, mul(6, 7)), 'yes', 'no')`, `"yes"`},
		{"", `less(1, 2)`, `true`},
		{"", `less('9', '10')`, `false`},
		{"", `lessOrEquals(2, 2)`, `true`},
		{"", `not(false)`, `true`},
		{"", `not(equals(0, 0))`, `false`},
		{"", `or(equals(0, 0), equals('web', 'web'), less(1, 2))`, `true`},
		{"", `or(equals(0, 0), greater(1, 2))`, `true`},

		{"", `add(1, 2)`, `3`},
		{"", `ceil(3.14)`, `4`},
		{"", `div(6, 3)`, `2`},
		{"", `floor(3.14)`, `3`},
		{"", `max(1, 2)`, `2`},
		{"", `min(1, 2)`, `1`},
		{"", `mod(6, 3)`, `0`},
		{"", `mod(6, 4)`, `2`},
		{"", `mul(2, 3)`, `6`},
		{"", `range(1, 3)`, `[1,2,3]`},
		{"", `sub(3, 2)`, `1`},

		{`"Contoso"`, `concat('Demo ', steps('demoStep').element1, ' app')`, `"Demo Contoso app"`},
		{"", `endsWith('tuvwxyz', 'xyz')`, `true`},
		{"", `indexOf('abcdef', 'cd')`, `2`},
		{"", `lastIndexOf('test', 't')`, `3`},
		{"", `replace('Contoso.net web app', '.net', '.com')`, `"Contoso.com web app"`},
		{"", `startsWith('abcdefg', 'ab')`, `true`},
		{"", `substring('Contoso.com web app', 12, 3)`, `"web"`},
		{"", `toLower('CONTOSO')`, `"contoso"`},
		{"", `toUpper('contoso')`, `"CONTOSO"`},
	} {
		x, err := app.ParseExpression("[" + tc.expression + "]")
		if err != nil {
			t.Errorf("%s: %v", tc.expression, err)
			continue
		}
		step := map[string]any{}
		if tc.element1 != "" {
			if step["element1"], err = app.Decode(tc.element1); err != nil {
				t.Fatal(err)
			}
		}
		got, err := x.Evaluate(app.Values{Steps: map[string]map[string]any{"demoStep": step}})
		if text := asJSON(got); err != nil || text != tc.want {
			t.Errorf("%s with %s is %s %v, want %s", tc.expression, tc.element1, text, err, tc.want)
		}
	}
	for expression, want := range map[string]string{
		"[guid()]": `^guid$`, "[rand(-100, 100)]": `^99$`, "[utcNow()]": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`,
	} {
		got, err := evaluate(t, expression)
		if text := asJSON(got); err != nil || !regexp.MustCompile(want).MatchString(
			regexp.MustCompile(`^"|"$`).ReplaceAllString(text, "")) {
			t.Errorf("%s is %s %v", expression, text, err)
		}
	}
}

// documented is what an element of Microsoft's pages asks, what is answered, and what it puts out. An answer of "" is
// none; want begins with "!" where the answer is refused for the reason that follows.
type documented struct{ name, element, answer, want string }

func documentedElements() []documented {
	const (
		choices = `"constraints": {"allowedValues": [{"label": "Value one", "description": "1", "value": "one"}, {"label": "Value two", "value": "two"}], "required": true}`
		box     = `"type": "Microsoft.Common.TextBox", "label": "Name", "constraints": {"required": true, "validations": [
			{"regex": "^[a-z0-9A-Z]{1,30}$", "message": "Letters and digits."}, {"isValid": "[startsWith(steps('s').e, 'contoso')]", "message": "It begins with contoso."}]}`
		password = `{"password": "Password", "confirmPassword": "Again"}`
		strong   = `^(?=.*[A-Za-z])(?=.*\\d)[A-Za-z\\d]{12,}$`
		combo    = `"type": "Microsoft.Compute.CredentialsCombo", "osPlatform": "Windows", "label": ` + password +
			`, "toolTip": {"password": ""},
			"constraints": {"required": true, "customPasswordRegex": "` + strong +
			`", "customValidationMessage": "Twelve or more."}, "options": {"hideConfirmation": false}`
		grid = `"type": "Microsoft.Common.EditableGrid", "ariaLabel": "x", "label": "People", "constraints": {"width": "Full", "rows": {"count": {"min": 1, "max": 2}}, "columns": [
			{"id": "colName", "header": "Name", "width": "1fr", "element": {"type": "Microsoft.Common.TextBox", "placeholder": "Full name", "constraints": {"required": true, "validations": [
				{"isValid": "[startsWith(last(take(steps('s').e, $rowIndex)).colName, 'contoso')]", "message": "It begins with contoso."}, {"regex": "^[a-z]{1,30}$", "message": "Letters."}]}}},
			{"id": "colGender", "header": "Kind", "element": {"name": "d", "type": "Microsoft.Common.DropDown", ` +
			choices + `}}]}`
	)
	return []documented{
		{
			"drop-down, default by label",
			`"type": "Microsoft.Common.DropDown", "label": "x", "defaultValue": "Value two", ` + choices, "", `"two"`,
		},
		{"drop-down, first choice", `"type": "Microsoft.Common.DropDown", "label": "x", ` + choices, "", `"one"`},
		{"drop-down, by value", `"type": "Microsoft.Common.DropDown", "label": "x", ` + choices, `"two"`, `"two"`},
		{
			"drop-down, by label", `"type": "Microsoft.Common.DropDown", "label": "x", ` + choices, `"Value two"`,
			`"two"`,
		},
		{
			"drop-down, something else", `"type": "Microsoft.Common.DropDown", "label": "x", ` + choices, `"three"`,
			"!answerNotAllowed",
		},
		{
			"drop-down, several of one", `"type": "Microsoft.Common.DropDown", "label": "x", ` + choices, `["one"]`,
			"!answerNotAllowed",
		},
		{
			"drop-down, several", `"type": "Microsoft.Common.DropDown", "label": "x", "multiselect": true, ` + choices,
			`["Value two", "one"]`, `["two","one"]`,
		},
		{
			"drop-down, several, none",
			`"type": "Microsoft.Common.DropDown", "label": "x", "multiselect": true, ` + choices, "", "!answerMissing",
		},
		{
			"drop-down, choices by expression",
			`"type": "Microsoft.Common.DropDown", "label": "x", "constraints": {"allowedValues": "[map(parse('[1,2]'), (n) => parse(concat('{\"label\":\"', string(n), '\",\"value\":', string(n), '}')))]"}`,
			`"2"`, `2`,
		},
		{
			"drop-down, choices that Azure alone knows",
			`"type": "Microsoft.Common.DropDown", "label": "x", "constraints": {"allowedValues": "[steps('s').gone.value]"}`,
			`"any"`, `"any"`,
		},
		{"options, first choice", `"type": "Microsoft.Common.OptionsGroup", "label": "x", ` + choices, "", `"one"`},
		{
			"options, default",
			`"type": "Microsoft.Common.OptionsGroup", "label": "x", "defaultValue": "Value two", ` + choices, "",
			`"two"`,
		},
		{"text box", box, `"contoso123"`, `"contoso123"`},
		{"text box, pattern", box, `"contoso-1"`, "!answerNotAllowed"},
		{"text box, condition", box, `"fabrikam"`, "!answerNotAllowed"},
		{"text box, none", box, "", "!answerMissing"},
		{"text box, empty", box, `""`, "!answerMissing"},
		{
			"text box, not needed", `"type": "Microsoft.Common.TextBox", "label": "x", "constraints": {"regex": "^a$"}`,
			"", "null",
		},
		{
			"text box, class as pattern",
			`"type": "Microsoft.Common.TextBox", "label": "x", "constraints": {"regex": "[a-z]"}`, `"1"`,
			"!answerNotAllowed",
		},
		{
			"text box, pattern by expression",
			`"type": "Microsoft.Common.TextBox", "label": "x", "constraints": {"regex": "[concat('^', 'ab', '$')]"}`,
			`"ac"`, "!answerNotAllowed",
		},
		{"text box, no text", `"type": "Microsoft.Common.TextBox", "label": "x"`, `{"a": 1}`, "!answerNotAllowed"},
		{
			"text box, pattern that looks ahead in the middle",
			`"type": "Microsoft.Common.TextBox", "label": "x", "constraints": {"regex": "^a(?!b).*$"}`, `"ab"`, `"ab"`,
		},
		{
			"password",
			`"type": "Microsoft.Common.PasswordBox", "label": ` + password +
				`, "toolTip": "", "constraints": {"required": true, "regex": "^[a-zA-Z0-9]{8,}$", "validationMessage": "m"}`,
			`"p4ssw0rd"`, `"p4ssw0rd"`,
		},
		{
			"password, short",
			`"type": "Microsoft.Common.PasswordBox", "label": ` + password +
				`, "constraints": {"regex": "^[a-zA-Z0-9]{8,}$"}`,
			`"p4ss"`, "!answerNotAllowed",
		},
		{"check box", `"type": "Microsoft.Common.CheckBox", "label": "x"`, "", "false"},
		{
			"check box, required",
			`"type": "Microsoft.Common.CheckBox", "label": "x", "constraints": {"required": true, "validationMessage": "Please agree."}`,
			"", "!answerNotAllowed",
		},
		{
			"check box, required without words",
			`"type": "Microsoft.Common.CheckBox", "label": "x", "constraints": {"required": true}`, "false",
			"!answerNotAllowed",
		},
		{
			"check box, checked", `"type": "Microsoft.Common.CheckBox", "label": "x", "constraints": {"required": true}`,
			"true", "true",
		},
		{
			"slider",
			`"type": "Microsoft.Common.Slider", "min": 1, "max": 64, "label": "x", "subLabel": "MB", "defaultValue": 24`,
			"", "24",
		},
		{"slider, untouched", `"type": "Microsoft.Common.Slider", "min": 1, "max": 64, "label": "x"`, "", "1"},
		{
			"slider, beyond", `"type": "Microsoft.Common.Slider", "min": 1, "max": 64, "label": "x"`, "65",
			"!answerNotAllowed",
		},
		{
			"user name is required by itself",
			`"type": "Microsoft.Compute.UserNameTextBox", "label": "x", "osPlatform": "Linux"`, "", "!answerMissing",
		},
		{
			"credentials", combo, `{"authenticationType": "password", "password": "p4ssw0rddem0"}`,
			`{"authenticationType":"password","password":"p4ssw0rddem0"}`,
		},
		{
			"credentials, weak", combo, `{"authenticationType": "password", "password": "passworddemo"}`,
			"!answerNotAllowed",
		},
		{
			"grid", grid, `[{"colName": "contosoa", "colGender": "Value two"}]`,
			`[{"colName":"contosoa","colGender":"two"}]`,
		},
		{"grid, first choice", grid, `[{"colName": "contoso"}]`, `[{"colName":"contoso","colGender":"one"}]`},
		{"grid, second row", grid, `[{"colName": "contoso"}, {"colName": "other"}]`, "!answerNotAllowed"},
		{"grid, too many", grid, `[{}, {}, {}]`, "!answerNotAllowed"},
		{"grid, cell missing", grid, `[{"colGender": "one"}]`, "!answerMissing"},
		{
			"tags", `"type": "Microsoft.Common.TagsByResource", "resources": ["Microsoft.Compute/virtualMachines"]`,
			`{"Microsoft.Compute/virtualMachines": {"Dept": "Finance"}}`,
			`{"Microsoft.Compute/virtualMachines":{"Dept":"Finance"}}`,
		},
		{
			"api control", `"type": "Microsoft.Solutions.ArmApiControl", "request": {"method": "GET", "path": "x"}`, "",
			"null",
		},
		{
			"text", `"type": "Microsoft.Common.TextBlock", "options": {"text": "x", "link": {"label": "l", "uri": "u"}}`,
			"", "null",
		},
		{
			"box of information", `"type": "Microsoft.Common.InfoBox", "options": {"icon": "None", "text": "x"}`, "",
			"null",
		},
		{
			"labels of an address",
			`"type": "Microsoft.Network.PublicIpAddressCombo", "label": {"publicIpAddress": "Address", "domainNameLabel": "Name"}`,
			`{"name": "ip", "z": 1, "a": 2}`, `{"name":"ip","z":1,"a":2}`,
		},
		{
			"labels of a network",
			`"type": "Microsoft.Network.VirtualNetworkCombo", "label": {"virtualNetwork": "Network", "subnets": "Subnets"}`,
			"", "null",
		},
		{
			"labels of accounts",
			`"type": "Microsoft.Storage.MultiStorageAccountCombo", "label": {"prefix": "Prefix", "type": "Kind"}`, "",
			"null",
		},
		{"no label", `"type": "Microsoft.Common.TextBox"`, "", "!labelMissing"},
		{"a label of nothing", `"type": "Microsoft.Common.TextBox", "label": {}`, "", "!labelMissing"},
	}
}

// TestDocumentedElements holds each element to what its page says of defaults, of what may be answered and of its
// output.
func TestDocumentedElements(t *testing.T) {
	t.Parallel()
	for _, tc := range documentedElements() {
		parsed, reasons := app.ParseForm(
			app.ByteOrderMark + `{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {
			"basics": [{}], "steps": [{}, {"name": "s", "label": "S", "elements": [{}, {"name": "e", ` + tc.element +
				`}]}],
			"outputs": {"out": "[steps('s').e]"}}}`)
		answers := map[string]any{}
		if tc.answer != "" {
			v, err := app.Decode(tc.answer)
			if err != nil {
				t.Fatal(err)
			}
			answers["e"] = v
		}
		var filled app.Filled
		if len(reasons) == 0 {
			filled, reasons = parsed.Fill(app.Answers{Steps: map[string]map[string]any{"s": answers}}, app.Settings{},
				app.Values{})
		}
		got := "null"
		if out, ok := filled.Parameters["out"].(map[string]any); ok {
			got = asJSON(out["value"])
		}
		if len(reasons) > 0 {
			got = "!" + reasons[0].Code
		}
		if got != tc.want {
			t.Errorf("%s: %s %v, want %s", tc.name, got, reasons, tc.want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, tc := range documentedElements() {
		f.Add(tc.element, tc.answer)
	}
	f.Fuzz(func(_ *testing.T, element, answer string) {
		parsed, reasons := app.ParseForm(
			`{"handler": "Microsoft.Azure.CreateUIDef", "version": "0.1.2-preview", "parameters": {"steps": [
			{"name": "s", "label": "S", "elements": [{"name": "e", ` + element +
				`}]}], "outputs": {"out": "[steps('s').e]"}}}`)
		v, err := app.Decode(answer)
		if len(reasons) > 0 || err != nil {
			return
		}
		_, _ = parsed.Fill(app.Answers{Steps: map[string]map[string]any{"s": {"e": v}}}, app.Settings{},
			app.Values{Now: noon()})
	})
}
