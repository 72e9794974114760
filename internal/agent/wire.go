package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// Limits on what a server may send. Beyond them something is wrong, and nothing of it is believed.
const (
	maxMachines  = 10_000
	maxProtected = 100_000
	maxOpenings  = 200_000
	maxEnded     = 200_000
	maxCodes     = 10_000
	maxEpoch     = 64

	maxCodeMillis = 366 * 24 * 60 * 60 * 1000
)

// fromWire converts a desired state whose openings are counted from origin, an instant of the boot-time clock. It
// fails where the whole cannot be believed: it is for another agent, or breaks a limit. A single opening that makes
// no sense is left out, which leaves it closed, and a protected range that makes none is left out too; problems says
// so in words. Openings with nothing left are left out in silence.
func fromWire(w api.Desired, self Identity, origin time.Time) (d access.DesiredState, problems []string, err error) {
	switch {
	case access.AgentID(w.Agent) != self.Agent:
		return d, nil, fmt.Errorf("the desired state is for agent %q, and this is %q", clip(w.Agent), self.Agent)
	case access.Mode(w.Mode) != self.Mode:
		return d, nil, fmt.Errorf("the desired state is for mode %q, and this agent enrolled as %q", clip(w.Mode), self.Mode)
	case w.Revision < 0 || len(w.Epoch) > maxEpoch:
		return d, nil, fmt.Errorf("the desired state has revision %d of epoch %q", w.Revision, clip(w.Epoch))
	case len(w.Machines) > maxMachines, len(w.Protected) > maxProtected, len(w.Openings) > maxOpenings, len(w.Ended) > maxEnded:
		return d, nil, fmt.Errorf("the desired state is too large: %d machines, %d protected ranges, %d openings, %d ended grants",
			len(w.Machines), len(w.Protected), len(w.Openings), len(w.Ended))
	}
	d = access.DesiredState{Agent: self.Agent, Epoch: w.Epoch, Revision: w.Revision, Mode: self.Mode}
	known := make(map[access.MachineID]bool, len(w.Machines))
	for _, m := range w.Machines {
		guarded := access.Guarded{Machine: access.MachineID(m.Machine), Name: m.Name}
		for _, text := range m.Addresses {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				problems = append(problems, fmt.Sprintf("machine %q: address %q cannot be read", clip(m.Name), clip(text)))
				continue
			}
			guarded.Addresses = append(guarded.Addresses, addr.Unmap())
		}
		known[guarded.Machine] = true
		d.Machines = append(d.Machines, guarded)
	}
	for _, w := range w.Protected {
		p, err := protectedFromWire(w)
		if err == nil && !known[p.Machine] {
			err = fmt.Errorf("machine %q is not guarded here", clip(w.Machine))
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("protected ports %q: %v", clip(w.Ports), err))
			continue
		}
		d.Protected = append(d.Protected, p)
	}
	for _, w := range w.Openings {
		if w.RemainingMillis <= 0 {
			continue
		}
		o, err := openingFromWire(w, origin)
		if err == nil && !known[o.Machine] {
			err = fmt.Errorf("machine %q is not guarded here", clip(w.Machine))
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("opening of %q from %q stays closed: %v", clip(w.Ports), clip(w.Source), err))
			continue
		}
		o.Until = surely(o.Until, origin)
		d.Openings = append(d.Openings, o)
	}
	for _, c := range w.Codes[:min(len(w.Codes), maxCodes)] {
		most := time.Duration(min(max(c.MaxSeconds, 0), int64(access.MaxDuration/time.Second))) * time.Second
		left := time.Duration(min(max(c.RemainingMillis, 0), maxCodeMillis)) * time.Millisecond
		if known[access.MachineID(c.Machine)] && most > 0 && left > 0 && len(c.Hash) == 64 {
			d.Codes = append(d.Codes, access.SealedCode{ID: c.ID, Machine: access.MachineID(c.Machine), Hash: c.Hash, Most: most, Until: origin.Add(left)})
		}
	}
	for _, id := range w.Ended {
		d.Ended = append(d.Ended, access.GrantID(id))
	}
	return d, problems, nil
}

