package requests

import (
	"slices"

	"github.com/postern-dev/postern/internal/engine"
)

// requestAbroad gives a request without who approves: how many people have to agree, and what they said, and not who
// they are.
func requestAbroad(b *engine.Border, d RequestDetail) RequestDetail {
	if b == nil {
		return d
	}
	d.Request.Approvals = slices.Clone(d.Request.Approvals)
	for i := range d.Request.Approvals {
		d.Request.Approvals[i].Case = engine.UnnamedCase(d.Request.Approvals[i].Case)
	}
	d.Progress = slices.Clone(d.Progress)
	for i := range d.Progress {
		p := &d.Progress[i]
		p.Deciders, p.DeciderCount, p.Counted, p.Decided = nil, 0, nil, nil
		p.Open, p.Case = engine.Unnamed(p.Open), engine.UnnamedCase(p.Case)
	}
	d.Decisions = slices.Clone(d.Decisions)
	for i := range d.Decisions {
		d.Decisions[i].Person, d.Decisions[i].Name = "", ""
	}
	d.Names = nil
	return d
}
