package armapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/requests"
)

func initiateJIT(c *call) (reply, error) {
	var body initiate
	if err := c.decode(&body); err != nil {
		return reply{}, c.recordRefused(err)
	}
	in, err := initiateFrom(body)
	if err != nil {
		return reply{}, c.recordRefused(err)
	}
	in.Policy = c.policyID()
	made, err := c.engine().Requests.Submit(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, c.notSubset(err, in.Policy)
	}
	machines := map[access.MachineID]access.ResourceID{}
	for i, item := range made.Request.Items { // in the order, and with the case, of the call
		machines[item.Place().Machine] = access.ResourceID(in.Items[i].Machine)
	}
	policy := made.Request.Items[0].Target.Guard().Policy
	return reply{status: http.StatusAccepted, body: c.jitRequest(made, machines, policy)}, nil
}

// recordRefused records a request for access that could not be read, as the engine records those that it refuses
// itself.
func (c *call) recordRefused(err error) error {
	var reasons []access.Reason
	if e, is := errors.AsType[*access.Error](err); is {
		reasons = e.Reasons
	}
	if failed := c.engine().Requests.RequestRefused(c.Context(), c.caller, c.policyID(), reasons); failed != nil {
		return failed
	}
	return err
}

func initiateFrom(body initiate) (requests.SubmitInput, error) {
	in := requests.SubmitInput{Justification: body.Justification}
	var reasons []access.Reason
	code := "InvalidParameter"
	add := func(field, format string, args ...any) {
		reasons = append(reasons,
			access.Reason{Code: "InvalidParameter", Field: field, Message: field + ": " + fmt.Sprintf(format, args...)})
	}
	for i, m := range body.VirtualMachines {
		at := fmt.Sprintf("virtualMachines[%d]", i)
		if _, err := access.ParseResourceID(m.ID); err != nil {
			add(at+".id", "%v", err)
		}
		for k, p := range m.Ports {
			here := fmt.Sprintf("%s.ports[%d]", at, k)
			item := requests.ItemInput{
				Machine: m.ID, Port: access.PortTarget{Ports: access.SinglePort(uint16(p.Number))},
			}
			if protocol := given(p.Protocol); protocol != "" { // Azure has it in rules alone; whoever sends it means it
				var known bool
				if item.Port.Protocol, known = protocolFrom(protocol); !known {
					add(here+".protocol", "%q is not one of TCP, UDP and *", clip(protocol))
				}
			}
			if p.Number == 0 {
				add(here+".number", "a port from 1 to 65535 is required")
			}
			switch until, length := given(p.EndTimeUTC), given(p.Duration); {
			case (until == "") == (length == ""):
				code = "InvalidInitiateInput"
				add(here, "Only one of fields 'EndTimeUtc' and 'Duration' can be set. One of them must be.")
			case until != "":
				var err error
				if item.Until, err = parseStamp(until); err != nil {
					add(here+".endTimeUtc", "%v", err)
				}
			default:
				var err error
				if item.Duration, err = parseDuration(length); err != nil {
					add(here+".duration", "%v", err)
				} else if item.Duration <= 0 {
					add(here+".duration", "%q is too short", clip(length))
				}
			}
			var wrong string
			if item.Port.Sources, wrong = sourcesFrom(given(p.Prefix), p.Prefixes); wrong != "" {
				add(here, "%s", wrong)
			}
			item.SourceList = len(p.Prefixes) > 0
			in.Items = append(in.Items, item)
		}
	}
	if len(in.Items) == 0 {
		add("virtualMachines", "at least one machine with one port is required")
	}
	if len(reasons) > 0 {
		e := access.Fault(access.KindInvalid, code, "the access request is not valid")
		e.Reasons = reasons
		return in, e
	}
	return in, nil
}

// given gives the text of a field that may be absent, null or empty.
func given(field *string) string {
	if field == nil {
		return ""
	}
	return *field
}

// sourcesFrom reads the two fields for sources, of which one may be given; with neither there are none, which is the
// caller's own address. It says what is wrong with them.
func sourcesFrom(one string, many []string) (sources []netip.Prefix, wrong string) {
	switch {
	case one != "" && len(many) > 0:
		return nil, "allowedSourceAddressPrefix and allowedSourceAddressPrefixes exclude each other; send one of them"
	case one != "":
		many = []string{one}
	}
	for _, text := range many {
		source, anywhere, valid := sourceFrom(strings.TrimSpace(text))
		switch {
		case !valid:
			return nil,
				fmt.Sprintf("the source %q is not a single valid address or prefix; send several as "+
					"allowedSourceAddressPrefixes",
					clip(text))
		case anywhere:
			sources = append(sources, netip.PrefixFrom(netip.IPv4Unspecified(), 0),
				netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		default:
			sources = append(sources, source)
		}
	}
	return sources, ""
}

// notSubset puts a refusal by the policy into the words that Azure's own tools look for, in one message with every
// reason. Where there is no such policy, that is the reason.
func (c *call) notSubset(err error, policy access.ResourceID) error {
	e, is := errors.AsType[*access.Error](err)
	if !is || e.Kind != access.KindInvalid || !slices.ContainsFunc(e.Reasons, isLimit) {
		return err
	}
	if _, missing := c.engine().Machines.PolicyByResource(c.Context(), c.caller,
		policy); access.KindOf(missing) == access.KindNotFound {
		return access.Fault(access.KindNotFound, "PolicyNotFound", "%s", missing.Error())
	}
	out := access.Fault(access.KindInvalid, "AccessRequestNotSubsetOfPolicy",
		"the given access request is not a subset of policy '%s': every machine, port, source and time must be "+
			"inside what the policy allows",
		policy)
	out.Reasons = e.Reasons
	return out
}

// isLimit tells whether a reason is that the policy does not allow so much, rather than that the request makes no
// sense.
func isLimit(r access.Reason) bool {
	switch r.Code {
	case "machineNotConfigured", "machineNotInPolicy", "portNotInPolicy", "protocolNotInPolicy", "sourceNotAllowed",
		"durationTooLong":
		return true
	}
	return false
}
