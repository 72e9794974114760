package audit

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/postern-dev/postern/internal/core/access"
)

// Tell says in one sentence what an event of the activity log records: who did what, for whom, at which port of which
// machine, from where, and why, as far as the event knows. machine is the machine's name, or where a role holds.
func Tell(e access.Event, machine string) string {
	t := telling{e: e, machine: machine}
	text := tellings[e.Kind]
	switch {
	case e.Outcome != access.Succeeded && e.Kind != access.RequestRefused && e.Kind != access.DecisionRefused &&
		refusals[e.Kind] == "":
		text = "{actor} was refused: {kind}[ of {name}][ on {machine}][: {problem}]"
	case refusals[e.Kind] != "":
		text = refusals[e.Kind]
	case e.Kind == access.RequestWasApproved && e.Actor.Name == e.Details["requester"]:
		text = "The policy approved the request of {whom} for {what}[ from {source}][: {justification}]"
	case e.Kind == access.DecisionMade && e.Details["decision"] == "deny":
		text = "{actor} denied the request of {whom}[ on {machine}][: {comment}]"
	case text == "":
		text = "{actor}: {kind}[ {name}]"
	}
	return sentence(t.fill(text))
}

// sentence begins with a capital, unless a name stands there, which is as it is.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if first == "the" || first == "a" {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

