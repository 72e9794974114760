package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// lost says what a policy asked for or allowed that another in its place does not have any more: a line for each. What the other has
// too, in whatever form, was written with it in mind.
func lost(was, will api.MachinePolicy) []string {
	var lines []string
	gone := func(was, will bool, format string, args ...any) {
		if was && !will {
			lines = append(lines, "  - "+fmt.Sprintf(format, args...))
		}
	}
	decided := func(p api.MachinePolicy) bool {
		for _, c := range p.Approval {
			if len(c.Stages) > 0 {
				return true
			}
		}
		return false
	}
	passkey := func(p api.MachinePolicy) bool {
		for _, c := range p.Approval {
			if c.StepUp {
				return true
			}
		}
		return false
	}
	gone(decided(was), decided(will), "nobody has to agree to a request any more (was: %s)", approvalText(was.Approval))
	gone(len(was.Approval) > 0 && !decided(was), len(will.Approval) > 0, "the rule of what is approved has no case any more (was: %s)", approvalText(was.Approval))
	gone(passkey(was), passkey(will), "no fresh passkey is needed any more")
	if b := was.BreakGlass; b != nil {
		gone(true, will.BreakGlass != nil, "nobody may break the glass any more (was: %s, for %s)", strings.Join(append(append([]string{}, b.Groups...), b.People...), ", "), seconds(b.MaxSeconds))
	}
	gone(was.Justification.Required, will.Justification.Required, "no reason has to be given any more")
	gone(was.Justification.MinLength > 0, will.Justification.MinLength > 0, "a reason may be of any length (was: at least %d characters)", was.Justification.MinLength)
	gone(was.Justification.Pattern != "", will.Justification.Pattern != "", "a reason need not match %q any more", was.Justification.Pattern)
	gone(was.Ticket.Required, will.Ticket.Required, "no ticket has to be given any more")
	gone(was.Ticket.Pattern != "", will.Ticket.Pattern != "", "a ticket need not match %q any more", was.Ticket.Pattern)
	gone(was.Ticket.Checked, will.Ticket.Checked, "tickets are not checked any more")
	usual := func(n int64) bool { return n == 0 || time.Duration(n)*time.Second == access.DefaultGap }
	gone(!usual(was.GapSeconds), !usual(will.GapSeconds), "the gap is the usual one, %s (was: %s)", gapText(0), gapText(was.GapSeconds))
	gone(was.CloseAfterLossSeconds > 0, will.CloseAfterLossSeconds > 0, "what is open stays so when the machine has lost the server (was: closed after %s)", seconds(was.CloseAfterLossSeconds))
	gone(was.PendingTimeoutSeconds > 0, will.PendingTimeoutSeconds > 0, "a request waits for as long as is usual (was: %s)", seconds(was.PendingTimeoutSeconds))
	gone(was.Sessions == "keep", will.Sessions == "keep", "established connections are cut at the end (was: kept)")
	for _, p := range was.Ports {
		if len(p.Sources) == 0 {
			continue
		}
		for _, q := range will.Ports {
			if len(q.Sources) == 0 && meets(q, p.Ports, p.Protocol) {
				gone(true, false, "%s may be opened from anywhere (was: from %s)", portText(p.Ports, p.Protocol), strings.Join(p.Sources, ", "))
				break
			}
		}
	}
	return lines
}

// lengthened says of which ports the longest opening becomes longer.
func lengthened(was, will []api.PortRule) []string {
	var lines []string
	for _, p := range was {
		for _, q := range will {
			if q.MaxSeconds > p.MaxSeconds && meets(q, p.Ports, p.Protocol) {
				lines = append(lines, fmt.Sprintf("  - %s may be opened for %s (was: %s)", portText(p.Ports, p.Protocol), seconds(q.MaxSeconds), seconds(p.MaxSeconds)))
				break
			}
		}
	}
	return lines
}
