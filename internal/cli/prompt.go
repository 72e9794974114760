package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// interactive tells whether somebody can be asked.
func (a *app) interactive() bool {
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// widthOf returns what tells how many characters a line has of the terminal that out is; nil where it is none.
func widthOf(out io.Writer) func() int {
	const usual = 80 // of a terminal that does not say
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 {
			return usual
		}
		return width
	}
}

func (a *app) ask(c *cobra.Command, in *bufio.Reader, prompt, flag string) (string, error) {
	if !a.interactive() {
		return "", usage(c, "%s is missing", flag)
	}
	_, _ = fmt.Fprint(a.err, prompt)
	return line(in)
}

// password reads a secret from a file, or from the terminal without echo.
func (a *app) password(c *cobra.Command, in *bufio.Reader, prompt, file, flag string) (string, error) {
	switch {
	case file == "-":
		return line(in)
	case file != "":
		data, err := readText(file)
		if err != nil {
			return "", usage(c, "%s: %s", flag, err)
		}
		return line(bufio.NewReader(strings.NewReader(string(data))))
	case !a.interactive():
		return "", usage(c, "there is no terminal to prompt on; use %s FILE", flag)
	}
	_, _ = fmt.Fprint(a.err, prompt)
	secret, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
	a.say("")
	return string(secret), err
}

func (a *app) chooseNew(c *cobra.Command, in *bufio.Reader) (string, error) {
	first, err := a.password(c, in, "New password: ", "", "--new-password-file")
	if err != nil {
		return "", err
	}
	again, err := a.password(c, in, "Repeat the password: ", "", "--new-password-file")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", fail(exitUsage, "Nothing was changed; try again.", "the passwords do not match")
	}
	return first, nil
}

func line(in *bufio.Reader) (string, error) {
	text, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(text, "\r\n"), nil
}
