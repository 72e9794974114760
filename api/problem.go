package api

import "strings"

// Error gives the problem in one line: what is wrong, every reason, and the code.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Detail != "" {
		b.WriteString(p.Detail)
	} else {
		b.WriteString(p.Title)
	}
	for _, r := range p.Reasons {
		b.WriteString("; ")
		if r.Field != "" {
			b.WriteString(r.Field)
			b.WriteString(": ")
		}
		b.WriteString(r.Message)
	}
	if p.Code != "" {
		b.WriteString(" (")
		b.WriteString(p.Code)
		b.WriteString(")")
	}
	return b.String()
}