// tellings have what is in braces filled in; what is in brackets is left out where one of its braces is empty.
var tellings = map[access.EventKind]string{ //nolint:gochecknoglobals // a constant table; Go has no constant maps
	access.RequestSubmitted:   "{actor} requested {what}[ from {source}][: {justification}]",
	access.RequestWasApproved: "{actor} approved the request of {whom} for {what}[ from {source}][: {justification}]",
	access.RequestWasDenied:   "{actor} denied the request of {whom} for {what}[: {reason}]",
	access.RequestWasCanceled: "{actor} canceled the request of {whom} for {what}[: {reason}]",
	access.RequestDidTimeOut:  "The request of {whom} for {what} timed out",
	access.RequestStageOver:   "A stage of the request of {whom} for {what} was not met in time; the next one decides",
	access.RequestTagged:      "{actor} changed the tags of a request of {whom}",
	access.RequestReminded:    "The approvers of the request of {whom} for {what} were reminded",
	access.RequestReframed:    "The policy changed while the request of {whom} for {what} was waiting",

	access.GrantCreated:       "{whom} was granted {what}[ from {source}][ until {end}]",
	access.GrantBegan:         "The time of {whom} for {what} began[ from {source}]",
	access.GrantOpened:        "{actor} opened {what} for {whom}[ from {source}]",
	access.GrantDrifted:       "{what} is not in force for {whom} as it should be[: {reason}]",
	access.GrantDidFail:       "{actor} could not open {what} for {whom}[: {reason}]",
	access.GrantExtended:      "{actor} extended {what} for {whom}[ until {end}]",
	access.GrantMoved:         "{actor} moved {what} of {whom} to another address[: {source}]",
	access.GrantDidExpire:     "{what} expired for {whom}",
	access.GrantWasRevoked:    "{actor} revoked {what} of {whom}[: {reason}]",
	access.GrantWasSuperseded: "{what} of {whom} was superseded[: {reason}]",
	access.GrantClosed:        "{actor} saw {what} of {whom} closed",
	access.GrantWarned:        "{whom} was told that {what} ends soon",
	access.GrantsRecalled:     "{actor} ended many grants at once[ of {whom}][: {reason}]",

	access.DecisionMade: "{actor} approved the request of {whom}[ on {machine}][: {comment}]",

	access.GlassBroken:       "{actor} broke the glass for {what}[ from {source}][: {justification}]",
	access.GlassReviewed:     "{actor} reviewed the break-glass access of {whom}[ to {machine}][: {comment}]",
	access.GlassCodesIssued:  "{actor} issued {count} break-glass codes for {machine}",
	access.GlassCodesRevoked: "{actor} revoked {count} break-glass codes of {machine}",

	access.PolicyWritten:   "{actor} changed the policy {name}[ of {machine}]",
	access.PolicyDeleted:   "{actor} deleted the policy {name}",
	access.PolicyConfirmed: "{actor} confirmed the policy {name}[ of {machine}]",
	access.PolicyUndone:    "The policy {name}[ of {machine}] was taken back[: {reason}]",
	access.PolicyDisabled:  "{actor} disabled just-in-time access for {reach}[: {reason}]",
	access.PolicyEnabled:   "{actor} enabled just-in-time access for {reach} again",
	access.PolicyExploited: "{actor} asks for access under a policy that {actor} loosened lately[: {loosened}]",
	access.MachineAdded:    "{actor} added the machine {machine}[, guarded by {agent}]",
	access.MachineLabelled: "{actor} changed the labels of {machine}",
	access.MachineDeleted:  "{actor} removed the machine {machine}",

	access.AgentTokenMade:     "{actor} made an enrollment token[ for {name}]",
	access.AgentTokenDeleted:  "{actor} withdrew the enrollment token[ for {name}]",
	access.AgentEnrolled:      "The agent {name} enrolled",
	access.AgentReplaced:      "The agent {name} was replaced",
	access.AgentTwice:         "A second agent {name} was refused",
	access.AgentAhead:         "The agent {name} is ahead of a restored server",
	access.AgentReleased:      "The replaced agent {name} holds nothing open any more",
	access.AgentRevoked:       "{actor} revoked the agent {name}",
	access.AgentDrift:         "{actor} repaired the firewall[ of {machine}], which somebody had changed",
	access.AgentProblem:       "{actor} reported a problem[ on {machine}][: {problem}]",
	access.AgentSkewed:        "The clock of {actor} is off[ by {skew}]",
	access.AgentDeniedTraffic: "{actor} turned away connections to closed ports[ of {machine}][ from {source}]",
	access.AgentForeign:       "{actor} saw rules of other firewalls change at guarded ports[ of {machine}][: {rules}]",

	access.SignedIn:         "{actor} signed in[ from {address}]",
	access.SignedOut:        "{actor} signed out[ {of}]",
	access.SteppedUp:        "{actor} confirmed the session with a passkey",
	access.PasswordChanged:  "{actor} changed the password[ of {name}]",
	access.PrincipalCreated: "{actor} created the {category} {name}",
	access.PrincipalChanged: "{actor} changed {name}",
	access.SecretAdded:      "{actor} added a secret[ {secretName}] to {name}",
	access.SecretDeleted:    "{actor} deleted a secret[ {secretName}] of {name}",
	access.APITokenMade:     "{actor} made the API token {name}",
	access.APITokenRevoked:  "{actor} revoked the API token {name}",
	access.PasskeyAdded:     "{actor} added the passkey {name}",
	access.PasskeyDeleted:   "{actor} deleted the passkey {name}",
	access.MemberAdded:      "{actor} added {member} to the group {group}",
	access.MemberRemoved:    "{actor} removed {member} from the group {group}",
	access.GroupDeleted:     "{actor} deleted the group {group}",

	access.RoleAssigned:       "{actor} assigned the role {role} to {whom}[ {at}]",
	access.RoleUnassigned:     "{actor} took the role {role} from {whom}[ {at}]",
	access.RoleDefined:        "{actor} changed the role {role}",
	access.RoleDeleted:        "{actor} deleted the role {role}",
	access.RoleTimeAsked:      "{whom} asked for more time with the role {role}[: {justification}]",
	access.RoleTimeCanceled:   "{whom} took back the request for more time with the role {role}",
	access.RoleTimeGiven:      "{whom} was given more time with the role {role}[ until {until}]",
	access.EligibilityWritten: "{actor} made {whom} eligible for the role {role}[ {at}]",
	access.EligibilityDeleted: "{actor} ended the eligibility of {whom} for the role {role}[ {at}]",

	access.AccessReviewStarted:     "{actor} started the access review[ {name}]",
	access.AccessReviewChanged:     "{actor} changed the reviewers or the due date of the access review[ {name}]",
	access.AccessReviewReminded:    "The reviewers of the access review[ {name}] were reminded",
	access.AccessReviewDecided:     "{actor} decided on[ {role} of] {whom} in an access review[: {decision}][, {reason}]",
	access.AccessReviewItemChanged: "The decision on[ {role} of] {whom} in an access review counts no longer",
	access.AccessReviewCarriedOut:  "The decision on[ {role} of] {whom} in an access review was carried out",
	access.AccessReviewEnded:       "The access review[ {name}] ended: it takes no more decisions",
	access.AccessReviewClosed:      "The access review[ {name}] closed",
	access.AccessReviewCanceled:    "{actor} canceled the access review[ {name}]",

	access.ChannelWritten:   "{actor} changed the channel {name}",
	access.ChannelDeleted:   "{actor} deleted the channel {name}",
	access.ChannelTested:    "{actor} tested the channel {name}[: {answer}]",
	access.RouteWritten:     "{actor} changed a route of notifications[ to {channel}]",
	access.RouteDeleted:     "{actor} deleted a route of notifications[ to {channel}]",
	access.DeliveryRequeued: "{actor} sent a notification again[ by {channel}]",

	access.AlertOpened:       "Alert[ about {about}][: {title}][; {detail}]",
	access.AlertEscalated:    "Alert[ about {about}] has become more severe[: {title}][; {detail}]",
	access.AlertAcknowledged: "{actor} acknowledged the alert[ about {about}][: {title}]",
	access.AlertClosed:       "Alert[ about {about}] closed[: {title}]",
	access.AlertRuleChanged:  "{actor} changed the alert rule {rule}",

	access.AppDefinitionWritten: "{actor} changed the definition {name}",
	access.AppDefinitionDeleted: "{actor} deleted the definition {name}",
	access.ApplicationCreated:   "{actor} deployed the application {name}",
	access.ApplicationChanged:   "{actor} changed the application {name}",
	access.ApplicationDeleted:   "{actor} deleted the application {name}",

	access.NetworkWritten: "{actor} changed the network {network}[: {prefixes}]",
	access.NetworkDeleted: "{actor} deleted the network {network}",

	access.ServerStarted:        "The server started",
	access.TenantCreated:        "{actor} created the tenant {name}",
	access.SubscriptionCreated:  "{actor} created the subscription {name}",
	access.ResourceGroupCreated: "{actor} created the resource group {name}",
	access.ResourceGroupDeleted: "{actor} deleted the resource group {name}",
}

