package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/postern-dev/postern/api"
)

func (s *story) verify(ctx context.Context) (string, string, error) {
	if _, err := s.postern(ctx, "audit", "export", "--file", s.path("log.ndjson")); err != nil {
		return "", "", err
	}
	begun := s.options.Now()
	out, err := s.postern(ctx, "audit", "verify", s.path("log.ndjson"), "-o", "json")
	if err != nil {
		return "", "", err
	}
	took := milliseconds(s.options.Now().Sub(begun))
	var found struct {
		Records int64 `json:"records"`
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return "", "", err
	}
	if err := s.recorded(ctx); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("activity log exported and verified offline: %d records, one tree, signed",
		found.Records), took, nil
}

// recorded checks that the log tells what was done to the grant, in order.
func (s *story) recorded(ctx context.Context) error {
	want := []string{
		"request.submitted", "request.approved", "grant.created", "grant.opened", "grant.expired",
		"grant.closed",
	}
	seen := map[string]int64{}
	for event, err := range s.client.Events(ctx, api.EventQuery{Request: s.request.ID}) {
		if err != nil {
			return err
		}
		seen[event.Kind] = event.Seq + 1
	}
	var before int64
	for _, kind := range want {
		if seen[kind] <= before {
			return fmt.Errorf("the log lacks %s, or has it at the wrong place", kind)
		}
		before = seen[kind]
	}
	return nil
}

// forge changes one character of one record, as somebody might who wants to hide what they did.
func (s *story) forge(ctx context.Context) (string, string, error) {
	data, err := os.ReadFile(s.path("log.ndjson"))
	if err != nil {
		return "", "", err
	}
	const mark = `"record":"`
	lines := bytes.Split(data, []byte("\n"))
	target := lines[len(lines)/2]
	at := bytes.Index(target, []byte(mark)) + len(mark) + 101
	if at >= len(target) {
		return "", "", errors.New("the record is too short to be forged")
	}
	if target[at] == 'A' {
		target[at] = 'B'
	} else {
		target[at] = 'A'
	}
	if err := os.WriteFile(s.path("forged.ndjson"), bytes.Join(lines, []byte("\n")), 0o600); err != nil { //nolint:gosec // in our own folder
		return "", "", err
	}
	begun := s.options.Now()
	if _, err := s.postern(ctx, "audit", "verify", s.path("forged.ndjson")); err == nil {
		return "", "", errors.New("a log with a changed record was accepted")
	}
	return "a copy with one character changed is refused", milliseconds(s.options.Now().Sub(begun)), nil
}