func protectedFromWire(w api.Protected) (access.Protected, error) {
	p := access.Protected{Machine: access.MachineID(w.Machine), Protocol: access.Protocol(w.Protocol), Sessions: access.SessionMode(w.Sessions)}
	if p.Sessions != access.SessionsCut && p.Sessions != access.SessionsKeep {
		return p, fmt.Errorf("session mode %q is not known", clip(w.Sessions))
	}
	ports, err := endpoint(w.Protocol, w.Ports)
	p.Ports = ports
	return p, err
}

func openingFromWire(w api.Opening, origin time.Time) (access.Opening, error) {
	o := access.Opening{OpeningKey: access.OpeningKey{Machine: access.MachineID(w.Machine), Protocol: access.Protocol(w.Protocol)}}
	var err error
	if o.Source, err = access.ParsePrefix(w.Source); err != nil {
		return o, err
	}
	if o.Ports, err = endpoint(w.Protocol, w.Ports); err != nil {
		return o, err
	}
	most := access.MaxDuration.Milliseconds()
	if w.RemainingMillis > most || w.CloseAfterMillis < 0 || w.CloseAfterMillis > most || len(w.Grants) == 0 {
		return o, fmt.Errorf("it remains for %d ms, closes %d ms after a loss and has %d grants", w.RemainingMillis, w.CloseAfterMillis, len(w.Grants))
	}
	o.Until = origin.Add(time.Duration(w.RemainingMillis) * time.Millisecond)
	o.CloseAfter = time.Duration(w.CloseAfterMillis) * time.Millisecond
	for _, id := range w.Grants {
		o.Grants = append(o.Grants, access.GrantID(id))
	}
	return o, nil
}

func endpoint(protocol, ports string) (access.PortRange, error) {
	if p := access.Protocol(protocol); p != access.TCP && p != access.UDP {
		return access.PortRange{}, fmt.Errorf("protocol %q is neither tcp nor udp", clip(protocol))
	}
	return access.ParsePorts(ports)
}

// Limits that the server sets on one report.
const (
	maxObservations = 5_000
	maxDenied       = 1_000
	maxDrift        = 100
	maxDetail       = 1024
	maxProblem      = 4096
	maxForeign      = 100
	maxName         = 256
)

// toWire converts a report, whose lists are within the limits already.
func toWire(r access.Report) api.Report {
	w := api.Report{Epoch: r.Epoch, Revision: r.Revision, SkewMillis: r.Skew.Milliseconds(), Problem: cut(r.Problem, maxProblem), Version: r.Version}
	for _, o := range r.Observations {
		w.Observations = append(w.Observations, api.Observation{
			Grant: string(o.Grant), Status: string(o.Status),
			Detail: cut(o.Detail, maxDetail), Packets: o.Packets, Bytes: o.Bytes,
		})
	}
	for _, f := range r.Foreign[:min(len(r.Foreign), maxForeign)] {
		w.Foreign = append(w.Foreign, api.ForeignRule{
			Table: cut(f.Table, maxName), Chain: cut(f.Chain, maxName), Effect: string(f.Effect), Protocol: string(f.Protocol), Ports: f.Ports.String(),
			Text: cut(f.Text, maxDetail),
		})
	}
	for _, d := range r.Denied {
		w.Denied = append(w.Denied, api.Denied{Machine: string(d.Machine), Source: d.Source.String(), Protocol: string(d.Protocol), Port: d.Port, Count: d.Count})
	}
	for _, text := range r.Drift {
		w.Drift = append(w.Drift, cut(text, maxDetail))
	}
	return w
}

// cut shortens text to at most so many bytes of valid UTF-8.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string { return cut(s, 80) }
