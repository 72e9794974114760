package agentwire

import (
	"github.com/postern-dev/postern/internal/core/access"
)

// States of a trial at an agent.
const (
	TrialInForce = "inForce"
	TrialUndone  = "undone"
)

// MaxTrialsSeen is of how many trials one message speaks at most.
const MaxTrialsSeen = 1_000

// EncodeFindings returns the message of what an agent found, of whose trials the first MaxTrialsSeen are told.
func EncodeFindings(f access.Findings) Findings {
	w := Findings{Version: cut(f.Version, maxEpoch)}
	for _, t := range f.Trials[:min(len(f.Trials), MaxTrialsSeen)] {
		seen := TrialSeen{ID: t.Trial, State: TrialInForce}
		if t.Undone {
			seen.State = TrialUndone
		}
		w.Trials = append(w.Trials, seen)
	}
	return w
}

// DecodeFindings returns what a message says; fault as in DecodeReport.
func DecodeFindings(w Findings, _ func(field string, err error)) access.Findings {
	f := access.Findings{Version: w.Version}
	for _, t := range w.Trials {
		f.Trials = append(f.Trials, access.TrialSeen{Trial: t.ID, Undone: t.State == TrialUndone})
	}
	return f
}
