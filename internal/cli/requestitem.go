package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
)

// parseItem reads MACHINE:PORT[/PROTOCOL][,PORT…] [from SOURCE[,SOURCE…]] [for DURATION | until TIME], which is an item
// for each port. What ports and sources are worth is the server's to say.
func parseItem(text string, now time.Time, local *time.Location) ([]api.NewItem, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, errors.New("is empty; write it like web-1:22,443 from 203.0.113.0/24 for 1h")
	}
	machine, ports, ok := cutLast(words[0], ":")
	if !ok || machine == "" || ports == "" {
		return nil, fmt.Errorf("%q is not MACHINE:PORT, such as web-1:22 or web-1:22,443", words[0])
	}
	said, err := clauses(words[1:])
	if err != nil {
		return nil, err
	}
	own := api.NewItem{Machine: machine}
	if from := said["from"]; from != "" {
		own.Sources = parts(from)
	}
	switch length, until := said["for"], said["until"]; {
	case length != "" && until != "":
		return nil, errors.New("for and until exclude each other")
	case length != "":
		own.ForSeconds, err = wholeSeconds(length)
	case until != "":
		var end time.Time
		end, err = parseTime(until, now, local)
		own.Until = &end
	}
	if err != nil {
		return nil, err
	}
	var items []api.NewItem
	for _, p := range parts(ports) {
		item := own
		item.Ports, item.Protocol = splitPort(p)
		items = append(items, item)
	}
	return items, nil
}

// clauses gives what comes after each of the words from, for and until, which each stand once.
func clauses(words []string) (map[string]string, error) {
	said := map[string]string{}
	at := ""
	for i, word := range words {
		if !slices.Contains([]string{"from", "for", "until"}, word) {
			if at == "" {
				return nil, fmt.Errorf("%q stands where from, for or until is expected", word)
			}
			said[at] = strings.TrimSpace(said[at] + " " + word)
			continue
		}
		if _, twice := said[word]; twice {
			return nil, fmt.Errorf("%s stands twice", word)
		}
		if at = word; i+1 == len(words) || slices.Contains([]string{"from", "for", "until"}, words[i+1]) {
			return nil, fmt.Errorf("nothing comes after %s", word)
		}
		said[at] = ""
	}
	return said, nil
}

// parts cuts a list at its commas and blanks.
func parts(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
