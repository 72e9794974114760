package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

func values() app.Values {
	return app.Values{
		Basics: map[string]any{"size": "small", "text": map[string]any{"value": "x"}},
		Steps: map[string]map[string]any{"jit": {"control": map[string]any{
			"jitEnabled": true,
			"approvers":  []any{map[string]any{"id": "a", "type": "user"}, map[string]any{"id": "b", "type": "group"}},
		}}},
		Location: "onprem", ResourceGroup: map[string]any{"name": "apps"},
		Subscription: map[string]any{"id": "/subscriptions/s"},
		Now:          noon(), NewID: func() string { return "guid" },
		Random: func(below int64) int64 { return below - 1 },
	}
}

func evaluate(t *testing.T, text string) (any, error) {
	t.Helper()
	x, err := app.ParseExpression(text)
	if err != nil {
		return nil, err
	}
	return x.Evaluate(values())
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	list := func(v ...any) []any { return v }
	for text, want := range map[string]any{
		"[basics('size')]": "small", "[basics('text').value]": "x", "[basics('gone')]": app.Undefined{},
		"[basics('gone').deeper[0].still]":      app.Undefined{},
		"[ steps( 'jit' ).control.jitEnabled ]": true, "[steps('jit').control.approvers[1].id]": "b",
		"[steps('jit').control['jitEnabled']]": true,
		"[steps('none').control]":              app.Undefined{}, "[location()]": "onprem",
		"[resourceGroup().name]": "apps",
		"[subscription().id]":    "/subscriptions/s",

		"[and(true, true, false)]": false, "[and(false, basics('gone'))]": false, "[or(true, steps('gone').x)]": true,
		"[or(false, false)]": false, "[not(false)]": true,
		"[if(true, 1, div(1, 0))]": int64(1), "[if(equals(1, 2), 'a', 'b')]": "b",
		"[coalesce(basics('gone'), null, 'x')]": "x", "[coalesce(null, basics('gone'))]": app.Undefined{},
		"[equals('a', 'A')]": false, "[equals(1, 1.0)]": true, "[equals('1', 1)]": false,
		"[equals(parse('[1,{}]'), parse('[1,{}]'))]": true, "[equals(parse('{}'), 1)]": false,
		"[greater('b', 'a')]": true, "[greaterOrEquals(1, 1)]": true, "[less('10', '9')]": true,
		"[lessOrEquals(2, 1)]":  false,
		"[not(basics('gone'))]": app.Undefined{}, "[concat('a', basics('gone'))]": app.Undefined{},

		"[contains('abc', 'bc')]": true, "[contains(parse('[1,2]'), 2)]": true,
		"[contains(parse('{\"a\":1}'), 'a')]": true,
		"[empty(basics('gone'))]":             true, "[empty(null)]": true, "[empty('')]": true, "[empty('a')]": false,
		"[length('äb')]": int64(2), "[length(range(0, 3))]": int64(3),
		"[first('abc')]": "a", "[last(range(3, 2))]": int64(4), "[first('')]": app.Undefined{},
		"[skip('abcd', 1)]": "bcd", "[take(range(0, 5), 2)]": list(int64(0), int64(1)),
		"[filter(steps('jit').control.approvers, (a) => equals(a.type, 'user'))]": list(
			map[string]any{"id": "a", "type": "user"}),
		"[map(range(1, 2), (n) => mul(n, 10))]":                         list(int64(10), int64(20)),
		"[map(range(0, 2), (a) => map(range(0, 1), (b) => add(a, b)))]": list(list(int64(0)), list(int64(1))),
		"[split('a;b,c', parse('[\";\",\",\"]'))]":                      list("a", "b", "c"),
		"[split('a;b', ';')]":                                           list("a", "b"),

		"[concat('it''s ', 1, true)]": "it's 1true", "[concat(range(0, 1), range(5, 1))]": list(int64(0), int64(5)),
		"[endsWith('abc', 'bc')]": true, "[startsWith('abc', 'bc')]": false,
		"[guid()]": "guid", "[indexOf('äbc', 'c')]": int64(2), "[lastIndexOf('aba', 'a')]": int64(2),
		"[indexOf('a', 'b')]": int64(-1), "[replace('aXbX', 'X', '-')]": "a-b-", "[replace('a', '', 'b')]": "a",
		"[substring('abcd', 1, 2)]": "bc", "[substring('abcd', 2)]": "cd", "[toLower('AÄ')]": "aä",
		"[TOUPPER('a')]": "A",

		"[bool('false')]": false, "[bool(0)]": false, "[bool('no')]": true, "[decodeBase64('YWI=')]": "ab",
		"[encodeBase64('ab')]": "YWI=", "[decodeUriComponent('a%20b')]": "a b",
		"[encodeUriComponent('a b/(c)')]": "a%20b%2F(c)", "[float('1.5')]": 1.5, "[int(1.9)]": int64(1),
		"[int('-7')]": int64(-7), "[int(-1.9)]": int64(-1),
		"[parse('{\"a\":[1,2.5,null]}').a]":        list(int64(1), 2.5, nil),
		"[string(parse('{\"b\":1,\"a\":\"<\"}'))]": `{"b":1,"a":"<"}`, "[string('x')]": "x", "[string(1)]": "1",

		"[addHours('2026-03-02T12:00:00Z', 13)]": "2026-03-03T01:00:00.000Z",
		"[addMinutes('2026-03-02T12:00Z', -1)]":  "2026-03-02T11:59:00.000Z",
		"[addSeconds(utcNow(), 1)]":              "2026-03-02T12:00:01.000Z",

		"[add(1, 2)]": int64(3), "[add(1, 0.5)]": 1.5, "[ceil(1.1)]": int64(2), "[div(7, 2)]": int64(3),
		"[div(-7.5, 2)]": int64(-3), "[floor(-1.1)]": int64(-2), "[max(1, 3, 2)]": int64(3),
		"[min(range(4, 3))]": int64(4), "[mod(7, 3)]": int64(1), "[mul(-2, 3)]": int64(-6), "[rand(5, 8)]": int64(7),
		"[range(3, 2)]": list(int64(3), int64(4)), "[sub(1, 2)]": int64(-1),
	} {
		got, err := evaluate(t, text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "[", "[]", "[[x]", "[ ]", "[a]", "[a()]", "[concat('a']", "[concat('a',)]", "[concat('a' 'b')]",
		"['a]", "[1.2.3]", "[basics('a').]", "[basics('a')[0]",
		"[basics()]", "[not(true, false)]", "[(a) => a]", "[filter(range(0, 1), true)]", "[map((a) => a, range(0, 1))]",
		"[map(range(0, 1), (a) => (b) => b)]", "[map(range(0, 1), (a) => b)]",
		"[concat('a')] ", "[concat('a') concat('b')]", "[1e999]", "[$x]",
		"[" + strings.Repeat("not(", 100) + "true" + strings.Repeat(")", 100) + "]",
		"[basics('a')" + strings.Repeat(".a", 100) + "]",
		"['" + strings.Repeat("a", 20_000) + "']",
	} {
		if _, err := app.ParseExpression(text); access.CodeOf(err) != "malformedExpression" {
			t.Errorf("%.60s: got %v", text, err)
		}
	}
}

func TestExpressionsThatFail(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"[not('true')]", "[and(true, 1)]", "[if('x', 1, 2)]", "[greater('a', 1)]", "[contains(1, 1)]",
		"[contains('1', 1)]", "[empty(1)]", "[length(true)]", "[first(1)]", "[skip('a', 'b')]", "[take(1, 1)]",
		"[filter('abc', (a) => true)]", "[filter(range(0, 1), (a) => a)]", "[split('a', '')]", "[split(1, 'a')]",
		"[concat('a', range(0, 1))]", "[concat(range(0, 1), 'a')]", "[toLower(1)]",
		"[substring('a', 2, 1)]", "[substring('a', -1, 1)]", "[substring('a', 0, 9223372036854775807)]", "[bool(null)]",
		"[decodeBase64('?')]", "[decodeUriComponent('%')]", "[float('x')]", "[int('NaN')]", "[int('1e300')]",
		"[parse('{')]", "[parse(1)]", "[parse('{\"a\":1,\"a\":2}')]", "[addHours('noon', 1)]",
		"[addHours(utcNow(), 9223372036854775807)]", "[div(1, 0)]", "[mod(1.5, 0)]", "[add(9223372036854775807, 1)]",
		"[mul(1e308, 10)]", "[max('a')]", "[range(0, 10001)]", "[range(9223372036854775807, 5)]", "[rand(2, 1)]",
		"[rand(-9223372036854775807, 9223372036854775807)]", "[basics(1)]", "[steps(1)]",
	} {
		if got, err := evaluate(t, text); access.KindOf(err) != access.KindInvalid {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

// TestExpressionsAreBounded gives expressions that would need more memory or time than there is.
func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	grow := "'aaaaaaaaaa'"
	for range 12 {
		grow = "replace(" + grow + ", 'a', 'aaaaaaaaaa')"
	}
	shared := "v"
	for range 30 {
		shared = "map(range(0, 100), (x) => " + shared + ")"
	}
	for name, text := range map[string]string{
		"a text that grows by ten each time": "[" + grow + "]",
		"a thousand times a thousand": "[map(range(0, 1000), (a) => map(range(0, 1000), (b) => concat('x', " +
			"a, b)))]",
		"shared and then written out": "[string(first(map(range(0, 1), (v) => " + shared + ")))]",
		"the same text read again and again": "[map(range(0, 10000), (a) => length(parse(concat('\"', replace('" +
			strings.Repeat(
				"a", 100) + "', 'a', '" + strings.Repeat("b", 100) + "'), '\"'))))]",
	} {
		if _, err := evaluate(t, text); access.KindOf(err) != access.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestStringAndParseAreInverse checks that any value that JSON can write survives both.
func TestStringAndParseAreInverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(t, 3)
		x, err := app.ParseExpression("[equals(parse(string(basics('v'))), basics('v'))]")
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.Evaluate(app.Values{Basics: map[string]any{"v": map[string]any{"in": v}}})
		if err != nil || got != true {
			t.Fatalf("%v: got %v %v", v, got, err)
		}
	})
}

func drawValue(t *rapid.T, depth int) any {
	switch n := rapid.IntRange(0, 6).Draw(t, "kind"); {
	case n == 0:
		return nil
	case n == 1:
		return rapid.Bool().Draw(t, "bool")
	case n == 2:
		return int64(rapid.Int32().Draw(t, "number"))
	case n == 3:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "float")
	case n == 4 && depth > 0:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	case n == 5 && depth > 0:
		object := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			object[rapid.String().Draw(t, "name")] = drawValue(t, depth-1)
		}
		return object
	default:
		return rapid.String().Draw(t, "text")
	}
}

func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"[parse(concat('{\"a\":', string(steps('jit').control.jitEnabled), '}'))]",
		"[filter(steps('jit').control.approvers, (a) => equals(a.type, 'user'))]",
		"[first({'a': [1, \"b\\u0041\", {}], \"b\": $rowIndex})]",
		"[if(not(empty(basics('size'))), substring('abc', 1), split('a,b', ','))]", "[add(mul(1, 2.5), int('3'))]",
		"[basics('text')['value']]", "[addHours(utcNow(), 1)]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := app.ParseExpression(text)
		if err != nil {
			return
		}
		one, err := x.Evaluate(values())
		if err != nil {
			if access.KindOf(err) != access.KindInvalid {
				t.Fatalf("%s: %v", text, err)
			}
			return
		}
		two, err := x.Evaluate(values())
		if err != nil || !cmp.Equal(one, two, sameObjects()) {
			t.Fatalf("%s: %v, then %v %v", text, one, two, err)
		}
	})
}