// refusals are what is recorded because it was refused.
var refusals = map[access.EventKind]string{ //nolint:gochecknoglobals // likewise
	access.RequestRefused:    "{actor} requested access[ to {machine}] and was refused[: {problem}]",
	access.DecisionRefused:   "{actor} could not decide the request of {whom}[: {problem}]",
	access.AgentEnrolRefused: "An agent[ {name}] was not enrolled[: {problem}]",
	access.AgentRefused:      "The agent {actor} was refused[: {problem}]",
	access.SignInRefused:     "A sign-in as {actor}[ from {address}] was refused[: {problem}]",
	access.AccessRefused:     "{actor} was refused[ {action}][ on {machine}][: {problem}]",
}

// telling gives the words of one event.
type telling struct {
	e       access.Event
	machine string
}

// fill puts words into a template.
func (t telling) fill(template string) string {
	var out strings.Builder
	for template != "" {
		plain, rest, optional := strings.Cut(template, "[")
		text, _ := t.words(plain)
		out.WriteString(text)
		if !optional {
			break
		}
		part, after, _ := strings.Cut(rest, "]")
		if text, whole := t.words(part); whole {
			out.WriteString(text)
		}
		template = after
	}
	return out.String()
}

// words fills in what is in braces, and reports whether nothing of it is empty.
func (t telling) words(template string) (text string, whole bool) {
	var out strings.Builder
	whole = true
	for {
		plain, rest, more := strings.Cut(template, "{")
		out.WriteString(plain)
		if !more {
			return out.String(), whole
		}
		name, after, _ := strings.Cut(rest, "}")
		word := t.word(name)
		whole = whole && word != ""
		out.WriteString(word)
		template = after
	}
}

