package notify

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
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
	lead := mrkdwn("*" + slackEscape(m.Title, 900) + "*\n" + slackEscape(m.Lead, 1900))
	out := slackMessage{Text: slackEscape(m.Title, 900), Blocks: []slackBlock{{Type: "section", Text: &lead}}}
	for fields := m.Fields; len(fields) > 0; fields = fields[min(maxFields, len(fields)):] {
		section := slackBlock{Type: "section"}
		for _, f := range fields[:min(maxFields, len(fields))] {
			section.Fields = append(section.Fields,
				mrkdwn("*"+slackEscape(f.Label, 50)+"*\n"+slackEscape(f.Value, 1900)))
		}
		out.Blocks = append(out.Blocks, section)
	}
	if m.Link != "" {
		button := slackElement{Type: "button", Text: slackText{Type: "plain_text", Text: m.Button}, URL: m.Link}
		out.Blocks = append(out.Blocks, slackBlock{Type: "actions", Elements: []slackElement{button}})
	}
	return json.Marshal(out)
}

// slackEscape makes s stand as it is in Slack's mrkdwn: no mention, link, or entity, and no mark of format, before
// which it sets a zero-width space where it would have an effect. Marks inside words, as in web_1, have none. The
// result has at most most characters, since Slack refuses a whole message for one text that is too long.
func slackEscape(s string, most int) string {
	runes := []rune(s)
	var b strings.Builder
	length := 0
	for i, r := range runes {
		escaped := string(r)
		switch r {
		case '&':
			escaped = "&amp;"
		case '<':
			escaped = "&lt;"
		case '>':
			escaped = "&gt;"
		case '*', '_', '~', '`':
			inWord := i > 0 && i+1 < len(runes) && alphanumeric(runes[i-1]) && alphanumeric(runes[i+1])
			if !inWord {
				escaped = "\u200B" + escaped
			}
		}
		if length += utf8.RuneCountInString(escaped); length >= most {
			return b.String() + "…"
		}
		b.WriteString(escaped)
	}
	return b.String()
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
