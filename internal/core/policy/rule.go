package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Limits on what a rule may hold.
const (
	maxCases   = 20
	maxStages  = 8
	maxQuorums = 16 // of one stage
	maxCount   = 50 // of one quorum
	maxChoices = 256
	maxNamed   = 200 // groups and people of one quorum
)

// Zones finds a time zone by its IANA name.
type Zones func(name string) (*time.Location, error)

// Compiler finds the compiled form of a condition.
type Compiler func(source string) (*Condition, error)

// ValidateRule gives everything that is wrong with a rule; field is where its list of cases stands in the input, such
// as "approval", so that a reason names a place such as approval[1].stages[0].anyOf[2].groups[0]. known tells whether a
// principal exists and is of the kind.
func ValidateRule(field string, r access.Rule, who People, known func(access.PrincipalID, access.PrincipalKind) bool,
	compile Compiler, zones Zones,
) []access.Reason {
	v := validation{who: who, known: known}
	if len(r.Cases) > maxCases {
		v.add("tooManyCases", field, "a rule has at most %d cases, and this has %d", maxCases, len(r.Cases))
		return v.reasons
	}
	for i, c := range r.Cases {
		at := fmt.Sprintf("%s[%d]", field, i)
		if c.When != "" {
			if _, err := compile(c.When); err != nil {
				v.add(access.CodeOf(err), at+".when", "%v", err)
			}
		}
		if !c.Hours.Always() {
			v.hours(at+".hours", c.Hours, zones)
		}
		if c.Denies < 0 || c.Denies > maxCount {
			v.add("deniesOutOfRange", at+".denies", "denies is %d; it must be from 0 to %d", c.Denies, maxCount)
		}
		if always := c.When == "" && c.Hours.Always(); always && i < len(r.Cases)-1 {
			v.add("caseUnreachable", at, "this case always applies, so the cases after it never do; move it to the end")
		}
		v.stages(at, c)
	}
	return v.reasons
}

type validation struct {
	who     People
	known   func(access.PrincipalID, access.PrincipalKind) bool
	reasons []access.Reason
}

func (v *validation) add(code, field, format string, args ...any) {
	v.reasons = append(v.reasons, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (v *validation) hours(at string, h access.Hours, zones Zones) {
	const day = 24 * 60
	if _, err := zones(h.Zone); err != nil || h.Zone == "" {
		v.add("unknownZone", at+".zone", "time zone %q is not known; use an IANA name such as Europe/Berlin", h.Zone)
	}
	if h.From < 0 || h.From >= day || h.To < 0 || h.To > day || h.From == h.To {
		v.add("hoursOutOfRange", at, "hours run from 00:00 to 24:00, and their ends must differ")
	}
	for _, d := range h.Days {
		if d < time.Sunday || d > time.Saturday {
			v.add("unknownDay", at+".days", "there is no day %d of the week", d)
		}
	}
}

func (v *validation) stages(at string, c access.Case) {
	before := len(v.reasons)
	if len(c.Stages) > maxStages {
		v.add("tooManyStages", at+".stages", "a case has at most %d stages, and this has %d", maxStages, len(c.Stages))
	}
	choices := 1
	for i, s := range c.Stages {
		here := fmt.Sprintf("%s.stages[%d]", at, i)
		choices *= min(max(1, len(s.AnyOf)), maxChoices+1)
		if choices = min(choices, maxChoices+1); choices > maxChoices {
			v.add("tooManyChoices", here, "the stages offer too many ways to be met; at most %d are allowed",
				maxChoices)
			return
		}
		quorums := len(s.AllOf) + len(s.AnyOf)
		if quorums == 0 {
			v.add("emptyStage", here, "a stage needs at least one quorum; leave the stages out to approve at once")
		}
		if quorums > maxQuorums {
			v.add("tooManyQuorums", here, "a stage has at most %d quorums, and this has %d", maxQuorums, quorums)
			return
		}
		if s.Timeout < 0 || s.Timeout > 0 && s.Timeout < time.Minute {
			v.add("timeoutTooShort", here+".timeout", "a stage's timeout is at least one minute")
		}
		if s.Timeout > 0 && i == len(c.Stages)-1 {
			v.add("timeoutOnLastStage", here+".timeout",
				"the last stage has no stage to give way to; the request's own timeout ends it")
		}
		for k, q := range s.AllOf {
			v.quorum(fmt.Sprintf("%s.allOf[%d]", here, k), q)
		}
		for k, q := range s.AnyOf {
			v.quorum(fmt.Sprintf("%s.anyOf[%d]", here, k), q)
		}
	}
	if len(v.reasons) > before {
		return
	}
	if n := v.deciders(c); c.Denies > max(1, n) {
		v.add("deniesUnreachable", at+".denies",
			"%d denies can never come together: there are %d people who may decide", c.Denies, n)
	}
	if stage, ok := Reachable(c, "", v.who); !ok {
		v.add("quorumUnreachable", fmt.Sprintf("%s.stages[%d]", at, stage),
			"there are not enough distinct people to meet this stage: add people, or ask for fewer")
	}
}

// deciders counts the people who may decide in some stage of a case.
func (v *validation) deciders(c access.Case) int {
	var all []access.PrincipalID
	for _, s := range c.Stages {
		all = append(all, Deciders(s, "", v.who)...)
	}
	slices.Sort(all)
	return len(slices.Compact(all))
}

func (v *validation) quorum(at string, q access.Quorum) {
	if q.Count < 1 || q.Count > maxCount {
		v.add("countOutOfRange", at+".count", "a quorum asks for 1 to %d people, not %d", maxCount, q.Count)
	}
	if len(q.Groups)+len(q.People) == 0 {
		v.add("emptyQuorum", at, "a quorum needs groups or people to choose from")
	}
	if len(q.Groups)+len(q.People) > maxNamed {
		v.add("tooManyNamed", at, "a quorum names at most %d groups and people", maxNamed)
		return
	}
	for i, g := range q.Groups {
		if !v.known(g, access.Group) {
			v.add("unknownGroup", fmt.Sprintf("%s.groups[%d]", at, i), "there is no group %s", clip(string(g)))
		}
	}
	for i, p := range q.People {
		if !v.known(p, access.User) {
			v.add("unknownPerson", fmt.Sprintf("%s.people[%d]", at, i), "there is no user %s; only people decide",
				clip(string(p)))
		}
	}
}
