package notify

import (
	"encoding/json"
	"strings"
	"unicode"
)

type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"` // no links made of what looks like one
}

type slackElement struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
	URL  string    `json:"url"`
}

type slackBlock struct {
	Type     string         `json:"type"`
	Text     *slackText     `json:"text,omitempty"`
	Fields   []slackText    `json:"fields,omitempty"`
	Elements []slackElement `json:"elements,omitempty"`
}

type slackMessage struct {
	Text        string       `json:"text"` // what a notification on a screen shows
	Blocks      []slackBlock `json:"blocks"`
	UnfurlLinks bool         `json:"unfurl_links"`
	UnfurlMedia bool         `json:"unfurl_media"`
}

// slackBody gives the JSON for an incoming webhook of Slack.
func slackBody(m message) ([]byte, error) {
	const maxFields = 10 // of one section
	mrkdwn := func(s string) slackText { return slackText{Type: "mrkdwn", Text: s, Verbatim: true} }
	lead := mrkdwn("*" + slackEscape(m.Title) + "*\n" + slackEscape(m.Lead))
	out := slackMessage{Text: slackEscape(m.Title), Blocks: []slackBlock{{Type: "section", Text: &lead}}}
	for fields := m.Fields; len(fields) > 0; fields = fields[min(maxFields, len(fields)):] {
		section := slackBlock{Type: "section"}
		for _, f := range fields[:min(maxFields, len(fields))] {
			section.Fields = append(section.Fields, mrkdwn("*"+slackEscape(f.Label)+"*\n"+slackEscape(f.Value)))
		}
		out.Blocks = append(out.Blocks, section)
	}
	if m.Link != "" {
		button := slackElement{Type: "button", Text: slackText{Type: "plain_text", Text: m.Button}, URL: m.Link}
		out.Blocks = append(out.Blocks, slackBlock{Type: "actions", Elements: []slackElement{button}})
	}
	return json.Marshal(out)
}

// slackEscape makes s stand as it is in Slack's mrkdwn: no mention, link, or entity, and no mark of format, before which
// it sets a zero-width space where it would have an effect. Marks inside words, as in web_1, have none.
func slackEscape(s string) string {
	runes := []rune(s)
	var b strings.Builder
	for i, r := range runes {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '*', '_', '~', '`':
			inWord := i > 0 && i+1 < len(runes) && alphanumeric(runes[i-1]) && alphanumeric(runes[i+1])
			if !inWord {
				b.WriteRune('\u200B')
			}
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
