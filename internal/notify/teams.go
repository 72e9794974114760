package notify

import "encoding/json"

type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema  string        `json:"$schema"`
	Type    string        `json:"type"`
	Version string        `json:"version"`
	Body    []teamsBlock  `json:"body"`
	Actions []teamsAction `json:"actions,omitempty"`
	Teams   teamsWidth    `json:"msteams"`
}

type teamsWidth struct {
	Width string `json:"width"`
}

// teamsBlock is a RichTextBlock, whose runs are shown as they are; a TextBlock would read them as Markdown.
type teamsBlock struct {
	Type    string     `json:"type"`
	Inlines []teamsRun `json:"inlines"`
	Spacing string     `json:"spacing,omitempty"`
}

type teamsRun struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Size   string `json:"size,omitempty"`
}

type teamsAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// teamsBody gives the JSON of an Adaptive Card for an incoming webhook of Microsoft Teams.
func teamsBody(m message) ([]byte, error) {
	run := func(text, weight, size string) teamsRun {
		return teamsRun{Type: "TextRun", Text: text, Weight: weight, Size: size}
	}
	block := func(spacing string, runs ...teamsRun) teamsBlock {
		return teamsBlock{Type: "RichTextBlock", Inlines: runs, Spacing: spacing}
	}
	card := teamsCard{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Teams: teamsWidth{Width: "Full"}, Body: []teamsBlock{block("", run(m.Title, "Bolder", "Medium"))},
	}
	if m.Lead != "" {
		card.Body = append(card.Body, block("Small", run(m.Lead, "", "")))
	}
	for _, f := range m.Fields {
		card.Body = append(card.Body, block("Small", run(f.Label+": ", "Bolder", ""), run(f.Value, "", "")))
	}
	if m.Link != "" {
		card.Actions = []teamsAction{{Type: "Action.OpenUrl", Title: m.Button, URL: m.Link}}
	}
	return json.Marshal(teamsMessage{
		Type:        "message",
		Attachments: []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: card}},
	})
}
