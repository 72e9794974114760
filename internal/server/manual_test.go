package server_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/server"
)

var update = flag.Bool("update", false, "write generated files anew")

// TestManual proves that the manual describes every setting as the code has it.
func TestManual(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "operate", "configuration.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings -->\n", "<!-- /settings -->\n"
	before, rest, _ := strings.Cut(string(data), begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("the manual has no place for the settings")
	}
	var table strings.Builder
	table.WriteString("| key | flag | environment | default | what it is |\n|---|---|---|---|---|\n")
	for _, s := range server.Settings() {
		fmt.Fprintf(&table, "| `%s` | `--%s` | `%s` | %s | %s |\n", s.Key, s.Flag, s.Env, quoted(s.Default), s.Doc)
	}
	want := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("docs/operate/configuration.md is not what the code says; run: go test ./internal/server -run "+
			"TestManual -update\n%s",
			diff)
	}
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
