package store

import "testing"

func TestFillMigration(t *testing.T) {
	t.Parallel()
	text := "a {text}\n-- only sqlite:\nb\n-- only postgres:\nc {bytes}\n-- end\nd '{}' {integer}{rowless};\n"
	for d, want := range map[*dialect]string{
		&sqliteDialect:   "a text\nb\nd '{}' integer without rowid;\n",
		&postgresDialect: "a text collate \"C\"\nc bytea\nd '{}' bigint;\n",
	} {
		if got, err := d.fill(text); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", d.name, got, err, want)
		}
	}
	for _, wrong := range []string{
		"a {txt}\n", "-- only mysql:\n-- end\n", "-- only sqlite\na\n-- end\n", "-- only sqlite:\na\n", "a\n-- end\n",
	} {
		if got, err := sqliteDialect.fill(wrong); err == nil {
			t.Errorf("%q becomes %q", wrong, got)
		}
	}
}
