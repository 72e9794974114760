package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
)

// maxWindows is how many windows a statement reads of each of two sorts: those that begin with a port that is asked
// for, and ranges. Nobody has a use for more at a time.
const maxWindows = 256

const (
	windowColumns = "g.first_port, g.last_port, g.protocol, g.state, g.opened_at, " +
		"case when g.since_at = 0 then g.start_at else g.since_at end, g.over_at, g.decided" // see access.Grant.From
	windowsAfter = " where g.principal = $1 and g.site = $2 and g.over_at > $3"

	selectRanges = "select r.*, 1 from (select " + windowColumns + " from grants g" + windowsAfter +
		" and g.last_port > g.first_port order by g.over_at limit $4) r"

	selectWindows = "select w.*, 0 from (select " + windowColumns + " from grants g" + windowsAfter +
		" and g.first_port = $5 order by g.over_at limit $4) w union all " + selectRanges

	// Of a range, each port of it at which there is a window is looked for by the index.
	selectWindowsOfRange = `with recursive p(port) as (
select min(g.first_port) from grants g where g.principal = $1 and g.site = $2 and g.first_port >= $5 and g.first_port <= $6
union all
select (select min(g.first_port) from grants g where g.principal = $1 and g.site = $2 and g.first_port > p.port and g.first_port <= $6)
from p where p.port is not null)
select w.*, 0 from (select ` + windowColumns + " from p cross join grants g" + windowsAfter +
		" and g.first_port = p.port limit $4) w union all " + selectRanges
)

// held is one window as it is stored.
type held struct {
	policy.Window

	ports    access.PortRange
	protocol access.Protocol
	state    access.GrantState
	opened   bool
	isRange  bool // it was read as one
}

func scanHeld(row scanner) (h held, err error) {
	var opened int64
	err = row.Scan(&h.ports.First, &h.ports.Last, &h.protocol, &h.state, &opened, timeColumn{&h.Start},
		timeColumn{&h.End}, flagColumn{&h.Decided}, flagColumn{&h.isRange})
	h.opened = opened != 0
	return h, err
}

// Windows implements engine.Reader.
func (r *reader) Windows(ctx context.Context, f engine.WindowFilter) (engine.Windows, error) {
	of := rowOf(f.Target)
	args := []any{
		string(f.Principal), f.Target.Site(), micros(f.After), int64(maxWindows + 1), int64(of.Ports.First),
	}
	text, one := selectWindows, of.Ports.First == of.Ports.Last
	if !one {
		text, args = selectWindowsOfRange, append(args, int64(of.Ports.Last))
	}
	all, err := all(ctx, r.q, scanHeld, text, args...)
	if err != nil {
		return engine.Windows{}, err
	}
	out := engine.Windows{Whole: true}
	begun, ranges := 0, 0 // how many were read of each sort
	for _, h := range all {
		if h.isRange {
			ranges++
		} else if begun++; begun > maxWindows {
			// They come in the order of their ends: what was not read cannot begin in time where this is too late
			// already.
			out.Whole = one && !h.End.Add(-f.Longest).Before(f.Before)
			out.Standing = true
		}
		if !h.ports.Overlaps(of.Ports) || !h.protocol.Overlaps(of.Protocol) {
			continue
		}
		out.Standing = out.Standing || !h.state.Ended()
		switch {
		case !h.Start.Before(f.Before):
		case !h.End.After(h.Start), h.state == access.GrantFailed && !h.opened:
			// It was taken back before it began, or never could be opened.
		default:
			out.Held = append(out.Held, h.Window)
		}
	}
	if ranges > maxWindows {
		out.Whole, out.Standing = false, true
	}
	return out, nil
}
