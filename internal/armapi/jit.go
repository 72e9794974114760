package armapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Azure's own bounds on the longest opening.
const (
	minJITDuration = 5 * time.Minute
	maxJITDuration = 24 * time.Hour
)

// historyTime is how far back a policy's requests are shown, as the portal's own pages do.
const historyTime = 7 * 24 * time.Hour

func jitVersions() []string { return []string{"2020-01-01", "2015-06-01-preview"} }

func jitRoutes() []route {
	const one = groupPath + securityPath + "/locations/{location}/jitNetworkAccessPolicies/{name}"
	list := func(pattern string) route {
		return route{method: http.MethodGet, pattern: pattern + "/jitNetworkAccessPolicies", versions: jitVersions(), handle: listJIT}
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
	return access.PolicyResource(access.SubscriptionID(c.vars["subscription"]), c.vars["group"], c.vars["location"], c.vars["name"])
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

func listJIT(c *call) (reply, error) {
	filter := engine.PolicyFilter{Scope: c.scope(), Location: c.vars["location"]}
	listed, err := c.engine().Policies(c.Context(), c.caller, filter, c.page(jitPage))
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
	p, err := c.engine().PolicyByResource(c.Context(), c.caller, c.policyID())
	if err != nil {
		return reply{}, err
	}
	return c.oneJIT(p)
}

// revision reads If-Match: the revision that the client saw. Azure's own clients send none, and replace whatever there is.
func (c *call) revision() (*int64, error) {
	text := c.Header.Get("If-Match")
	if text == "" || text == "*" {
		return nil, nil //nolint:nilnil // none was named, and that is no error
	}
	n, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
	if err != nil {
		return nil, access.Fault(access.KindInvalid, "InvalidParameter", "the header If-Match must be the ETag of an earlier answer")
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

// jitPolicies shows policies with their requests of the last days.
func (c *call) jitPolicies(policies []access.Policy) ([]jitPolicy, error) {
	view, err := c.engine().PolicyView(c.Context(), c.caller, policies, c.api.config.Now().Add(-historyTime))
	if err != nil {
		return nil, err
	}
	shown := make([]jitPolicy, 0, len(policies))
	for _, p := range policies {
		out := jitPolicy{
			ID: string(p.Resource), Name: p.Name, Type: jitType, Kind: "Basic", Location: p.Location,
			Properties: jitProperties{ProvisioningState: "Succeeded", VirtualMachines: []jitMachine{}, Requests: []jitRequest{}},
		}
		for _, m := range p.Machines {
			out.Properties.VirtualMachines = append(out.Properties.VirtualMachines, jitMachine{ID: string(view.Machines[m.Machine]), Ports: portsTo(m.Ports)})
		}
		for _, r := range view.Requests[p.ID] {
			out.Properties.Requests = append(out.Properties.Requests, c.jitRequest(r, view.Machines, p.ID))
		}
		shown = append(shown, out)
	}
	return shown, nil
}

// portsTo shows port rules; a range becomes a rule for each of its ports, since Azure has none.
func portsTo(rules []access.PortRule) []jitPort {
	ports := make([]jitPort, 0, len(rules))
	for _, r := range rules {
		for n := int(r.Ports.First); n <= int(r.Ports.Last); n++ {
			p := jitPort{Number: number(n), Protocol: protocolTo(r.Protocol), MaxDuration: formatDuration(r.Max)} //nolint:gosec // a port
			p.Prefix, p.Prefixes = sourcesTo(r.Sources, r.Networks...)
			ports = append(ports, p)
		}
	}
	return ports
}

// jitRequest shows a request as far as it concerns policy. The state of each port is that of its grant; a request
// that nobody has decided yet is Initiating.
func (c *call) jitRequest(r engine.RequestDetail, machines map[access.MachineID]access.ResourceID, policy access.PolicyID) jitRequest {
	now := c.api.config.Now()
	out := jitRequest{
		VirtualMachines: []jitRequestMachine{}, StartTimeUTC: stamp(r.Request.CreatedAt), Requestor: r.Request.RequesterName,
		Justification: r.Request.Justification,
	}
	if !r.Request.Start.IsZero() {
		out.StartTimeUTC = stamp(r.Request.Start)
	}
	at := map[access.MachineID]int{}
	for _, item := range r.Request.Items {
		if item.Policy != policy {
			continue
		}
		i, has := at[item.Machine]
		if !has {
			i = len(out.VirtualMachines)
			at[item.Machine] = i
			out.VirtualMachines = append(out.VirtualMachines, jitRequestMachine{ID: string(machines[item.Machine]), Ports: []jitRequestPort{}})
		}
		_, end := r.Request.Window(item, now)
		p := jitRequestPort{Number: number(item.Ports.First), EndTimeUTC: stamp(end)}
		p.Prefix, p.Prefixes = sourcesTo(item.Sources)
		p.Status, p.StatusReason = statusOfItem(r, item, &p)
		out.VirtualMachines[i].Ports = append(out.VirtualMachines[i].Ports, p)
	}
	return out
}

// statusOfItem gives Azure's words for how an item stands, and puts the true end of its grant into p.
func statusOfItem(r engine.RequestDetail, item access.Item, p *jitRequestPort) (status, reason string) {
	switch r.Request.State {
	case access.RequestPending:
		return "Initiating", "UserRequested"
	case access.RequestDenied, access.RequestCanceled:
		return "Revoked", "UserRequested"
	case access.RequestTimedOut:
		return "Revoked", "Expired"
	case access.RequestApproved:
	}
	for _, g := range r.Grants {
		if g.Machine != item.Machine || g.Ports != item.Ports || g.Protocol != item.Protocol || !slices.Equal(g.Sources, item.Sources) {
			continue
		}
		p.EndTimeUTC = stamp(g.End)
		switch g.State {
		case access.GrantScheduled, access.GrantOpening, access.GrantFailed:
			return "Initiating", "UserRequested"
		case access.GrantActive:
			return "Initiated", "UserRequested"
		case access.GrantExpired:
			return "Revoked", "Expired"
		case access.GrantSuperseded:
			return "Revoked", "NewerRequestInitiated"
		case access.GrantRevoked:
			return "Revoked", "UserRequested"
		}
	}
	return "Initiating", "UserRequested"
}

func putJIT(c *call) (reply, error) {
	var body putPolicy
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if body.Properties == nil || body.Properties.VirtualMachines == nil {
		return reply{}, access.Fault(access.KindInvalid, "InvalidRequestContent", "properties.virtualMachines is required; send an empty list for a policy without machines")
	}
	in := engine.PolicyInput{Resource: c.policyID(), PortsOnly: true}
	var reasons []access.Reason
	for i, m := range body.Properties.VirtualMachines {
		entry, wrong := c.entryFrom(fmt.Sprintf("properties.virtualMachines[%d]", i), m)
		in.Machines = append(in.Machines, entry)
		reasons = append(reasons, wrong...)
	}
	if len(reasons) > 0 {
		e := access.Fault(access.KindInvalid, "InvalidParameter", "the policy is not valid")
		e.Reasons = reasons
		return reply{}, e
	}
	seen, err := c.revision()
	if err != nil {
		return reply{}, err
	}
	p, _, err := c.engine().PutPolicy(c.Context(), c.caller, in, seen)
	if err != nil {
		return reply{}, precondition(err)
	}
	return c.oneJIT(p)
}

// entryFrom reads what a policy says of one machine. Postern's own additions are not part of it: the engine keeps
// those that the machine has.
func (c *call) entryFrom(field string, m jitMachine) (access.MachinePolicy, []access.Reason) {
	var reasons []access.Reason
	add := func(field, format string, args ...any) {
		reasons = append(reasons, access.Reason{Code: "InvalidParameter", Field: field, Message: field + ": " + fmt.Sprintf(format, args...)})
	}
	var entry access.MachinePolicy
	id, err := access.ParseResourceID(m.ID)
	if err != nil {
		add(field+".id", "%v", err)
		return entry, reasons
	}
	machine, err := c.engine().Machine(c.Context(), c.caller, string(id))
	if err != nil {
		add(field+".id", "%v", err)
		return entry, reasons
	}
	entry.Machine = machine.Machine.ID
	for k, p := range m.Ports {
		at := fmt.Sprintf("%s.ports[%d]", field, k)
		rule := access.PortRule{Ports: access.SinglePort(uint16(p.Number))}
		var known bool
		if rule.Protocol, known = protocolFrom(p.Protocol); !known {
			add(at+".protocol", "%q is not one of TCP, UDP and *", clip(p.Protocol))
		}
		if p.Number == 0 {
			add(at+".number", "a port from 1 to 65535 is required")
		}
		if rule.Max, err = parseDuration(p.MaxDuration); err != nil {
			add(at+".maxRequestAccessDuration", "%v", err)
		} else if rule.Max < minJITDuration || rule.Max > maxJITDuration {
			add(at+".maxRequestAccessDuration", "%s is outside PT5M to P1D", p.MaxDuration)
		}
		if p.Prefix != nil && len(p.Prefixes) > 0 {
			add(at, "allowedSourceAddressPrefix and allowedSourceAddressPrefixes exclude each other; send one of them")
		}
		var wrong []string
		rule.Sources, rule.Networks, wrong = p.sources()
		for _, text := range wrong {
			add(at+".allowedSourceAddressPrefix", "%q is not an address, a prefix, the name of a network, or *", clip(text))
		}
		entry.Ports = append(entry.Ports, rule)
	}
	entry.Ports = joinPorts(entry.Ports)
	return entry, reasons
}

// sources reads the sources of a rule, none of which means any: prefixes, and names of networks, which Azure has none of but
// its clients pass on. It gives those that cannot be read.
func (p jitPort) sources() (sources []netip.Prefix, networks, wrong []string) {
	texts := p.Prefixes
	if p.Prefix != nil {
		texts = strings.Split(*p.Prefix, ",")
	}
	everywhere := false
	for _, text := range texts {
		prefix, anywhere, valid := sourceFrom(strings.TrimSpace(text))
		switch name := strings.TrimSpace(text); {
		case !valid && access.IsNetworkName(name):
			networks = append(networks, name)
		case !valid:
			wrong = append(wrong, text)
		case anywhere:
			everywhere = true
		default:
			sources = append(sources, prefix)
		}
	}
	if everywhere {
		return nil, nil, wrong
	}
	return sources, networks, wrong
}

// joinPorts makes ranges of rules for neighbouring ports that are otherwise the same, which is how portsTo shows a range.
func joinPorts(rules []access.PortRule) []access.PortRule {
	var joined []access.PortRule
	for _, r := range rules {
		if last := len(joined) - 1; last >= 0 {
			before := &joined[last]
			longer := access.PortRange{First: before.Ports.First, Last: r.Ports.Last}
			if before.Ports.Last+1 == r.Ports.First && longer.Valid() && before.Protocol == r.Protocol && before.Max == r.Max && slices.Equal(before.Sources, r.Sources) && slices.Equal(before.Networks, r.Networks) {
				before.Ports = longer
				continue
			}
		}
		joined = append(joined, r)
	}
	return joined
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
	err = c.engine().DeletePolicy(c.Context(), c.caller, c.policyID(), seen)
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	return reply{status: http.StatusOK}, precondition(err)
}

func initiateJIT(c *call) (reply, error) {
	var body initiate
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	policy, err := c.engine().PolicyByResource(c.Context(), c.caller, c.policyID())
	if err != nil {
		return reply{}, err
	}
	in, err := initiateFrom(body)
	if err != nil {
		return reply{}, err
	}
	in.Policy = policy.ID
	made, err := c.engine().Submit(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, notSubset(err, policy.Resource)
	}
	machines := map[access.MachineID]access.ResourceID{}
	for i, item := range made.Request.Items { // in the order, and with the case, of the call
		machines[item.Machine] = access.ResourceID(in.Items[i].Machine)
	}
	return reply{status: http.StatusAccepted, body: c.jitRequest(made, machines, policy.ID)}, nil
}

func initiateFrom(body initiate) (engine.SubmitInput, error) {
	in := engine.SubmitInput{Justification: body.Justification}
	var reasons []access.Reason
	add := func(field, format string, args ...any) {
		reasons = append(reasons, access.Reason{Code: "InvalidParameter", Field: field, Message: field + ": " + fmt.Sprintf(format, args...)})
	}
	for i, m := range body.VirtualMachines {
		at := fmt.Sprintf("virtualMachines[%d]", i)
		if _, err := access.ParseResourceID(m.ID); err != nil {
			add(at+".id", "%v", err)
		}
		for k, p := range m.Ports {
			here := fmt.Sprintf("%s.ports[%d]", at, k)
			item := engine.ItemInput{Machine: m.ID, Ports: access.SinglePort(uint16(p.Number))}
			var err error
			if item.Until, err = parseStamp(p.EndTimeUTC); err != nil {
				add(here+".endTimeUtc", "%v", err)
			}
			if len(p.Prefixes) > 0 {
				add(here+".allowedSourceAddressPrefixes", "a request takes one source; send it as allowedSourceAddressPrefix")
			}
			if p.Prefix != nil && *p.Prefix != "" {
				source, anywhere, valid := sourceFrom(*p.Prefix)
				switch {
				case !valid:
					add(here+".allowedSourceAddressPrefix", "%q is not a single valid address or prefix", clip(*p.Prefix))
				case anywhere:
					item.Sources = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
				default:
					item.Sources = []netip.Prefix{source}
				}
			}
			in.Items = append(in.Items, item)
		}
	}
	if len(in.Items) == 0 {
		add("virtualMachines", "at least one machine with one port is required")
	}
	if len(reasons) > 0 {
		e := access.Fault(access.KindInvalid, "InvalidParameter", "the access request is not valid")
		e.Reasons = reasons
		return in, e
	}
	return in, nil
}

// notSubset puts a refusal by the policy into the words that Azure's own tools look for, in one message with every reason.
func notSubset(err error, policy access.ResourceID) error {
	e, is := errors.AsType[*access.Error](err)
	if !is || e.Kind != access.KindInvalid || !slices.ContainsFunc(e.Reasons, isLimit) {
		return err
	}
	out := access.Fault(access.KindInvalid, "AccessRequestNotSubsetOfPolicy",
		"the given access request is not a subset of policy '%s': every machine, port, source and time must be inside what the policy allows", policy)
	out.Reasons = e.Reasons
	return out
}

// isLimit tells whether a reason is that the policy does not allow so much, rather than that the request makes no sense.
func isLimit(r access.Reason) bool {
	switch r.Code {
	case "machineNotConfigured", "machineNotInPolicy", "portNotInPolicy", "protocolNotInPolicy", "sourceNotAllowed", "durationTooLong":
		return true
	}
	return false
}