func (t telling) word(name string) string {
	d := t.e.Details
	switch name {
	case "actor":
		return actorText(t.e.Actor.Name)
	case "address":
		if t.e.Actor.Address.IsValid() {
			return t.e.Actor.Address.String()
		}
		return ""
	case "action":
		return t.e.Action
	case "machine":
		return t.machine
	case "at":
		return atText(t.machine)
	case "kind":
		return kindText(t.e.Kind)
	case "category":
		return strings.ToLower(kindText(access.EventKind(firstText(d["kind"], "principal"))))
	case "whom":
		return firstText(d["principal"], d["requester"], d["person"], "somebody")
	case "name":
		return firstText(d["name"], d["application"], d["definition"], d["policy"], d["principal"])
	case "what":
		return t.what()
	case "source":
		return bareSources(firstText(d["sources"], d["source"]))
	case "problem":
		return t.problem()
	case "end", "until":
		return minuteText(d[name])
	}
	return d[name]
}

// what is asked for, open or closed: a port of a machine or a role, and how many more there are.
func (t telling) what() string {
	d := t.e.Details
	what := firstText(t.machine, "a machine")
	switch {
	case d["role"] != "":
		if what = "the role " + d["role"]; t.machine != "" {
			what += " " + atText(t.machine)
		}
	case d["ports"] != "":
		ports := d["ports"]
		if d["protocol"] != "" && !strings.Contains(ports, "/") {
			ports += "/" + d["protocol"]
		}
		what = ports + " on " + what
	}
	if d["item.1"] != "" {
		what += " and more"
	}
	return what
}

// problem is why something was refused or failed: the first reason, in words.
func (t telling) problem() string {
	d := t.e.Details
	if _, words, coded := strings.Cut(d["reason.0"], ": "); coded {
		return words
	}
	return firstText(d["problem"], d["message"], d["reason"], d["error"], d["code"])
}

func firstText(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// Everywhere is the place of what holds at the root.
const Everywhere = "everywhere"

func atText(place string) string {
	if place == "" || place == Everywhere {
		return place
	}
	return "at " + place
}

func actorText(name string) string {
	agent, is := strings.CutPrefix(name, "agent:")
	switch {
	case is:
		return "the agent " + agent
	case name == "":
		return "somebody"
	}
	return name
}

// kindText says a kind as people do: grant.timedOut is "grant timed out".
func kindText(kind access.EventKind) string {
	var out strings.Builder
	for _, r := range string(kind) {
		switch {
		case r == '.':
			out.WriteByte(' ')
		case unicode.IsUpper(r):
			out.WriteByte(' ')
			out.WriteRune(unicode.ToLower(r))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// bareSources leaves out the length of a prefix that is one address.
func bareSources(sources string) string {
	list := strings.Split(sources, ",")
	for i, s := range list {
		if bare, single := strings.CutSuffix(s, "/32"); single && !strings.Contains(s, ":") {
			list[i] = bare
		} else if bare, single := strings.CutSuffix(s, "/128"); single {
			list[i] = bare
		}
	}
	return strings.Join(list, ", ")
}

func minuteText(instant string) string {
	t, err := time.Parse(time.RFC3339Nano, instant)
	if err != nil {
		return instant
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// ToldKinds returns the kinds of event that have a sentence of their own, in order.
func ToldKinds() []access.EventKind {
	return slices.Sorted(func(yield func(access.EventKind) bool) {
		for _, kinds := range []map[access.EventKind]string{tellings, refusals} {
			for kind := range maps.Keys(kinds) {
				if !yield(kind) {
					return
				}
			}
		}
	})
}
