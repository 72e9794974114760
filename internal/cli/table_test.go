package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"pgregory.net/rapid"
)

type thing struct {
	Name   string   `json:"name"`
	Length string   `json:"length"`
	Of     []string `json:"of"`
}

func things() []thing {
	return []thing{
		{"web-10", "2h", []string{"a", "b", "c", "d"}},
		{"web-2", "90m", nil},
		{"Web-1", "1d", []string{strings.Repeat("long ", 9)}},
	}
}

// listed prints things as the flags say, on a terminal so wide, or elsewhere where width is 0.
func listed(output string, width int, v view) (string, error) {
	var out bytes.Buffer
	a := &app{
		out: &out, err: &out, now: time.Now, local: time.UTC, output: output, view: v,
		width: func() int { return width },
	}
	err := printList(a, things(), []column[thing]{
		{"NAME", func(_ style, v thing) string { return v.Name }},
		{"FULL LENGTH", func(_ style, v thing) string { return v.Length }},
	}, "none", column[thing]{"OF", func(s style, v thing) string { return s.list(v.Of) }})
	return out.String(), err
}

func TestListsAreShownAsAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		output string
		width  int
		view   view
		want   string
	}{
		"usual": {"table", 80, view{}, "NAME    FULL LENGTH\nweb-10  2h\nweb-2   90m\nWeb-1   1d\n"},
		"wide": {"wide", 20, view{}, "NAME    FULL LENGTH  OF\nweb-10  2h           a,b,c,d\nweb-2   90m\n" +
			"Web-1   1d           " + strings.TrimSpace(strings.Repeat("long ", 9)) + "\n"},
		"columns": {"table", 80, view{columns: []string{"of", "Full_Length"}}, "OF" + strings.Repeat(" ", 45) +
			"FULL LENGTH\na,b +2" + strings.Repeat(" ", 41) + "2h\n" + strings.Repeat(" ", 47) + "90m\n" +
			strings.Repeat("long ", 9) + "  1d\n"},
		"cut to the terminal": {"table", 30, view{columns: []string{"of", "name"}}, "OF" + strings.Repeat(" ", 22) +
			"NAME\na,b +2" + strings.Repeat(" ", 18) + "web-10\n" + strings.Repeat(" ", 24) + "web-2\n" +
			"long long long long l…  Web-1\n"},
		"whole in a pipe": {"table", 0, view{columns: []string{"of", "name"}}, "OF" + strings.Repeat(" ", 45) +
			"NAME\na,b,c,d" + strings.Repeat(" ", 40) + "web-10\n" + strings.Repeat(" ", 47) + "web-2\n" +
			strings.Repeat("long ", 9) + "  Web-1\n"},
		"by name":          {"csv", 0, view{columns: []string{"name"}, sort: "name"}, "name\nWeb-1\nweb-2\nweb-10\n"},
		"by length":        {"csv", 0, view{columns: []string{"name"}, sort: "full-length"}, "name\nweb-2\nweb-10\nWeb-1\n"},
		"by length, falls": {"csv", 0, view{columns: []string{"name"}, sort: "-full length"}, "name\nWeb-1\nweb-10\nweb-2\n"},
		"CSV has it all":   {"csv", 0, view{}, "name,full_length,of\nweb-10,2h,\"a,b,c,d\"\nweb-2,90m,\nWeb-1,1d," + strings.Repeat("long ", 9) + "\n"},
	} {
		got, err := listed(c.output, c.width, c.view)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for _, c := range []struct {
		output string
		view   view
		want   string
	}{
		{"table", view{columns: []string{"nam"}}, `there is no column "nam"`},
		{"table", view{sort: "-nam"}, `there is no column "nam"`},
		{"json", view{columns: []string{"name"}}, "--columns selects columns, which json output does not have"},
	} {
		if _, err := listed(c.output, 0, c.view); err == nil || err.Error() != c.want || exitCode(err) != exitUsage {
			t.Errorf("%+v: %v, want %s", c.view, err, c.want)
		}
	}
	if got, err := listed("json", 0, view{sort: "name"}); err != nil || !strings.HasPrefix(got, "[\n  {\n    \"name\": \"Web-1\"") {
		t.Errorf("%v\n%s", err, got)
	}
}

