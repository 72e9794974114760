package armapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func jitVersions() []string { return []string{"2020-01-01", "2015-06-01-preview"} }

func jitRoutes() []route {
	const one = groupPath + securityPath + "/locations/{location}/jitNetworkAccessPolicies/{name}"
	list := func(pattern string) route {
		return route{
			method: http.MethodGet, pattern: pattern + "/jitNetworkAccessPolicies", versions: jitVersions(),
			handle: listJIT,
		}
	}
	return []route{
		list(subscriptionPath + securityPath),
		list(subscriptionPath + securityPath + "/locations/{location}"),
		list(groupPath + securityPath),
		list(groupPath + securityPath + "/locations/{location}"),
		{method: http.MethodGet, pattern: one, versions: jitVersions(), handle: getJIT},
		{method: http.MethodPut, pattern: one, versions: jitVersions(), handle: putJIT},
		{method: http.MethodDelete, pattern: one, versions: jitVersions(), handle: deleteJIT},
		{method: http.MethodPost, pattern: one + "/initiate", versions: jitVersions(), handle: initiateJIT},
	}
}

// policyID gives the resource id that the path names.
func (c *call) policyID() access.ResourceID {
	return access.PolicyResource(access.SubscriptionID(c.vars["subscription"]), c.vars["group"], c.vars["location"],
		c.vars["name"])
}

// scope gives the subscription or resource group that the path names.
func (c *call) scope() access.ResourceID {
	subscription := access.SubscriptionID(c.vars["subscription"])
	if group, has := c.vars["group"]; has {
		return access.ResourceGroupScope(subscription, group)
	}
	return access.SubscriptionScope(subscription)
}

// jitPage is how many policies one page of a list has: large, since Az PowerShell never asks for the second.
const jitPage = 1000

// jitRules is how many rules for ports one page of a list has, unless a single policy has more: a range becomes a rule
// for each of its ports, and some are of all ports.
const jitRules = 100_000

// fitting gives how many of the policies have room in one page.
func fitting(policies []access.Policy) int {
	rules := 0
	for i, p := range policies {
		for _, m := range p.Machines {
			for _, r := range m.Ports {
				rules += int(r.Ports.Last) - int(r.Ports.First) + 1
			}
		}
		if rules > jitRules {
			return max(i, 1)
		}
	}
	return len(policies)
}

func listJIT(c *call) (reply, error) {
	filter := engine.PolicyFilter{Scope: c.scope(), Location: c.vars["location"]}
	listed, err := c.engine().Machines.Policies(c.Context(), c.caller, filter, c.page(jitPage))
	if fits := fitting(listed.Items); err == nil && fits < len(listed.Items) {
		listed, err = c.engine().Machines.Policies(c.Context(), c.caller, filter, c.page(fits))
	}
	if err != nil {
		return reply{}, err
	}
	value, err := c.jitPolicies(listed.Items)
	if err != nil {
		return reply{}, err
	}
	return ok(c.list(value, listed.Next))
}

func getJIT(c *call) (reply, error) {
	p, err := c.engine().Machines.PolicyByResource(c.Context(), c.caller, c.policyID())
	if err != nil {
		return reply{}, err
	}
	return c.oneJIT(p)
}

// revision reads If-Match: the revision that the client saw; with If-None-Match: * it saw none. Azure's own clients
// send neither, and replace whatever there is.
func (c *call) revision() (*int64, error) {
	text := c.Header.Get("If-Match")
	switch none := c.Header.Get("If-None-Match"); {
	case none == "*" && text == "":
		return new(int64(0)), nil
	case none != "":
		return nil, access.Fault(access.KindInvalid, "InvalidParameter",
			"the header If-None-Match takes *, for what is not there yet, and no If-Match beside it")
	}
	if text == "" || text == "*" {
		return nil, nil //nolint:nilnil // none was named, and that is no error
	}
	n, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil {
		return nil, access.Fault(access.KindInvalid, "InvalidParameter",
			"the header If-Match must be the ETag of an earlier answer")
	}
	return &n, nil
}

func (c *call) oneJIT(p access.Policy) (reply, error) {
	shown, err := c.jitPolicies([]access.Policy{p})
	if err != nil {
		return reply{}, err
	}
	c.header.Set("ETag", strconv.Quote(strconv.FormatInt(p.Revision, 10)))
	return ok(shown[0])
}

// precondition gives the answer to an If-Match that no longer holds its own status.
func precondition(err error) error {
	if access.CodeOf(err) == "policyChanged" {
		return access.Fault(access.KindConflict, "PreconditionFailed", "%s", err.Error())
	}
	return err
}

func deleteJIT(c *call) (reply, error) {
	seen, err := c.revision()
	if err != nil {
		return reply{}, err
	}
	err = c.engine().Machines.DeletePolicy(c.Context(), c.caller, c.policyID(), seen)
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	return reply{status: http.StatusOK}, precondition(err)
}
