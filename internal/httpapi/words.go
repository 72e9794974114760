package httpapi

import (
	"regexp"
	"strconv"
	"strings"
)

// word says in other words what the library says of an input that does not fit its schema.
type word struct {
	said *regexp.Regexp
	is   string // with what was found in place of $1
}

// words are for people: what they are to write, and nothing of schemas.
var words = []word{ //nolint:gochecknoglobals // a table, compiled once
	{regexp.MustCompile(`^expected number <= (.+)$`), "it is at most $1"},
	{regexp.MustCompile(`^expected number >= (.+)$`), "it is at least $1"},
	{regexp.MustCompile(`^expected number < (.+)$`), "it is less than $1"},
	{regexp.MustCompile(`^expected number > (.+)$`), "it is more than $1"},
	{regexp.MustCompile(`^expected number to be a multiple of (.+)$`), "it is a multiple of $1"},
	{regexp.MustCompile(`^expected value to be one of "(.*)"$`), "use one of $1"},
	{regexp.MustCompile(`^expected length >= (\d+)$`), "it has at least $1 characters"},
	{regexp.MustCompile(`^expected length <= (\d+)$`), "it has at most $1 characters"},
	{regexp.MustCompile(`^expected array length >= (\d+)$`), "there are at least $1 of them"},
	{regexp.MustCompile(`^expected array length <= (\d+)$`), "there are at most $1 of them"},
	{regexp.MustCompile(`^expected array items to be unique$`), "each is there once"},
	{regexp.MustCompile(`^expected object with at (least|most) (\d+) properties$`), "there are at $1 $2 of them"},
	{regexp.MustCompile(`^expected required property (\S+) to be present$`), "$1 is missing"},
	{regexp.MustCompile(`^expected property (\S+) to be present when (\S+) is present$`), "with $2, $1 is needed"},
	{regexp.MustCompile(`^expected string to match pattern (.*)$`), "it has the form $1"},
	{regexp.MustCompile(`^expected string to be RFC 3339 date-time$`), "write an instant such as 2026-01-31T15:04:00Z"},
	{
		regexp.MustCompile(`^expected string to be RFC 4122 uuid.*$`),
		"write an id such as 00000000-0000-0000-0000-000000000000",
	},
	{regexp.MustCompile(`^expected string to be RFC 5322 email.*$`), "write a mail address"},
	{
		regexp.MustCompile(`^expected string to be RFC 3986 uri.*$`),
		"write an address such as https://host.example/path",
	},
	{regexp.MustCompile(`^expected string to be base64 encoded$`), "write it in base64"},
	{regexp.MustCompile(`^expected boolean$`), "it is true or false"},
	{regexp.MustCompile(`^expected integer$`), "it is a whole number"},
	{regexp.MustCompile(`^expected number$`), "it is a number"},
	{regexp.MustCompile(`^expected string$`), "it is text"},
	{regexp.MustCompile(`^expected array$`), "it is a list"},
	{regexp.MustCompile(`^expected object$`), "it is an object"},
}

// inPlainWords returns in plain words what the library found wrong.
func inPlainWords(message string) string {
	for _, w := range words {
		found := w.said.FindStringSubmatch(message)
		if found == nil {
			continue
		}
		said := w.is
		for i, text := range found[1:] {
			if n, err := strconv.ParseFloat(text, 64); err == nil {
				text = strconv.FormatFloat(n, 'f', -1, 64) // and not 2.592e+06
			}
			said = strings.ReplaceAll(said, "$"+strconv.Itoa(i+1), text)
		}
		return said
	}
	return message
}
