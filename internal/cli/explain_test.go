package cli

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// An error speaks of what was typed, and not of the fields of a body that nobody wrote.
func TestErrorsNameFlags(t *testing.T) {
	t.Parallel()
	root := tree()
	command := func(name string) *cobra.Command {
		for _, c := range root.Commands() {
			if c.Name() == name {
				return c
			}
		}
		return nil
	}
	request := command("request")
	for _, c := range []struct {
		ran     *cobra.Command
		field   string
		several bool
		want    string
	}{
		{request, "items[0].ports", false, "--port"},
		{request, "items[1].sources[0]", true, "item 2, --from"},
		{request, "forSeconds", false, "--for"},
		{request, "idempotencyKey", false, "--idempotency-key"},
		{request, "items[3]", true, "item 4"},
		{request, "items[3]", false, "the request"},
		{command("whoami"), "gapSeconds", false, "gap"},
		{nil, "closeAfterLossSeconds", false, "close after loss"},
		{request, "web-1.yaml:8:11: approval[0].when", false, "web-1.yaml:8:11: approval[0].when"},
	} {
		if got := fieldText(c.ran, c.field, c.several); got != c.want {
			t.Errorf("%s is %q, want %q", c.field, got, c.want)
		}
	}
	request.Flags().Lookup("item").Changed = true
	if got := fieldText(request, "items[1].forSeconds", true); got != "item 2, duration" {
		t.Errorf("of an item: %q", got)
	}
}

// Whoever is refused learns which command comes next.
func TestErrorsNameTheNextCommand(t *testing.T) {
	t.Parallel()
	for want, problem := range map[string]*api.Problem{
		"See the limits with: postern policy explain MACHINE:PORT\n": {
			Status: 400, Code: "refused", Detail: "no", Reasons: []api.Reason{{Code: "durationTooLong", Message: "4h"}},
		},
		"See: postern role eligible\n":    {Status: 403, Code: "forbidden", Detail: "no"},
		"See: postern review list\n":      {Status: 403, Code: "reviewOpen", Detail: "no"},
		"Sign in with: postern login\n":   {Status: 401, Code: "sessionEnded", Detail: "no"},
		"Confirm with: postern confirm\n": {Status: 403, Code: "stepUpRequired", Detail: "no"},
	} {
		var text bytes.Buffer
		a := &app{err: &text}
		a.explain(problem)
		if !bytes.HasSuffix(text.Bytes(), []byte(want)) {
			t.Errorf("%s\nwant %s", text.String(), want)
		}
	}
}
