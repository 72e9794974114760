// Package alert says which of the things that happen somebody should look at: rules with thresholds, and the life of
// the alerts that they raise. It is pure.
package alert

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// RuleID names a rule. The value is stable.
type RuleID string

// The rules.
const (
	DeniedRate      RuleID = "denied.rate"
	DeniedMachines  RuleID = "denied.machines"
	DeniedPorts     RuleID = "denied.ports"
	RefusedRequests RuleID = "request.refused"
	UnusualHour     RuleID = "request.unusualHour"
	NewNetwork      RuleID = "request.newNetwork"
	SelfApproval    RuleID = "decision.own"
	LoosenedUse     RuleID = "policy.loosenedUse"
	Drift           RuleID = "agent.drift"
	Unproven        RuleID = "grant.unproven"
	Silent          RuleID = "agent.silent"
	Skew            RuleID = "agent.skew"
	Tampered        RuleID = "audit.tampered"
	ForeignRules    RuleID = "machine.foreignRules"
	UnguardedPath   RuleID = "machine.unguardedPath"
	Twice           RuleID = "agent.twice"
	Replaced        RuleID = "agent.replaced"
)

// Severity says how bad it is.
type Severity string

// The severities, the mildest first.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Error    Severity = "error"
	Critical Severity = "critical"
)

// Severities gives all of them, the mildest first, in a new slice.
func Severities() []Severity { return []Severity{Info, Warning, Error, Critical} }

// worse gives the severity that is so many steps above s, Critical at the most.
func (s Severity) worse(steps int) Severity {
	all := Severities()
	return all[min(slices.Index(all, s)+steps, len(all)-1)]
}

// Rule is what raises alerts of one sort.
type Rule struct {
	ID        RuleID
	Title     string // of its alerts
	Doc       string // what it looks for, for people
	Severity  Severity
	Threshold int           // how much it takes
	Unit      string        // of the threshold
	Window    time.Duration // within which it is counted; 0 where nothing is
	// an alert closes by itself after so long without anything new; 0 leaves that to people, or to the cause being gone
	Quiet time.Duration
	// it is about what is so, not about what happened: its alert closes when that is no longer so
	State   bool
	Enabled bool
}

// Rules gives the rules with their defaults, in the order of the manual.
func Rules() []Rule {
	const hour, day = time.Hour, 24 * time.Hour
	happened := func(id RuleID, s Severity, threshold int, unit string, window, quiet time.Duration,
		title, doc string,
	) Rule {
		return Rule{
			ID: id, Title: title, Doc: doc, Severity: s, Threshold: threshold, Unit: unit, Window: window,
			Quiet: quiet, Enabled: true,
		}
	}
	is := func(id RuleID, s Severity, threshold int, unit, title, doc string) Rule {
		return Rule{
			ID: id, Title: title, Doc: doc, Severity: s, Threshold: threshold, Unit: unit, State: true,
			Enabled: true,
		}
	}
	return []Rule{
		happened(DeniedRate, Warning, 100, "attempts", 10*time.Minute, hour, "Many attempts at closed ports",
			"attempts at the closed ports of one machine"),
		happened(DeniedMachines, Error, 5, "machines", hour, hour, "One source tries many machines",
			"one source that tries closed ports of different machines"),
		happened(DeniedPorts, Warning, 4, "ports", hour, hour, "One source tries many ports",
			"one source that tries different closed ports"),
		happened(RefusedRequests, Warning, 5, "requests", hour, day, "Repeated refused requests",
			"requests by one person that were refused by policies or roles"),
		happened(UnusualHour, Info, 20, "requests", 30*day, 0, "Request at an unusual hour",
			"a request at an hour at which the person made none in the last 30 days; the threshold is the number of "+
				"requests in those days needed to judge"),
		happened(NewNetwork, Info, 20, "requests", 30*day, 0, "Request from a new network",
			"a request from a network (/24, or /48 in IPv6) from which the person made none in the last 30 days; "+
				"the threshold is the number of requests in those days needed to judge"),
		happened(SelfApproval, Error, 1, "attempts", hour, 0, "Attempt at self-approval",
			"attempts by a person to decide their own request"),
		happened(LoosenedUse, Error, 1, "requests", hour, 0, "Access under a rule that its user loosened",
			"access requests under a policy or eligibility that the same person loosened, an eligibility that they "+
				"created, a network that they created or widened, or through a group that they added themselves to "+
				"or left, within the previous seven days"),
		happened(Drift, Error, 1, "changes", hour, hour, "Postern's firewall rules were changed",
			"changes to Postern's firewall table on one machine by others; the agent has reverted them"),
		happened(Twice, Error, 1, "times", hour, 0, "Two agents with one certificate",
			"a second program with the certificate of a connected agent, such as one with a copy of its state "+
				"folder; it is not served"),
		happened(Replaced, Warning, 1, "agents", hour, 0, "An agent was replaced",
			"agents that replaced one in service, which requires a token from the machine's own resource group"),
		is(Unproven, Error, 5, "minutes", "Access ended but not seen closed",
			"access on a machine that ended this long ago and that no agent has seen closed"),
		is(Silent, Error, 5, "minutes", "Agent silent while access is open",
			"an agent that was silent this long while access through it is in force"),
		is(Skew, Warning, 30, "seconds", "Clock skew",
			"an agent whose clock differs this much from the server's"),
		is(Tampered, Critical, 1, "records", "Activity log does not verify",
			"records of the activity log that do not match its last signed checkpoint"),
		is(ForeignRules, Warning, 1, "rules", "Foreign firewall rules touch guarded ports",
			"rules of other firewall tables on a machine that accept traffic to a guarded port, or block it while "+
				"the port is open"),
		is(UnguardedPath, Error, 1, "rules", "Traffic can bypass the guard of a port",
			"rules of other firewall tables on a machine that let packets for a guarded port bypass Postern"),
	}
}