// Texts are ordered, whatever is in them.
func TestNaturalOrderIsAnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-c0-2.é-]{0,8}`)
		x, y, z := text.Draw(t, "x"), text.Draw(t, "y"), text.Draw(t, "z")
		sign := func(n int) int { return min(max(n, -1), 1) }
		if sign(naturally(x, y)) != -sign(naturally(y, x)) {
			t.Fatalf("%q and %q", x, y)
		}
		if naturally(x, y) <= 0 && naturally(y, z) <= 0 && naturally(x, z) > 0 {
			t.Fatalf("%q, %q, %q", x, y, z)
		}
	})
}

// A watched list goes to a pipe once, and then only what is new or changed of what is shown.
func TestWatchedListSaysWhatChanges(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"table": "NAME       FULL LENGTH\nlong-name  1h\nweb-2      1h\nweb-1      2h\nweb-3      1h\nweb-1      1h\nweb-1      2h\n",
		"csv":   "name,full_length,of\nlong-name,1h,x\nweb-2,1h,\nweb-1,2h,x\nweb-3,1h,\nweb-1,1h,x\nweb-1,2h,x\n",
	} {
		var out, notes bytes.Buffer
		a := &app{
			out: &out, err: &notes, now: time.Now, local: time.UTC, output: output,
			view: view{watch: true},
		}
		for _, state := range [][]thing{
			{{"long-name", "1h", []string{"x"}}, {"web-2", "1h", nil}},
			{{"long-name", "1h", []string{"x"}}, {"web-2", "1h", nil}},
			{{"web-1", "2h", []string{"x"}}, {"web-2", "1h", nil}},
			{{"web-1", "2h", []string{"x"}}, {"web-3", "1h", nil}},
			{{"web-1", "1h", []string{"x"}}, {"web-3", "1h", nil}},
			{{"web-1", "2h", []string{"x"}}, {"web-3", "1h", nil}}, // as it was before, and not the last time
		} {
			if err := printList(a, state, []column[thing]{
				{"NAME", func(_ style, v thing) string { return v.Name }},
				{"FULL LENGTH", func(_ style, v thing) string { return v.Length }},
			}, "none", column[thing]{"OF", func(s style, v thing) string { return s.list(v.Of) }}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s: %s", output, diff)
		}
	}
}

// A server that is away for a moment does not end a watch; any other fault does, and so does an interrupt.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var out, notes bytes.Buffer
	a := &app{out: &out, err: &notes, now: time.Now, local: time.UTC, output: "table", width: func() int { return 80 }}
	turn := 0
	err := a.watchEvery(ctx, time.Millisecond, func() error {
		switch turn++; turn {
		case 1, 3:
			a.line("web-1")
		case 2:
			return fail(exitUnavailable, "Trying again.", "no answer")
		case 4:
			stop()
		}
		return nil
	})
	const clear = "\x1b[H\x1b[2J"
	if want := clear + "web-1\n" + clear + "Error: no answer\nTrying again.\n" + clear + "web-1\n"; err != nil || out.String() != want {
		t.Errorf("%v\n%q, want\n%q", err, out.String(), want)
	}
	if err := a.watchEvery(t.Context(), time.Millisecond, func() error { return errors.New("broken") }); err == nil {
		t.Error("went on")
	}
}

// Every list can be watched, sorted and cut to some columns.
func TestListsHaveTheirFlags(t *testing.T) {
	t.Parallel()
	lists := 0
	everyCommand(tree(), func(c *cobra.Command) {
		if c.Name() != "list" {
			return
		}
		lists++
		for _, flag := range []string{"columns", "sort", "watch"} {
			if c.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", c.CommandPath(), flag)
			}
		}
	})
	if lists < 15 {
		t.Errorf("only %d lists were found", lists)
	}
}

// A column is named on the command line, so no list has two of one name.
func TestColumnsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	distinct(t, policyColumns(), policyDetails())
	distinct(t, requestColumns(), requestDetails())
	distinct(t, grantColumns(), grantDetails())
	distinct(t, alertColumns(), alertDetails())
	distinct(t, eventColumns(), append(eventPlaces(), eventDetail()))
}

func distinct[T any](t *testing.T, usual, wide []column[T]) {
	t.Helper()
	seen := map[string]bool{}
	for _, c := range append(usual, wide...) {
		if name := columnName(c.head); seen[name] {
			t.Errorf("two columns are called %s", name)
		} else {
			seen[name] = true
		}
	}
}
