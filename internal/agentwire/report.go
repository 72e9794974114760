package agentwire

import (
	"fmt"
	"strings"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// What one report of an agent holds at most, which is within what the server takes.
const (
	MaxObservations = 5_000
	MaxDenied       = 1_000
	MaxDrift        = 100

	maxForeign = 100
	maxDetail  = 1024
	maxProblem = 4096
	maxName    = 256
)

// EncodeReport returns the message of a report, of whose lists MaxObservations, MaxDenied and MaxDrift are kept by
// the caller. Texts that are too long are cut.
func EncodeReport(r access.Report) Report {
	w := Report{
		Epoch: r.Epoch, Revision: r.Revision, SkewMillis: r.Skew.Milliseconds(),
		Problem: cut(r.Problem, maxProblem), Version: r.Version,
		Foreign: EncodeForeign(r.Foreign[:min(len(r.Foreign), maxForeign)]),
	}
	for _, o := range r.Observations {
		w.Observations = append(w.Observations, Observation{
			Grant: string(o.Grant), Status: string(o.Status),
			Detail: cut(o.Detail, maxDetail), Packets: o.Packets, Bytes: o.Bytes,
		})
	}
	for _, d := range r.Denied {
		w.Denied = append(w.Denied, Denied{
			Machine: string(d.Machine), Source: d.Source.String(), Protocol: string(d.Protocol), Port: d.Port,
			Count: d.Count,
		})
	}
	for _, text := range r.Drift {
		w.Drift = append(w.Drift, cut(text, maxDetail))
	}
	return w
}

// EncodeForeign returns the message of rules of other firewall tables, which people are shown in the same form.
func EncodeForeign(rules []access.ForeignRule) (all []api.ForeignRule) {
	for _, r := range rules {
		all = append(all, api.ForeignRule{
			Table: cut(r.Table, maxName), Chain: cut(r.Chain, maxName), Effect: string(r.Effect),
			Protocol: string(r.Protocol),
			Ports:    r.Ports.String(), Text: cut(r.Text, maxDetail),
		})
	}
	return all
}

// DecodeReport returns the report that a message is of. fault is told of each field that makes no sense, and why;
// after that the report is of no use.
func DecodeReport(w Report, fault func(field string, err error)) access.Report {
	r := access.Report{
		Epoch: w.Epoch, Revision: w.Revision, Skew: millis(w.SkewMillis),
		Drift: w.Drift, Problem: w.Problem, Version: w.Version,
	}
	for _, o := range w.Observations {
		r.Observations = append(r.Observations, access.Observation{
			Grant: access.GrantID(o.Grant), Status: access.GrantStatus(o.Status),
			Detail: o.Detail, Packets: o.Packets, Bytes: o.Bytes,
		})
	}
	for i, f := range w.Foreign {
		rule := access.ForeignRule{Table: f.Table, Chain: f.Chain, Effect: access.ForeignEffect(f.Effect), Text: f.Text}
		field := fmt.Sprintf("foreign[%d]", i)
		var err error
		rule.Ports, err = access.ParsePorts(f.Ports)
		fault(field+".ports", err)
		if f.Protocol != "" {
			rule.Protocol, err = access.ParseProtocol(f.Protocol)
			fault(field+".protocol", err)
		}
		r.Foreign = append(r.Foreign, rule)
	}
	for i, d := range w.Denied {
		field := fmt.Sprintf("denied[%d]", i)
		protocol, err := access.ParseProtocol(d.Protocol)
		fault(field+".protocol", err)
		source, err := access.ParseAddress(d.Source)
		fault(field+".source", err)
		r.Denied = append(r.Denied, access.Denied{
			Machine: access.MachineID(d.Machine), Source: source, Protocol: protocol, Port: d.Port, Count: d.Count,
		})
	}
	return r
}

// cut shortens text to at most so many bytes of valid UTF-8.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
