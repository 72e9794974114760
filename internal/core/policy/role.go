package policy

import (
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// checkRole looks at item i, which asks for a role.
func (e *evaluation) checkRole(i int, item Item, role access.RoleTarget) Judged {
	field := func(name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
	eligible := item.Eligibility
	if eligible == nil {
		e.refuse("notEligible", field("role"), "nobody is eligible for %s: ask an administrator for an eligibility", role)
		return Judged{Item: item.Item}
	}
	out := Judged{
		Item: item.Item, Longest: eligible.Max, key: fmt.Sprintf("role %q", eligible.ID), again: "the same role",
	}
	e.wait(*item.Policy)
	length, name := e.checkLength(field, item)
	if length == 0 {
		return out
	}
	switch {
	case !item.Until.IsZero() && length <= eligible.Max+EndGrace:
		out.Until = e.cut(item, length, eligible.Max)
		length = min(length, eligible.Max)
	case length > eligible.Max:
		e.refuse("durationTooLong", field(name), "%s can be activated for at most %s, not for %s", item.Name,
			duration(eligible.Max), duration(length))
	}
	if e.start.Before(eligible.Start) {
		e.refuse("notYetEligible", "start", "%s can be activated from %s, not at %s", item.Name,
			instant(eligible.Start), instant(e.start))
	}
	if end := e.from(item).Add(length); !eligible.End.IsZero() && end.After(eligible.End) {
		e.refuse("eligibilityEnds", field(name), "%s can be activated until %s, not until %s", item.Name,
			instant(eligible.End), instant(end))
	}
	return out
}

// ValidateEligibility gives every reason for which e cannot be written; none where it can. Who is named in its rule,
// and whether its role and scope are there, is for whoever knows them to say.
func ValidateEligibility(e access.Eligibility) []access.Reason {
	var f findings
	if e.Max < access.MinDuration || e.Max > access.MaxDuration {
		f.refuse("maxOutOfRange", "max", "an activation can last %s to %s, not %s", duration(access.MinDuration),
			duration(access.MaxDuration), duration(e.Max))
	}
	if !e.End.IsZero() && !e.End.After(e.Start) {
		f.refuse("endBeforeStart", "end", "the end must lie after the start")
	}
	f.terms(e.Terms())
	return f.reasons
}
