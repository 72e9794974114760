package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// style says how values are written: shortened and local for people, whole and in UTC for programs.
type style struct {
	plain bool // for programs
	whole bool // lists are written out: for programs, where somebody asks for it, and where no terminal is too narrow
	now   time.Time
	local *time.Location
}

func (a *app) style() style {
	plain := !a.forPeople()
	whole := plain || a.output == "wide" || a.columnsOfTerminal() == 0
	return style{plain: plain, whole: whole, now: a.now(), local: a.local}
}

// forPeople reports whether people are to read what is printed.
func (a *app) forPeople() bool { return a.output == "table" || a.output == "wide" }

// columnsOfTerminal is how many characters a line has of the terminal that is printed to, or 0 where it is none.
func (a *app) columnsOfTerminal() int {
	if a.width == nil {
		return 0
	}
	return a.width()
}

// time writes an instant.
func (s style) time(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case s.plain:
		return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00") // of one length, so that texts sort as times
	default:
		return t.In(s.local).Format("2006-01-02 15:04:05 MST")
	}
}

// clock writes an instant for a narrow column: today's without the date, others without the seconds.
func (s style) clock(t time.Time) string {
	local, now := t.In(s.local), s.now.In(s.local)
	switch {
	case t.IsZero() || s.plain:
		return s.time(t)
	case local.YearDay() == now.YearDay() && local.Year() == now.Year():
		return local.Format("15:04:05 MST")
	default:
		return local.Format("2006-01-02 15:04 MST")
	}
}

func (s style) timeIf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return s.time(*t)
}

// left writes how far an instant is away: "12m left" or "5m ago".
func (s style) left(t time.Time) string {
	d := t.Sub(s.now)
	if d >= time.Minute {
		d = d.Round(time.Minute) // an hour that was granted a moment ago is an hour
	}
	switch {
	case t.IsZero():
		return ""
	case d > 0:
		return shortDuration(d) + " left"
	default:
		return shortDuration(-d) + " ago"
	}
}

// ago writes how long ago an instant was, where there is one.
func (s style) ago(t *time.Time) string {
	switch {
	case t == nil:
		return "never"
	case s.plain:
		return s.time(*t)
	default:
		return shortDuration(max(0, s.now.Sub(*t))) + " ago"
	}
}

// id writes an id: its last eight characters for people, which every command accepts in its place. The first ones
// are a clock, and alike for everything that was made in the same minute.
func (s style) id(id string) string {
	if s.plain || len(id) != len("00000000-0000-0000-0000-000000000000") {
		return id
	}
	return id[len(id)-shortID:]
}

// list writes a list, cut after a few where it is to fit a terminal.
func (s style) list(items []string) string {
	const few = 2
	if s.whole || len(items) <= few {
		return strings.Join(items, ",")
	}
	return fmt.Sprintf("%s +%d", strings.Join(items[:few], ","), len(items)-few)
}

// steers tells whether a character moves a terminal's cursor, begins a command to it, or turns the direction of what
// follows.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// visible keeps text that came from elsewhere from steering the terminal or breaking the table.
func visible(text string) string { return strings.Map(dotted, text) }

// steady is visible for text of several lines.
func steady(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return dotted(r)
	}, text)
}

func dotted(r rune) rune {
	if steers(r) {
		return '·'
	}
	return r
}
