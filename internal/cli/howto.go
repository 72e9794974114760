package cli

import (
	"regexp"
	"runtime"
	"strings"
	"unicode"

	"github.com/postern-dev/postern/api"
)

const onWindows = runtime.GOOS == "windows"

// howTo returns the command that connects to host through an open port; empty where no program is known for it.
func howTo(g api.Grant, host string, windows bool) string {
	word := shellWord
	if windows {
		word = powerShellWord
	}
	bracketed := host
	if strings.Contains(host, ":") {
		bracketed = "[" + host + "]"
	}
	switch {
	case g.Protocol == "udp":
		return ""
	case g.Ports == "22" && strings.HasPrefix(host, "-"):
		return "ssh -- " + word(host)
	case g.Ports == "22":
		return "ssh " + word(host)
	case g.Ports == "3389" && windows:
		return "mstsc " + word("/v:"+bracketed)
	case g.Ports == "3389":
		return "xfreerdp " + word("/v:"+bracketed)
	case g.Ports == "5985":
		return "Enter-PSSession -ComputerName " + powerShellWord(host) + " -Credential (Get-Credential)"
	case g.Ports == "5986":
		return "Enter-PSSession -ComputerName " + powerShellWord(host) + " -UseSSL -Credential (Get-Credential)"
	}
	return ""
}

var (
	// plainWord is what no shell takes for anything but a name or an address.
	plainWord = regexp.MustCompile(`^[A-Za-z0-9/:\[][A-Za-z0-9._:/\[\]-]*$`)
	// quotes are the characters that PowerShell takes for a single quote.
	quotes = regexp.MustCompile("['\u2018-\u201b]")
)

// shellWord returns text as one word of a POSIX shell.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(oneLine(text), "'", `'\''`) + "'"
}

// powerShellWord returns text as one word of PowerShell.
func powerShellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + quotes.ReplaceAllString(oneLine(text), "$0$0") + "'"
}

// oneLine returns text without what would begin another line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text)
}
