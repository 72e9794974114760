package access

import (
	"slices"
	"time"
)

// How long a change of a policy may wait to be confirmed.
const (
	MinTrial     = time.Minute
	DefaultTrial = 5 * time.Minute
	MaxTrial     = time.Hour
)

// Trial says that what a policy says of a machine holds only until a time unless somebody confirms it by then. After
// that, what was said before holds again. It keeps of that what an enforcement point needs; the whole is in an Undo.
type Trial struct {
	ID       string
	By       PrincipalID
	Began    time.Time
	Until    time.Time
	Named    bool        // whether a policy named the machine before
	Ports    []PortRule  // what that policy guarded
	Sessions SessionMode // of those
}

// Pending reports whether the entry waits to be confirmed at now.
func (t *Trial) Pending(now time.Time) bool { return t != nil && now.Before(t.Until) }

// former returns what the policies that name the machine guarded before the trial.
func (t *Trial) former(p Policy, machine MachineID) Policy {
	if !t.Named {
		return Policy{}
	}
	p.Machines = []MachinePolicy{{Machine: machine, Ports: t.Ports, Sessions: t.Sessions}}
	return p
}

// Undo is what an end of a trial without a confirmation gives back.
type Undo struct {
	Machine MachineID
	Trial   string
	Until   time.Time
	InForce time.Time // when the agent said, over a connection made under it, that the guard is in force; zero: not yet
	Named   bool      // whether a policy named the machine before
	Former  MachinePolicy
}

// Found is that an agent has said what it found on its host, and so is of a version that can.
type Found struct {
	Agent   AgentID
	Version string
	At      time.Time
}

// TrialSeen is what an agent says became of a trial.
type TrialSeen struct {
	Trial  string
	Undone bool // else the guard is in force, and the agent has connected anew under it
}

// Findings is what an agent found on its host beside what it is asked to enforce.
type Findings struct {
	Version string
	Trials  []TrialSeen
}

// NewTrial begins a trial of what a policy is to say of a machine, over what it says, if it names the machine.
func NewTrial(id string, machine MachineID, was MachinePolicy, named bool, within time.Duration, now time.Time) (
	t Trial, u Undo, err error,
) {
	if within < MinTrial || within > MaxTrial {
		return t, u, Fault(KindInvalid, "malformedTrial",
			"a policy may wait to be confirmed for %s to %s, and not for %s", MinTrial, MaxTrial, within)
	}
	t = Trial{
		ID: id, Began: now, Until: now.Add(within), Named: named, Ports: was.Ports, Sessions: was.Sessions,
	}
	return t, Undo{Machine: machine, Trial: id, Until: t.Until, Named: named, Former: was}, nil
}

// Unconfirmed is a trial as an enforcement point carries it: it ends it by itself, whether or not it hears of anybody
// by then.
type Unconfirmed struct {
	Trial   string
	Machine MachineID
	Until   time.Time
	Former  []Protected // what is protected of the machine when it is over
}

// Lapsed returns the state as it holds at now: of machines whose trial is over, what was protected before is. The
// trials stay in it, since whoever holds the state has to know what it ended.
func (d DesiredState) Lapsed(now time.Time) DesiredState {
	for _, u := range d.Trials {
		if now.Before(u.Until) {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(d.Protected), func(p Protected) bool { return p.Machine == u.Machine })
		d.Protected = sortedProtected(append(others, u.Former...))
	}
	return d
}

// Upheld returns the state with its trials as the holder of before ends them. Of a trial that it holds already, the
// end stays where it is, or comes sooner. And whatever a state says was protected before a new trial, what the holder
// itself had protected without one stays so: an old state, or one made up, takes nothing away that stood confirmed.
func (d DesiredState) Upheld(before DesiredState) DesiredState {
	d.Trials = slices.Clone(d.Trials)
	for i := range d.Trials {
		u := &d.Trials[i]
		was := slices.IndexFunc(before.Trials, func(b Unconfirmed) bool { return b.Machine == u.Machine })
		if was >= 0 && before.Trials[was].Trial == u.Trial {
			held := before.Trials[was]
			if held.Until.Before(u.Until) {
				u.Until = held.Until
			}
			u.Former = held.Former
			continue
		}
		stood := before.Protected
		if was >= 0 {
			stood = before.Trials[was].Former
		}
		for _, p := range stood {
			if p.Machine == u.Machine {
				u.Former = union(u.Former, p)
			}
		}
	}
	return d
}

// union adds to what is protected what of another range is not.
func union(all []Protected, more Protected) []Protected {
	var ruled []PortRule
	for _, p := range all {
		ruled = append(ruled, PortRule{Ports: p.Ports, Protocol: p.Protocol})
	}
	all = slices.Clip(all)
	for _, left := range (PortRule{Ports: more.Ports, Protocol: more.Protocol}).without(ruled) {
		all = append(all, Protected{
			Machine: more.Machine, Protocol: left.Protocol, Ports: left.Ports, Sessions: more.Sessions,
		})
	}
	return all
}
