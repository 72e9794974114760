package audit

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/core/access"
)

// Decode reads a record. It accepts exactly what Encode writes: another order, a blank, an unknown or empty field, or
// an escape that is not needed is an error, so no two records say the same thing. Seq is 0.
func Decode(record []byte) (access.Event, error) {
	var e access.Event
	r := reader{rest: record}
	if len(record) > MaxRecord {
		r.fail("has more bytes than are allowed")
	}
	r.literal(`{"v":` + version)
	e.Action = r.text("action")
	e.Actor = r.actor()
	e.Agent = access.AgentID(r.text("agent"))
	e.At = r.time("at")
	e.Details = r.details()
	e.Grant = access.GrantID(r.text("grant"))
	e.Kind = access.EventKind(r.text("kind"))
	e.Machine = access.MachineID(r.text("machine"))
	e.Outcome = access.Outcome(r.text("outcome"))
	e.Request = access.RequestID(r.text("request"))
	e.Scope = access.ResourceID(r.text("scope"))
	e.Tenant = access.TenantID(r.text("tenant"))
	r.literal("}")
	if len(r.rest) > 0 {
		r.fail("does not end where it should")
	}
	if r.wrong != "" {
		return access.Event{}, access.Fault(access.KindInvalid, "recordMalformed", "the record %s, at byte %d", r.wrong,
			len(record)-len(r.rest))
	}
	return e, nil
}

// reader walks over a record; after the first fault it gives zero values only.
type reader struct {
	rest  []byte
	first bool // the next key opens an object, so no comma precedes it
	wrong string
}

func (r *reader) fail(what string) {
	if r.wrong == "" {
		r.wrong = what
	}
}

func (r *reader) literal(s string) {
	if r.wrong == "" && !r.take(s) {
		r.fail("lacks " + strconv.Quote(s))
	}
}

func (r *reader) take(s string) bool {
	if len(r.rest) < len(s) || string(r.rest[:len(s)]) != s {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

// key takes the key called name where it comes next.
func (r *reader) key(name string) bool {
	if r.wrong != "" {
		return false
	}
	prefix := `,"`
	if r.first {
		prefix = `"`
	}
	if !bytes.HasPrefix(r.rest, []byte(prefix)) || !bytes.HasPrefix(r.rest[len(prefix):], []byte(name)) ||
		!bytes.HasPrefix(r.rest[len(prefix)+len(name):], []byte(`":`)) {
		return false
	}
	r.rest = r.rest[len(prefix)+len(name)+2:]
	r.first = false
	return true
}

func (r *reader) text(name string) string {
	if !r.key(name) {
		return ""
	}
	s := r.quoted()
	if s == "" {
		r.fail("has an empty " + name)
	}
	return s
}

// quoted takes a string with no escapes but those that Encode writes.
func (r *reader) quoted() string {
	if r.literal(`"`); r.wrong != "" {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			s := string(r.rest[:i])
			if b.Len() > 0 {
				b.Write(r.rest[:i])
				s = b.String()
			}
			r.rest = r.rest[i+1:]
			if !utf8.ValidString(s) {
				r.fail("has text that is not UTF-8")
			}
			return s
		case c == '\\':
			b.Write(r.rest[:i])
			r.rest = r.rest[i:]
			b.WriteByte(r.escape())
			if r.wrong != "" {
				return ""
			}
			i = -1
		case c < ' ':
			r.fail("has a control character")
			return ""
		}
	}
	r.fail("ends inside text")
	return ""
}

func (r *reader) escape() byte {
	switch {
	case r.take(`\"`):
		return '"'
	case r.take(`\\`):
		return '\\'
	case r.take(`\u00`) && len(r.rest) >= 2:
		high, low := strings.IndexByte(hexDigits[:2], r.rest[0]), strings.IndexByte(hexDigits, r.rest[1])
		if high >= 0 && low >= 0 {
			r.rest = r.rest[2:]
			return byte(high<<4 | low) //nolint:gosec // below 32
		}
	}
	r.fail("has an escape that is not needed")
	return 0
}

func (r *reader) actor() access.Actor {
	var a access.Actor
	if !r.key("actor") {
		return a
	}
	r.literal("{")
	r.first = true
	if s := r.text("address"); s != "" {
		addr, ok := parseAddress(s)
		if !ok {
			r.fail("has a malformed address")
		}
		a.Address = addr
	}
	a.ID = access.PrincipalID(r.text("id"))
	a.Name = r.text("name")
	a.Via = r.text("via")
	r.literal("}")
	r.first = false
	if a == (access.Actor{}) {
		r.fail("has an empty actor")
	}
	return a
}

func (r *reader) time(name string) time.Time {
	if !r.key(name) {
		return time.Time{}
	}
	n := 0
	for n < len(r.rest) && (r.rest[n] >= '0' && r.rest[n] <= '9' || r.rest[n] == '-') {
		n++
	}
	micros, err := strconv.ParseInt(string(r.rest[:n]), 10, 64)
	t := time.UnixMicro(micros).UTC()
	if err != nil || strconv.FormatInt(micros, 10) != string(r.rest[:n]) || t.IsZero() || t.UnixMicro() != micros {
		r.fail("has a malformed time")
		return time.Time{}
	}
	r.rest = r.rest[n:]
	return t
}

func (r *reader) details() map[string]string {
	if !r.key("details") {
		return nil
	}
	r.literal("{")
	details := map[string]string{}
	last := ""
	for r.wrong == "" {
		if len(details) > 0 {
			r.literal(",")
		}
		name := r.quoted()
		if len(details) > 0 && name <= last {
			r.fail("has details out of order")
		}
		r.literal(":")
		details[name] = r.quoted()
		last = name
		if r.take("}") {
			return details
		}
	}
	return nil
}
