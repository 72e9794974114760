package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// The exit codes. They are part of the interface: scripts rely on them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitRefused     = 3
	exitNotFound    = 4
	exitConflict    = 5
	exitUnavailable = 6
	exitTimedOut    = 7
)

func exitHelp() string {
	return `Exit codes:
  0  success
  1  general error
  2  invalid command line or value
  3  refused: not signed in, not permitted, or outside the policy
  4  not found
  5  conflict: the object has changed, or its state does not allow this
  6  server unreachable or not ready; try again
  7  timed out while waiting`
}

// codedError ends the program with a given code.
type codedError struct {
	code int
	err  error
	hint string // what to do; may be empty
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// silentError ends the program with a code, where everything has been said.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usage says what is wrong with a command line.
func usage(c *cobra.Command, format string, args ...any) error {
	return &codedError{code: exitUsage, err: fmt.Errorf(format, args...), hint: "See: " + c.CommandPath() + " --help"}
}

// fail makes an error with an exit code and a hint what to do.
func fail(code int, hint, format string, args ...any) error {
	return &codedError{code: code, err: fmt.Errorf(format, args...), hint: hint}
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	if silent, ok := errors.AsType[*silentError](err); ok {
		return silent.code
	}
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		return exitOfProblem(problem)
	}
	_, isNet := errors.AsType[net.Error](err)
	_, isTLS := errors.AsType[*tls.CertificateVerificationError](err)
	if isNet || isTLS || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return exitUnavailable
	}
	return exitError
}

// outsidePolicy tells whether a policy refused what was asked, and not the form of asking.
func outsidePolicy(p *api.Problem) bool {
	limits := []string{
		"machineNotConfigured", "portNotInPolicy", "protocolNotInPolicy", "sourceNotAllowed", "durationTooLong",
		"justificationRequired", "justificationTooShort", "justificationUnlike", "ticketRequired", "ticketUnlike",
		"ticketRefused",
		"noCaseApplies", "ruleFailed", "quorumUnreachable", "breakGlassTooLong", "breakGlassNotAllowed",
		"breakGlassLater",
		"notYetEligible", "eligibilityEnds",
	}
	return !strings.HasPrefix(p.Code,
		"malformed") && slices.ContainsFunc(p.Reasons,
		func(r api.Reason) bool { return slices.Contains(limits, r.Code) })
}

func exitOfProblem(p *api.Problem) int {
	if outsidePolicy(p) {
		return exitRefused
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitRefused
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		return exitUsage
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnavailable
	default:
		return exitError
	}
}
