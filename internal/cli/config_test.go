package cli

import "testing"

func TestConfigFolder(t *testing.T) {
	t.Parallel()
	type environment = map[string]string
	for name, c := range map[string]struct {
		goos string
		is   environment
		want string
	}{
		"a home":       {"linux", environment{"HOME": "/home/anna"}, "/home/anna/.config"},
		"of one's own": {"darwin", environment{"HOME": "/Users/anna", "XDG_CONFIG_HOME": "/x"}, "/x"},
		"macOS":        {"darwin", environment{"HOME": "/Users/anna"}, "/Users/anna/.config"},
		"Windows": {
			"windows",
			environment{"AppData": "C:/Users/anna/AppData/Roaming"},
			"C:/Users/anna/AppData/Roaming",
		},
		"Windows with HOME": {"windows", environment{"AppData": "C:/A", "HOME": "/c/Users/anna"}, "C:/A"},
		"none":              {"linux", environment{"AppData": "C:/A"}, ""},
	} {
		if got := configFolder(c.goos, func(name string) string { return c.is[name] }); got != c.want {
			t.Errorf("%s: the folder is %q, want %q", name, got, c.want)
		}
	}
}
