package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// page is what the reader sees: one line for each step, with the time that it took.
type page struct {
	out    io.Writer
	colour bool
	number int
	failed []string
}

const textWidth = 88

func (p *page) line(format string, args ...any) { p.print(format+"\n", args...) }

// print writes; a reader who has left is no reason to stop, for there is still to be cleaned up.
func (p *page) print(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

// done tells of a step that did what it says.
func (p *page) done(text string, took string) {
	p.number++
	gap := strings.Repeat(" ", max(1, textWidth-utf8.RuneCountInString(text)))
	p.line("%s%3d  %s%s%s", p.erase(), p.number, text, gap, p.paint("32", fmt.Sprintf("%10s", took)))
}

// fail tells of a step that did not.
func (p *page) fail(text string, err error) {
	p.number++
	p.failed = append(p.failed, text)
	p.line("%s%3d  %s", p.erase(), p.number, p.paint("31", "FAILED: "+text))
	for why := range strings.SplitSeq(err.Error(), "\n") {
		p.line("       %s", why)
	}
}

// waiting shows, on a terminal alone, what is being waited for; the next line takes its place.
func (p *page) waiting(format string, args ...any) {
	if p.colour {
		p.print("%s     %s", p.erase(), p.paint("2", fmt.Sprintf(format, args...)))
	}
}

func (p *page) erase() string {
	if p.colour {
		return "\r\x1b[K"
	}
	return ""
}

func (p *page) paint(code, text string) string {
	if p.colour {
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	return text
}

// milliseconds writes a short time: "4.2 ms", "812 ms", "61.0 s".
func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case ms >= 100 || ms <= -100:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f ms", ms)
	}
}
