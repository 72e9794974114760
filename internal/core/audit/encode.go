package audit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/core/access"
)

// MaxRecord is how many bytes a record may have.
const MaxRecord = 8 << 20

// version is the first value of each record, so that a later form can be told from this one.
const version = "1"

// Encode gives the canonical record of an event: JSON with its keys in order, nothing empty, no blanks, the time in
// microseconds. Equal events give equal bytes. The number of the event is not in it: the record's place in the tree is
// its number. Text that is not UTF-8 is made so, with U+FFFD for what is wrong.
func Encode(e access.Event) ([]byte, error) {
	w := writer{buf: make([]byte, 0, 512)}
	w.buf = append(w.buf, `{"v":`+version...)
	w.text("action", e.Action)
	w.actor(e.Actor)
	w.text("agent", string(e.Agent))
	if !e.At.IsZero() {
		w.key("at")
		w.buf = strconv.AppendInt(w.buf, e.At.UnixMicro(), 10)
	}
	if err := w.details(e.Details); err != nil {
		return nil, err
	}
	w.text("grant", string(e.Grant))
	w.text("kind", string(e.Kind))
	w.text("machine", string(e.Machine))
	w.text("outcome", string(e.Outcome))
	w.text("request", string(e.Request))
	w.text("scope", string(e.Scope))
	w.text("tenant", string(e.Tenant))
	w.buf = append(w.buf, '}')
	if len(w.buf) > MaxRecord {
		return nil, access.Fault(access.KindInvalid, "recordTooLong",
			"the activity log record would have %d bytes; %d are allowed",
			len(w.buf), MaxRecord)
	}
	return w.buf, nil
}

type writer struct{ buf []byte }

func (w *writer) key(name string) {
	if last := w.buf[len(w.buf)-1]; last != '{' {
		w.buf = append(w.buf, ',')
	}
	w.quote(name)
	w.buf = append(w.buf, ':')
}

func (w *writer) text(name, value string) {
	if value != "" {
		w.key(name)
		w.quote(value)
	}
}

func (w *writer) actor(a access.Actor) {
	if a == (access.Actor{}) {
		return
	}
	w.key("actor")
	w.buf = append(w.buf, '{')
	if a.Address.IsValid() {
		w.text("address", a.Address.String())
	}
	w.text("id", string(a.ID))
	w.text("name", a.Name)
	w.text("via", a.Via)
	w.buf = append(w.buf, '}')
}

func (w *writer) details(details map[string]string) error {
	if len(details) == 0 {
		return nil
	}
	names := make([]string, 0, len(details))
	for name := range details {
		if !utf8.ValidString(name) {
			return access.Fault(access.KindInvalid, "recordMalformed", "the name of a detail is not UTF-8: %q", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	w.key("details")
	w.buf = append(w.buf, '{')
	for _, name := range names {
		w.key(name)
		w.quote(details[name])
	}
	w.buf = append(w.buf, '}')
	return nil
}

const hexDigits = "0123456789abcdef"

// quote writes s with the fewest escapes that JSON allows, so that there is one form only.
func (w *writer) quote(s string) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	w.buf = append(w.buf, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.buf = append(w.buf, '\\', c)
		case c < ' ':
			w.buf = append(w.buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			w.buf = append(w.buf, c)
		}
	}
	w.buf = append(w.buf, '"')
}

// parseAddress accepts what netip itself would write.
func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	return addr, err == nil && addr.String() == s
}
