package app

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

// Rich is a text of a package with its links. It holds nothing else: markup is left out or stands as text.
type Rich []Span

// Span is a piece of a text; Link is empty, or an address of https without a password.
type Span struct{ Text, Link string }

const maxRich = 20_000 // bytes of one text

// links are those of Markdown, and of HTML as packages use it in their texts.
func links() *regexp.Regexp {
	return regexp.MustCompile(`(?is)\[([^\[\]]+)\]\(\s*([^()\s]+)\s*\)|` +
		`<a\s[^<>]*?href\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')[^<>]*>(.*?)</a\s*>`)
}

// marks are the tags that packages use for the look of a text.
func marks() *regexp.Regexp {
	return regexp.MustCompile(`(?i)</?(?:b|i|u|em|strong|p|ul|ol|li|br|code|span|div|small|h[1-6])(?:\s[^<>]*)?/?>`)
}

// ParseRich reads a text of a package.
func ParseRich(text string) Rich {
	if len(text) > maxRich {
		text = strings.ToValidUTF8(text[:maxRich], "") + "…"
	}
	switch {
	case text == "":
		return nil
	case !strings.ContainsAny(text, "<[&"):
		return Rich{{Text: text}}
	}
	var out Rich
	add := func(piece, link string) {
		if piece = unmarked(piece); piece != "" {
			out = append(out, Span{Text: piece, Link: link})
		}
	}
	from := 0
	for _, m := range links().FindAllStringSubmatchIndex(text, -1) {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		add(text[from:m[0]], "")
		label, to := part(1)+part(5), part(2)+html.UnescapeString(part(3)+part(4))
		if link, ok := safeLink(to); ok {
			add(label, link)
		} else {
			add(label, "")
		}
		from = m[1]
	}
	add(text[from:], "")
	return out
}

// unmarked takes the look of a text away: line breaks and list items are on lines of their own.
func unmarked(text string) string {
	text = regexp.MustCompile(`(?i)<(?:br|/p|li|/div|/h[1-6])\b[^<>]*>`).ReplaceAllString(text, "\n")
	return html.UnescapeString(marks().ReplaceAllString(text, ""))
}

// safeLink returns an address that a page may link to.
func safeLink(s string) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "", false
	}
	return u.String(), true
}
