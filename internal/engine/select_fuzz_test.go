package engine_test

import (
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// FuzzSelector reads what people write: it is refused in words, or means what it says, label by label.
func FuzzSelector(f *testing.F) {
	for _, text := range []string{
		"", "env=prod", "env=prod,role=web", "env=", "=x", "env", "a=1,a=2", "a=b=c",
		strings.Repeat("a=b,", 100),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := engine.ParseSelector(text, "items[0]")
		if err != nil {
			if access.KindOf(err) != access.KindInvalid || len(labels) != 0 {
				t.Errorf("%q gives %v, %v", text, labels, err)
			}
			return
		}
		if text == "" {
			return
		}
		parts := strings.Split(text, ",")
		if len(parts) != len(labels) {
			t.Errorf("%q became %v", text, labels)
		}
		for _, part := range parts {
			name, value, _ := strings.Cut(part, "=")
			if name == "" || labels[name] != value {
				t.Errorf("%q became %v", text, labels)
			}
		}
	})
}
