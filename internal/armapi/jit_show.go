package armapi

import (
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// historyTime is how far back a policy's requests are shown, as the portal's own pages do.
const historyTime = 7 * 24 * time.Hour

// jitPolicies shows policies with their requests of the last days.
func (c *call) jitPolicies(policies []access.Policy) ([]jitPolicy, error) {
	view, err := c.engine().Requests.PolicyView(c.Context(), c.caller, policies, c.api.config.Now().Add(-historyTime))
	if err != nil {
		return nil, err
	}
	shown := make([]jitPolicy, 0, len(policies))
	for _, p := range policies {
		out := jitPolicy{
			ID: string(p.Resource), Name: p.Name, Type: jitType, Kind: "Basic", Location: p.Location,
			Properties: jitProperties{
				ProvisioningState: "Succeeded", VirtualMachines: []jitMachine{},
				Requests: []jitRequest{},
			},
		}
		for _, m := range p.Machines {
			out.Properties.VirtualMachines = append(out.Properties.VirtualMachines,
				jitMachine{ID: string(view.Machines[m.Machine]), Ports: portsTo(m.Ports)})
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
			p.Prefix, p.Prefixes = sourcesTo(r.Sources, r.SourceList, r.Networks...)
			ports = append(ports, p)
		}
	}
	return ports
}

// jitRequest shows a request as far as it concerns policy. The state of each port is that of its grant; a request
// that nobody has decided yet is Initiating.
func (c *call) jitRequest(r requests.RequestDetail, machines map[access.MachineID]access.ResourceID,
	policy access.PolicyID,
) jitRequest {
	now := c.api.config.Now()
	out := jitRequest{
		VirtualMachines: []jitRequestMachine{}, StartTimeUTC: stamp(r.Request.CreatedAt),
		Requestor:     r.Request.RequesterName,
		Justification: r.Request.Justification,
	}
	if !r.Request.Start.IsZero() {
		out.StartTimeUTC = stamp(r.Request.Start)
	}
	at := map[access.MachineID]int{}
	for _, item := range r.Request.Items {
		port, is := portIn(item.Target)
		if !is || port.Policy != policy {
			continue
		}
		i, has := at[port.Machine]
		if !has {
			i = len(out.VirtualMachines)
			at[port.Machine] = i
			out.VirtualMachines = append(out.VirtualMachines,
				jitRequestMachine{ID: string(machines[port.Machine]), Ports: []jitRequestPort{}})
		}
		_, end := r.Request.Window(item, now)
		p := jitRequestPort{Number: number(port.Ports.First), EndTimeUTC: stamp(end)}
		p.Prefix, p.Prefixes = sourcesTo(port.Sources, item.SourceList)
		p.Status, p.StatusReason = statusOfPort(r, port, &p)
		out.VirtualMachines[i].Ports = append(out.VirtualMachines[i].Ports, p)
	}
	return out
}

// statusOfPort gives Azure's words for how a port that was asked for stands, and puts the true end of its grant into p.
func statusOfPort(r requests.RequestDetail, port access.PortTarget, p *jitRequestPort) (status, reason string) {
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
		of, is := portIn(g.Target)
		if !is || !of.Alike(port) || !slices.Equal(of.Sources, port.Sources) {
			continue
		}
		p.EndTimeUTC = stamp(g.End)
		switch g.State {
		case access.GrantScheduled, access.GrantOpening:
			return "Initiating", "UserRequested"
		case access.GrantFailed:
			return "Failed", "UserRequested" // a word of our own, so that nobody waits for what is not to come
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
