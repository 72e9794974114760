package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// lost says what a policy asked for or allowed that another in its place does not have any more: a line for each. What
// the other has too, in whatever form, was written with it in mind.
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
	gone(decided(was), decided(will), "requests no longer need approval (was: %s)", approvalText(was.Approval))
	gone(len(was.Approval) > 0 && !decided(was), len(will.Approval) > 0,
		"the approval rule no longer has any cases (was: %s)", approvalText(was.Approval))
	gone(passkey(was), passkey(will), "a passkey confirmation is no longer required")
	if b := was.BreakGlass; b != nil {
		gone(true, will.BreakGlass != nil, "break-glass is no longer allowed (was: %s, for %s)",
			strings.Join(append(append([]string{}, b.Groups...), b.People...), ", "), seconds(b.MaxSeconds))
	}
	gone(was.Justification.Required, will.Justification.Required, "a reason is no longer required")
	gone(was.Justification.MinLength > 0, will.Justification.MinLength > 0,
		"a reason may have any length (was: at least %d characters)", was.Justification.MinLength)
	gone(was.Justification.Pattern != "", will.Justification.Pattern != "", "a reason no longer has to match %q",
		was.Justification.Pattern)
	gone(was.Ticket.Required, will.Ticket.Required, "a ticket is no longer required")
	gone(was.Ticket.Pattern != "", will.Ticket.Pattern != "", "a ticket no longer has to match %q", was.Ticket.Pattern)
	gone(was.Ticket.Checked, will.Ticket.Checked, "tickets are no longer checked")
	usual := func(n int64) bool { return n == 0 || time.Duration(n)*time.Second == access.DefaultGap }
	gone(!usual(was.GapSeconds), !usual(will.GapSeconds), "the gap is the default, %s (was: %s)", gapText(0),
		gapText(was.GapSeconds))
	gone(was.CloseAfterLossSeconds > 0, will.CloseAfterLossSeconds > 0,
		"openings stay open when the machine has lost the server (was: closed after %s)",
		seconds(was.CloseAfterLossSeconds))
	gone(was.PendingTimeoutSeconds > 0, will.PendingTimeoutSeconds > 0,
		"pending requests time out after the default time (was: %s)", seconds(was.PendingTimeoutSeconds))
	gone(was.Sessions == "keep", will.Sessions == "keep", "established connections are cut at the end (was: kept)")
	for _, p := range was.Ports {
		if len(p.Sources) == 0 {
			continue
		}
		for _, q := range will.Ports {
			if len(q.Sources) == 0 && meets(q, p.Ports, p.Protocol) {
				gone(true, false, "%s may be opened from anywhere (was: from %s)", portText(p.Ports, p.Protocol),
					strings.Join(p.Sources, ", "))
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
				lines = append(lines,
					fmt.Sprintf("  - %s may be opened for %s (was: %s)", portText(p.Ports, p.Protocol),
						seconds(q.MaxSeconds), seconds(p.MaxSeconds)))
				break
			}
		}
	}
	return lines
}
