package notify

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/postern-dev/postern/internal/engine"
)

// Receipt is what a receiver said to what it accepted.
type Receipt struct {
	Text string // such as "204 No Content from hooks.example.com in 87 ms"; never a secret
}

// SendError says that an attempt did not deliver, and whether another may.
type SendError struct {
	Failure engine.Failure
	Err     error // the cause, for errors.Is; its text may hold secrets and is not part of Error
}

// Error gives the failure in words; it holds no secret.
func (e *SendError) Error() string { return e.Failure.Text }

// Unwrap gives the cause.
func (e *SendError) Unwrap() error { return e.Err }

func permanent(text string, cause error) *SendError {
	return &SendError{Failure: engine.Failure{Text: text, Permanent: true}, Err: cause}
}

func temporary(text string, cause error) *SendError {
	return &SendError{Failure: engine.Failure{Text: text}, Err: cause}
}

// unreachable is a temporary failure of the receiver as a whole.
func unreachable(text string, cause error) *SendError {
	return &SendError{Failure: engine.Failure{Text: text, Down: true}, Err: cause}
}

// failureOf gives what to record of an error of a Sender. One that is no *SendError is taken as temporary, and its text
// is not kept, for it may hold anything.
func failureOf(err error) engine.Failure {
	if e, ok := errors.AsType[*SendError](err); ok {
		return e.Failure
	}
	return engine.Failure{Text: "the sender failed and did not say why"}
}

// classify turns the status of an answer into a failure: nil for 2xx. Answers that a later repetition may change are
// temporary: 5xx, 408, 425, 429, and redirects that call themselves temporary; redirects are never followed.
func classify(status int, header http.Header, excerpt, host string, now time.Time) *SendError {
	if status >= 200 && status < 300 {
		return nil
	}
	text := host + " answered " + strconv.Itoa(status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	if excerpt != "" {
		text += ": " + excerpt
	}
	f := engine.Failure{Text: text}
	switch {
	case status >= 300 && status < 400:
		f.Text = text + "; redirects are not followed: give the channel the final URL"
		f.Permanent = status != http.StatusFound && status != http.StatusSeeOther &&
			status != http.StatusTemporaryRedirect
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests,
		status >= 500:
		f.Down = true
		f.RetryAfter = retryAfter(header.Get("Retry-After"), now)
	default:
		f.Permanent = true
	}
	return &SendError{Failure: f}
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = 6 * time.Hour

// retryAfter reads the header of that name: seconds, or a date. It gives 0 for what is neither or lies in the past,
// and at most maxRetryAfter.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		if seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// excerpt makes one short printable line of what a receiver said.
func excerpt(body []byte, secret opened) string {
	const most = 160
	text := secret.without(string(body))
	text = strings.Join(strings.FieldsFunc(text,
		func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar }),
		" ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}
