package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// digest covers everything that an approver is shown and that takes effect, in a form of its own: each field has its
// place and every text is quoted, so that no two requests have one form.
func (r Request) digest() string {
	b := fmt.Appendf(nil, "postern request v1\n%q %q %d %q %q %q %t\n", r.ID, r.Requester, micros(r.Start),
		r.Justification, r.Ticket, r.Extends, r.BreakGlass)
	if r.Moves != "" {
		b = fmt.Appendf(b, "moves %q\n", r.Moves)
	}
	for _, w := range r.Windows {
		b = fmt.Appendf(b, "window %d\n", micros(w))
	}
	for _, a := range r.Approvals {
		b = fmt.Appendf(b, "approval %v ", a.Items)
		b = a.Case.form(b)
	}
	for _, it := range r.Items {
		b = it.Target.form(b, it)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// form appends the case to b, field by field.
func (c Case) form(b []byte) []byte {
	b = fmt.Appendf(b, "%q %q %d %t\n", c.Name, c.When, c.Denies, c.StepUp)
	b = fmt.Appendf(b, "hours %q %v %d %d\n", c.Hours.Zone, c.Hours.Days, c.Hours.From, c.Hours.To)
	for _, s := range c.Stages {
		b = fmt.Appendf(b, "stage %d\n", s.Timeout)
		for _, q := range s.AllOf {
			b = fmt.Appendf(b, "all %d %q %q\n", q.Count, q.Groups, q.People)
		}
		for _, q := range s.AnyOf {
			b = fmt.Appendf(b, "any %d %q %q\n", q.Count, q.Groups, q.People)
		}
	}
	return b
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
