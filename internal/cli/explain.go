package cli

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// mostReasons is how many reasons of a refusal are printed.
const mostReasons = 20

// whereToLook is the command that shows what was not found, or what is in the way.
var whereToLook = map[string]string{ //nolint:gochecknoglobals,gosec // a table of commands
	"unknownMachine": "postern machine list", "noMachinePicked": "postern machine list",
	"ambiguousMachine": "postern machine list -o wide", "machineNotConfigured": "postern policy list",
	"unknownScopePolicy": "postern policy scope list", "policyOrderTaken": "postern policy scope list",
	"scopeHasPolicy": "postern policy scope list", "machineNotNamed": "postern policy show MACHINE",
	"unknownAgent": "postern machine agents", "ambiguousAgent": "postern machine agents",
	"unknownGrant": "postern grant list --all", "grantEnded": "postern grant list",
	"quotaExceeded":  "postern grant list --who me",
	"chainTooLong":   "postern grant list --who me; what is open moves to another address with postern move MACHINE",
	"sameSources":    "postern grant list --who me",
	"unknownRequest": "postern request list", "alreadyDecided": "postern request show REQUEST",
	"notAnApprover": "postern request show REQUEST", "notThisStage": "postern request show REQUEST",
	"requestOutdated": "postern request show REQUEST", "requestChanged": "postern request show REQUEST",
	"unknownReview": "postern review list", "reviewOpen": "postern review list",
	"unknownRole": "postern role list", "roleInUse": "postern role assignments", "lastOwner": "postern role assignments",
	"unknownAssignment": "postern role assignments", "unknownEligibility": "postern eligibility list",
	"notEligible": "postern role eligible", "forbidden": "postern role eligible",
	"unknownPrincipal": "postern user list, postern group list or postern sp list",
	"unknownNetwork":   "postern network list", "unknownToken": "postern token list",
	"unknownCredential": "postern credential list", "unknownPasskey": "postern passkey list",
	"unknownSecret": "postern sp secret list SP", "unknownTenant": "postern tenant list",
	"unknownSubscription": "postern subscription list", "unknownResourceGroup": "postern resource-group list",
	"resourceGroupNotEmpty": "postern machine list --group RESOURCE-GROUP",
	"unknownApplication":    "postern app list", "ambiguousApplication": "postern app list",
	"unknownApplicationDefinition": "postern app definition list", "applicationDefinitionChanged": "postern app show APP",
	"unknownChannel": "postern notify channel list", "unknownRoute": "postern notify route list",
	"unknownDelivery": "postern notify dead",
	"unknownAlert":    "postern alert list", "unknownRule": "postern alert rules",
	"staleRevision": "the present state with show, change that, and try again",
}

// explain prints err for people: what is wrong, each reason on its own line, and what to do.
func (a *app) explain(err error) {
	if _, ok := errors.AsType[*silentError](err); ok {
		return
	}
	if problem, ok := errors.AsType[*api.Problem](err); ok {
		a.explainProblem(problem)
		return
	}
	a.say("Error: %s", err)
	coded, ok := errors.AsType[*codedError](err)
	switch {
	case ok && coded.hint != "":
		a.say("%s", coded.hint)
	case isUntrusted(err):
		a.say("%s", trustHint)
	case exitCode(err) == exitUnavailable:
		a.say("Try again, or sign in to another server with: postern login --server URL")
	}
}

func (a *app) explainProblem(problem *api.Problem) {
	a.say("Error: %s", firstUpper(problem.Detail, problem.Title))
	several := slices.ContainsFunc(problem.Reasons, func(r api.Reason) bool {
		found := itemField.FindStringSubmatch(r.Field)
		return found != nil && found[1] != "0"
	})
	for i, r := range problem.Reasons {
		if i == mostReasons {
			a.say("  - and %d more", len(problem.Reasons)-i)
			break
		}
		switch {
		case r.Message == problem.Detail && len(problem.Reasons) == 1: // it is said already
		case r.Field == "":
			a.say("  - %s", r.Message)
		default:
			a.say("  - %s: %s", fieldText(a.ran, r.Field, several), r.Message)
		}
	}
	if list := whereToLook[problem.Code]; list != "" {
		a.say("See: %s", list)
	} else if outsidePolicy(problem) {
		a.say("See the limits with: postern policy explain MACHINE:PORT")
	}
	if problem.Status == http.StatusUnauthorized && problem.Code != "wrongCredentials" {
		a.say("Sign in with: postern login")
	}
	if problem.Code == "stepUpRequired" {
		a.say("Confirm with: postern confirm")
	}
	if problem.Status >= http.StatusInternalServerError && problem.Instance != "" {
		a.say("The server's log has details under %s.", problem.Instance)
	}
}

// itemField finds the item and the rest of a field of a request: items[2].sources[0].
var itemField = regexp.MustCompile(`^items\[(\d+)\]\.?(.*)$`)

// fieldText writes where the server found a fault as people said it: the flag of the command that ran, or the words of
// the name. What a file is located by stays, since that is how the file says it. Of several items it says which.
func fieldText(ran *cobra.Command, field string, several bool) string {
	if strings.Contains(field, ": ") {
		return field
	}
	item := ""
	if found := itemField.FindStringSubmatch(field); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil && several {
			item = "item " + strconv.Itoa(n+1)
		}
		if field = found[2]; field == "" {
			return orElse(item, "the request")
		}
	}
	name := field[strings.LastIndexByte(field, '.')+1:]
	name, _, _ = strings.Cut(name, "[")
	said := strings.TrimSuffix(strings.ToLower(strings.Join(words(name), " ")), " seconds")
	if said == "for" {
		said = "duration"
	}
	if flag := flagOf(ran, name); flag != "" && (item == "" || !ran.Flags().Changed("item")) {
		said = "--" + flag
	}
	if item != "" {
		return item + ", " + said
	}
	return said
}

// flagOf gives the flag by which a command that ran was told a field; empty where it has none.
func flagOf(ran *cobra.Command, name string) string {
	if ran == nil {
		return ""
	}
	also := map[string][]string{
		"forSeconds": {"for"}, "start": {"at"}, "justification": {"reason"}, "sources": {"from"},
		"ports": {"port"}, "protocol": {"port"}, "maxSeconds": {"max"}, "gapSeconds": {"gap"}, "resourceGroup": {"group"},
		"principal": {"to", "who"}, "requester": {"who"}, "ttlSeconds": {"for"}, "addresses": {"address"},
		"labels": {"label"}, "actions": {"action"}, "closeAfterLossSeconds": {"close-after-loss"},
	}
	for _, flag := range append([]string{strings.ToLower(strings.Join(words(name), "-"))}, also[name]...) {
		if ran.Flags().Lookup(flag) != nil {
			return flag
		}
	}
	return ""
}

// words cuts a name such as closeAfterLossSeconds into its words.
func words(name string) []string {
	var all []string
	for _, r := range name {
		if len(all) == 0 || unicode.IsUpper(r) {
			all = append(all, "")
		}
		all[len(all)-1] += string(r)
	}
	return all
}

func firstUpper(texts ...string) string {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			return text
		}
	}
	return "the server gave no reason"
}
