package cli

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// secretWords are what secrets are called, in names of flags, in what is said of them and in the arguments of a
// command.
var secretWords = []string{
	"code", "credential", "key", "otp", "passphrase", "password", "pin", "recovery", "secret",
	"token",
}

// secretSaid is a flag's text that says that its value is a secret.
var secretSaid = regexp.MustCompile(`(?i)^(?:the |your |a |an )?(?:[a-z-]+ )?(?:code|passphrase|password|pin|secret|token)(?:$|[,;]| (?:of|for|that|to|where|with)\b)`)

// harmless are flags that are called like a secret and hold none.
var harmless = map[string]string{
	"postern audit verify --key":                    "the log's public key",
	"postern access-review verify --key":            "the log's public key",
	"postern request --idempotency-key":             "repeats a call, and opens nothing",
	"postern role activate --idempotency-key":       "repeats a call, and opens nothing",
	"postern app activate --idempotency-key":        "repeats a call, and opens nothing",
	"postern notify channel add --secret-on-server": "the name of a file on the server",
	"postern notify channel set --secret-on-server": "the name of a file on the server",
}

// TestSecretsHaveFiles holds that no flag and no argument takes a secret: every user of a host reads the command lines
// of all its processes. A secret comes from a file or standard input, and where a flag of its name is there, it
// refuses.
func TestSecretsHaveFiles(t *testing.T) {
	t.Parallel()
	files, used := 0, map[string]bool{}
	everyCommand(tree(), func(c *cobra.Command) {
		for _, argument := range regexp.MustCompile(`[A-Z]{3,}`).FindAllString(c.Use, -1) {
			if slices.Contains(secretWords, strings.ToLower(argument)) {
				t.Errorf("%s takes %s as an argument", c.CommandPath(), argument)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if c.InheritedFlags().Lookup(f.Name) != nil || f.Value.Type() == "bool" || f.Value.Type() == "int" {
				return
			}
			name := c.CommandPath() + " --" + f.Name
			words := strings.Split(f.Name, "-")
			secret := slices.ContainsFunc(words,
				func(w string) bool { return slices.Contains(secretWords, w) }) || secretSaid.MatchString(f.Usage)
			switch _, fine := harmless[name]; {
			case !secret:
			case fine:
				used[name] = true
			case words[len(words)-1] == "file":
				files++
				if c.Name() != "server" && !strings.Contains(f.Usage,
					"- is standard input") && !strings.Contains(f.Usage, "- for standard input") {
					t.Errorf("%s cannot be given by standard input: %s", name, f.Usage)
				}
			case !f.Hidden || c.Flags().Lookup(f.Name+"-file") == nil:
				t.Errorf("%s takes a secret on the command line: %s", name, f.Usage)
			default:
				refuses(t, c.CommandPath(), f.Name)
			}
		})
	})
	if files < 8 {
		t.Errorf("only %d flags for files with secrets were found", files)
	}
	for name := range harmless {
		if !used[name] {
			t.Errorf("%s is said to hold no secret, and is not there", name)
		}
	}
}

// refuses holds that a command with a secret in a flag ends at once, and repeats the secret nowhere.
func refuses(t *testing.T, command, flag string) {
	t.Helper()
	const secret = "hunter2-and-more"
	var said bytes.Buffer
	a := &app{
		in: strings.NewReader(""), out: &said, err: &said, getenv: func(string) string { return "" },
		now: time.Now, local: time.UTC,
	}
	for _, form := range [][]string{{"--" + flag, secret}, {"--" + flag + "=" + secret}} {
		root := a.root()
		root.SetArgs(append(strings.Fields(command)[1:], form...))
		root.SetOut(&said)
		root.SetErr(&said)
		err := root.Execute()
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "--"+flag+"-file") {
			t.Errorf("%s with --%s: %v", command, flag, err)
			continue
		}
		if strings.Contains(said.String()+err.Error(), secret) {
			t.Errorf("%s repeats what stood in --%s", command, flag)
		}
	}
}

// inArguments is where a text shows a secret on a command line: in a flag of postern, as an argument of the script that
// installs the agent, and in one of curl, az or echo, whose command lines are read just as well.
var inArguments = regexp.MustCompile(`--(?:` + strings.Join(secretWords, "|") + `)[ =]\S` +
	`|postern-install\.sh\s+\S+\s+[\w./-]+\s+[^<\s&|;]` +
	`|(?:-d|--data|--data-urlencode)\s+["']?(?:client_secret|password|code)=[^@]` +
	`|-H\s+["']?Authorization: `)

// TestTextsHoldNoSecretInArguments reads every text that people get to see.
func TestTextsHoldNoSecretInArguments(t *testing.T) {
	t.Parallel()
	everyText(t, func(path string, line int, text string) {
		public := strings.Contains(text, "postern audit verify") || strings.Contains(text, "postern access-review verify")
		if found := inArguments.FindString(text); found != "" && !public {
			t.Errorf("%s:%d shows a secret on a command line: %s", path, line, found)
		}
	})
}

func TestSecretsInArgumentsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"postern agent enroll --server https://x --token TOKEN":             true,
		"postern agent enroll --token=pen_abc":                              true,
		"sudo postern agent break-glass --code ABCDE --port 22":             true,
		"sudo sh postern-install.sh https://x postern-ca.pem TOKEN":         true,
		"sudo sh postern-install.sh ${location.origin} postern-ca.pem ${t}": true,
		"-d client_secret=abc":                                              true,
		`curl -H "Authorization: Bearer $TOKEN" https://x`:                  true,
		"az login --service-principal --username x --password $SECRET":      true,
		"sudo sh postern-install.sh https://x postern-ca.pem <<'END'":       false,
		"postern agent enroll --server https://x --token-file - <<'END'":    false,
		"postern login --user ann --password-file -":                        false,
		"--data-urlencode client_secret@secret":                             false,
	} {
		if got := inArguments.MatchString(text); got != want {
			t.Errorf("%q: found %v, want %v", text, got, want)
		}
	}
}
