package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/core/access"
)

// checkTexts looks at the justification and the ticket, against the strictest of the policies.
func (e *evaluation) checkTexts() {
	var required bool
	var shortest int
	for _, item := range e.in.Items {
		if item.Policy != nil && item.Policy.Justification.Required {
			required = true
			shortest = max(shortest, item.Policy.Justification.MinLength)
		}
	}
	text := strings.TrimSpace(e.in.Justification)
	switch n := utf8.RuneCountInString(text); {
	case len(e.in.Justification) > access.MaxText:
		e.refuse("justificationTooLong", "justification", "the justification has %d bytes; %d are allowed",
			len(e.in.Justification), access.MaxText)
	case malformedText(e.in.Justification, "\n\r\t"):
		e.refuse("justificationMalformed", "justification", "the justification has control characters, or is not UTF-8")
	case required && n == 0:
		e.refuse("justificationRequired", "justification", "say why: %s", lengthHint(shortest))
	case required && n < shortest:
		e.refuse("justificationTooShort", "justification", "the justification has %d characters: %s", n,
			lengthHint(shortest))
	}
	switch {
	case len(e.in.Ticket) > access.MaxTicket:
		e.refuse("ticketTooLong", "ticket", "the ticket has %d bytes; %d are allowed", len(e.in.Ticket),
			access.MaxTicket)
	case malformedText(e.in.Ticket, ""):
		e.refuse("ticketMalformed", "ticket", "the ticket has control characters, or is not UTF-8")
	default:
		e.checkPatterns(text)
	}
}

// maxMatching bounds the steps of all patterns of one call together; one takes 23 ns at the worst.
const maxMatching = 2_000_000

// checkPatterns holds the texts against the patterns of the policies, each pattern once.
func (e *evaluation) checkPatterns(justification string) {
	asked, wanted := map[string]bool{}, false
	left := maxMatching
	refuse := func(pattern, text, code, field, format string) {
		if asked[field+pattern] || pattern == "" || text == "" || left < 0 {
			return
		}
		asked[field+pattern] = true
		expression, err := access.CompilePattern(pattern)
		if err == nil {
			left -= expression.Steps(text)
		}
		switch {
		case left < 0:
			e.refuse(field+"TooDear", field,
				"the patterns that the policies ask for would take too long with a %s of %d bytes: write a shorter "+
					"one, or ask for fewer machines at once",
				field, len(text))
		case err != nil || !expression.Match(text):
			e.refuse(code, field, format, pattern)
		}
	}
	for _, item := range e.in.Items {
		if item.Policy == nil {
			continue
		}
		rule := item.Policy.Ticket
		wanted = wanted || rule.Required
		refuse(item.Policy.Justification.Pattern, justification, "justificationUnlike", "justification",
			"the policy requires a justification like %s")
		if rule.Pattern != "" {
			refuse("^(?:"+rule.Pattern+")$", e.in.Ticket, "ticketUnlike", "ticket",
				"the policy requires a ticket like %s")
		}
	}
	if wanted && e.in.Ticket == "" {
		e.refuse("ticketRequired", "ticket", "name the ticket: the policy requires one")
	}
}

func lengthHint(shortest int) string {
	if shortest <= 1 {
		return "the policy asks for a justification"
	}
	return "the policy asks for a justification of at least " + plural(shortest, "character")
}

// malformedText tells whether s could not be kept or shown: not UTF-8, or with control characters except those allowed.
func malformedText(s, allowed string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune(allowed, r)
	})
}
