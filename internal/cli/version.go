package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version that the build was given: make build takes it from git.
var release string //nolint:gochecknoglobals // the linker sets it

// version returns what the build was given, or what the go command recorded, or "devel".
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// build is what postern version prints.
type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (b build) String() string {
	return fmt.Sprintf("postern %s %s %s/%s", b.Version, b.Go, b.OS, b.Arch)
}

func thisBuild() build {
	return build{Version: version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Print the version of this program, the Go release that built it, and the platform.",
		Example: "  postern version\n  postern version -o json",
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if a.forPeople() {
				a.line("%s", thisBuild())
				return nil
			}
			return printItem(a, thisBuild(), []column[build]{
				{"Version", func(_ style, b build) string { return b.Version }},
				{"Go", func(_ style, b build) string { return b.Go }},
				{"OS", func(_ style, b build) string { return b.OS }},
				{"Arch", func(_ style, b build) string { return b.Arch }},
			})
		},
	}
}