// Setting changes a rule; what is nil stays as the default.
type Setting struct {
	Rule      RuleID
	Threshold *int
	Severity  *Severity
	Enabled   *bool
}

const maxThreshold = 1_000_000

// Validate refuses a setting of no rule, and values that make no sense.
func (s Setting) Validate() error {
	if !slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == s.Rule }) {
		return access.Fault(access.KindNotFound, "unknownRule", "there is no alert rule %q", s.Rule)
	}
	if s.Threshold != nil && (*s.Threshold < 1 || *s.Threshold > maxThreshold) {
		return access.Fault(access.KindInvalid, "thresholdOutOfRange", "the threshold is %d; use 1 to %d", *s.Threshold,
			maxThreshold)
	}
	if s.Threshold != nil && (s.Rule == DeniedMachines || s.Rule == DeniedPorts) && *s.Threshold > maxMarks {
		return access.Fault(access.KindInvalid, "thresholdOutOfRange",
			"the threshold is %d; this rule takes 1 to %d", *s.Threshold, maxMarks)
	}
	if s.Severity != nil && !slices.Contains(Severities(), *s.Severity) {
		return access.Fault(access.KindInvalid, "unknownSeverity",
			"the severity is %q; use info, warning, error or critical", *s.Severity)
	}
	return nil
}

// Over gives the setting with what is not nil in s2 laid over it.
func (s Setting) Over(s2 Setting) Setting {
	out := Setting{Rule: s.Rule, Threshold: s.Threshold, Severity: s.Severity, Enabled: s.Enabled}
	if s2.Threshold != nil {
		out.Threshold = s2.Threshold
	}
	if s2.Severity != nil {
		out.Severity = s2.Severity
	}
	if s2.Enabled != nil {
		out.Enabled = s2.Enabled
	}
	return out
}

// Set returns the settings with s laid over the one of its rule.
func Set(settings []Setting, s Setting) []Setting {
	settings = slices.Clone(settings)
	at := slices.IndexFunc(settings, func(old Setting) bool { return old.Rule == s.Rule })
	if at < 0 {
		return append(settings, s)
	}
	settings[at] = settings[at].Over(s)
	return settings
}

// Book is the rules of one tenant.
type Book map[RuleID]Rule

// NewBook gives the rules with the settings laid over them; settings of rules that are gone are left out.
func NewBook(settings []Setting) Book {
	book := make(Book)
	for _, r := range Rules() {
		book[r.ID] = r
	}
	for _, s := range settings {
		r, ok := book[s.Rule]
		if !ok {
			continue
		}
		if s.Threshold != nil {
			r.Threshold = *s.Threshold
		}
		if s.Severity != nil {
			r.Severity = *s.Severity
		}
		if s.Enabled != nil {
			r.Enabled = *s.Enabled
		}
		book[s.Rule] = r
	}
	return book
}

// What says the threshold in words, such as "5 machines in 1h".
func (r Rule) What() string {
	unit := r.Unit
	if r.Threshold == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	text := strconv.Itoa(r.Threshold) + " " + unit
	if r.Window > 0 {
		text += " in " + span(r.Window)
	}
	return text
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}
