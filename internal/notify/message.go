package notify

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// message is a notification in words, for people; nothing in it is escaped for any format yet.
type message struct {
	Title  string // one line
	Lead   string // a sentence or two
	Fields []field
	Button string // what Link is for; empty without a link
	Link   string
}

type field struct{ Label, Value string }

// texts is what one kind of notification says. Title and Lead are text/template over the facts; Fields names the facts
// to show, in order.
type texts struct {
	Title, Lead, Button string
	Fields              []string
}

// allFields is every fact that a message about access may show, in order.
func allFields() []string {
	return []string{"Who", "CodeOf", "Target", "Ports", "Sources", "Window", "Reason", "Ticket", "By", "Detail"}
}

// table is the wording of every kind of notification.
func table() map[engine.NotificationKind]texts {
	return map[engine.NotificationKind]texts{
		engine.NotifyRequested: {
			Title: `{{.Who}} asks for {{.Access}}`, Lead: `The request was submitted.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifyNeedsDecision: {
			Title:  `Decision needed: {{.Who}} asks for {{.Access}}`,
			Lead:   `Approve or deny it on its page. What you decide there is bound to what the page shows.`,
			Button: "Approve or deny", Fields: allFields(),
		},
		engine.NotifyReminder: {
			Title:  `Still waiting: {{.Who}} asks for {{.Access}}`,
			Lead:   `It still waits for a decision{{with .Until}}; the time for that ends at {{.}}{{end}}.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifyDecided: {
			Title:  `{{.Outcome}}: {{.Access}} for {{.Who}}`,
			Lead:   `The request was {{lower .Outcome}}{{with .By}} by {{.}}{{end}}.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifySettled: {
			Title:  `{{.Outcome}}: {{.Access}} for {{.Who}}`,
			Lead:   `Your decision is not needed any more: the request was {{lower .Outcome}}{{with .By}} by {{.}}{{end}}.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifyOpened: {
			Title:  `Active: {{.Access}} for {{.Who}}`,
			Lead:   `Access is in force{{with .End}} until {{.}}{{end}}. It closes by itself.`,
			Button: "See or end it", Fields: allFields(),
		},
		engine.NotifyWillEnd: {
			Title:  `Ends soon: {{.Access}} for {{.Who}}`,
			Lead:   `Access ends{{with .End}} at {{.}}{{end}}. Extend it on its page if the work is not done.`,
			Button: "Extend or end it", Fields: allFields(),
		},
		engine.NotifyEnded: {
			Title:  `{{or .Outcome "Ended"}}: {{.Access}} for {{.Who}}`,
			Lead:   `Access has ended{{with .By}}, by {{.}}{{end}}.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifyFailed: {
			Title: `Failed: {{.Access}} for {{.Who}}`, Lead: `The access was approved, but it is not in force.`,
			Button: "See the request", Fields: allFields(),
		},
		engine.NotifyBreakGlass: {
			Title: `BREAK-GLASS: {{with .CodeOf}}a code issued to {{.}}{{else}}{{.Who}}{{end}} opened {{.Target}} without approval`,
			Lead: `{{if .CodeOf}}The code was used on the machine itself while the server was out of reach; who typed it is not known.` +
				`{{else}}Access is open now.{{end}} Somebody who may approve must review it and close the review with a comment.`,
			Button: "Review it", Fields: allFields(),
		},
		engine.NotifyAlert: {
			Title: `{{with .Outcome}}{{if ne . "Open"}}{{.}}: {{end}}{{end}}{{or .Title "Alert"}}`, Lead: `{{.Detail}}`,
			Button: "See the alert", Fields: []string{"Severity", "Who", "Target", "Ports", "Sources"},
		},
		engine.NotifyApplication: {
			Title: `{{.Outcome}}: managed application {{.Title}}{{with .Who}} of {{.}}{{end}}`, Lead: `{{.Detail}}`,
			Button: "See the application", Fields: []string{"By"},
		},
		engine.NotifyAccount: {
			Title: `{{.Title}}`, Lead: `{{.Detail}}`, Button: "See your account", Fields: []string{"Who", "By"},
		},
		engine.NotifyAccessReview: {
			Title:  `Access review {{.Title}}{{with .Outcome}}: {{lower .}}{{end}}`,
			Button: "Open Postern",
			Lead:   `{{.Detail}} On the command line: postern access-review list`,
			Fields: []string{"By"},
		},
		engine.NotifyTest: {
			Title:  `Test of a Postern channel`,
			Lead:   `Notifications reach you through this channel. There is nothing to do.`,
			Button: "Open Postern", Fields: []string{"By"},
		},
	}
}

// factSheet is what the templates see: plain texts, empty where there is nothing to say.
type factSheet struct {
	Who, CodeOf, Ports, Sources, Window, Start, End, Until, Reason, Ticket, By, Outcome, Detail, Title, Severity string

	Target string // what it is about: "web-1, db-1", or "Contributor on application shop"
	Access string // the same in a sentence: "access to web-1, db-1", or "the role Contributor on application shop"
	kind   string // the label of Target: Machine or Role, in the plural where there are several
}

func (f factSheet) fields() map[string]field {
	return map[string]field{
		"Who": {"Who", f.Who}, "CodeOf": {"Issued to", f.CodeOf}, "Target": {f.kind, f.Target},
		"Ports": {"Ports", f.Ports}, "Sources": {"From", f.Sources},
		"Window": {"Window", f.Window}, "Reason": {"Reason", f.Reason}, "Ticket": {"Ticket", f.Ticket},
		"By":     {"By", f.By},
		"Detail": {"Why", f.Detail}, "Severity": {"Severity", f.Severity},
	}
}

const (
	maxTitle = 150 // characters
	maxValue = 600 // characters
	maxNames = 8   // of a list, before "and 3 more"
	timeForm = "2006-01-02 15:04 UTC"
)

// factsOf makes the facts of s: cleaned of control characters and bounded in length.
func factsOf(s engine.Subject) factSheet {
	f := factSheet{
		Who: line(s.Who, 100), CodeOf: line(s.CodeOf, 100), Reason: line(s.Reason, maxValue),
		Ticket: line(s.Ticket, 100), By: line(s.By, 100),
		Outcome: outcome(s.Outcome), Detail: line(s.Detail, maxValue), Title: line(s.Title, maxTitle),
		Severity: line(s.Severity, 20),
	}
	var machines, roles, ports, sources []string
	for _, item := range s.Items {
		machines, roles = add(machines, line(item.Machine, 64)), add(roles, line(item.Role, 128))
		if item.Ports.Valid() {
			ports = add(ports, item.Ports.String()+"/"+string(item.Protocol))
		}
		for _, source := range item.Sources {
			sources = add(sources, prefixText(source))
		}
	}
	f.Ports, f.Sources = list(ports), list(sources)
	if f.kind, f.Target = plural("Machine", machines), list(machines); f.Target != "" {
		f.Access = "access to " + f.Target
	}
	if len(roles) > 0 { // a request never asks for both
		f.kind, f.Target = plural("Role", roles), list(roles)
		f.Access = "the " + strings.ToLower(f.kind) + " " + f.Target
	}
	f.Start, f.End, f.Until = instant(s.Start), instant(s.End), instant(s.Until)
	switch {
	case s.Duration > 0:
		f.Window = span(s.Duration) + " from its approval"
	case f.Start != "" && f.End != "":
		f.Window = f.Start + " to " + f.End + " (" + span(s.End.Sub(s.Start)) + ")"
	case f.End != "":
		f.Window = "until " + f.End
	case f.Start != "":
		f.Window = "from " + f.Start
	}
	if s.Windows > 1 {
		f.Window += ", the first of " + strconv.Itoa(s.Windows) + " windows"
	}
	return f
}

// plural returns a noun for what is listed.
func plural(noun string, listed []string) string {
	if len(listed) > 1 {
		return noun + "s"
	}
	return noun
}

// compose puts n into words. public is where people reach the portal.
func compose(n engine.Notification, public *url.URL) (message, error) {
	words := table()[n.Kind]
	facts := factsOf(n.Subject)
	m := message{Button: words.Button, Link: linkOf(n, public)}
	var err error
	if m.Title, err = Title(n); err != nil {
		return message{}, err
	}
	if m.Lead, err = fill(words.Lead, facts); err != nil {
		return message{}, err
	}
	m.Lead = line(m.Lead, maxValue)
	known := facts.fields()
	for _, name := range words.Fields {
		if known[name].Value != "" {
			m.Fields = append(m.Fields, known[name])
		}
	}
	return m, nil
}

// Title puts n into one line: the subject of a mail.
func Title(n engine.Notification) (string, error) {
	title, err := fill(table()[n.Kind].Title, factsOf(n.Subject))
	return line(title, maxTitle), err
}

func fill(text string, facts factSheet) (string, error) {
	t, err := template.New("").Funcs(template.FuncMap{"lower": strings.ToLower}).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, facts)
	return b.String(), err
}

// linkOf gives the page that a notification is about.
func linkOf(n engine.Notification, public *url.URL) string {
	switch {
	case n.Alert != "":
		return public.JoinPath("alerts", url.PathEscape(n.Alert)).String()
	case n.Lifecycle.Application != "":
		return public.JoinPath("applications", url.PathEscape(n.Lifecycle.Application.Name())).String()
	case n.Kind == engine.NotifyAccount:
		return public.JoinPath("account").String()
	case n.Request != "":
		return public.JoinPath("requests", url.PathEscape(string(n.Request))).String()
	default:
		return public.String()
	}
}

// line makes one line of at most most characters out of s: whitespace becomes a space, and what does not print, among
// them the marks that turn the direction of text, is left out.
func line(s string, most int) string {
	words := strings.FieldsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r >= 0x80 && r <= 0xa0 || r == '\u2028' || r == '\u2029'
	})
	s = strings.Map(func(r rune) rune {
		if r != ' ' && !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.Join(words, " "), ""))
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeForm)
}

func span(d time.Duration) string {
	text := d.Round(time.Minute).String()
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func prefixText(p netip.Prefix) string {
	switch {
	case p.IsSingleIP():
		return p.Addr().String()
	case p.Bits() == 0:
		return p.String() + " (any)"
	default:
		return p.String()
	}
}

func add(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func list(names []string) string {
	if len(names) > maxNames {
		return strings.Join(names[:maxNames], ", ") + " and " + strconv.Itoa(len(names)-maxNames) + " more"
	}
	return strings.Join(names, ", ")
}

func outcome(s string) string {
	switch s {
	case string(access.RequestTimedOut):
		return "Timed out"
	case "newVersion":
		return "New version"
	default:
		first, rest := "", ""
		if runes := []rune(line(s, 40)); len(runes) > 0 {
			first, rest = string(runes[:1]), string(runes[1:])
		}
		return strings.ToUpper(first) + rest
	}
}
