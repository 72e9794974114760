package agentwire

import (
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Limits on what a server may send. Beyond them something is wrong, and nothing of it is believed.
const (
	maxMachines  = 10_000
	maxProtected = 100_000
	maxOpenings  = 200_000
	maxEnded     = 200_000
	maxTrials    = 10_000
	maxEpoch     = 64

	maxCodeMillis = 366 * 24 * 60 * 60 * 1000
)

// EncodeDesired returns the message of a desired state that is sent at now, of the clock that its ends are counted
// on.
func EncodeDesired(d access.DesiredState, now time.Time) Desired {
	w := Desired{
		Agent: string(d.Agent), Epoch: d.Epoch, Revision: d.Revision, Mode: string(d.Mode), ServerTime: now.UnixMicro(),
		Machines: make([]Guarded, 0, len(d.Machines)), Protected: make([]Protected, 0, len(d.Protected)),
		Openings: make([]Opening, 0, len(d.Openings)), Ended: converted[string](d.Ended),
	}
	for _, m := range d.Machines {
		guarded := Guarded{Machine: string(m.Machine), Name: m.Name}
		for _, a := range m.Addresses {
			guarded.Addresses = append(guarded.Addresses, a.String())
		}
		w.Machines = append(w.Machines, guarded)
	}
	for _, p := range d.Protected {
		w.Protected = append(w.Protected, encodeProtected(p))
	}
	for _, u := range d.Trials {
		trial := Trial{ID: u.Trial, Machine: string(u.Machine), RemainingMillis: u.Until.Sub(now).Milliseconds()}
		for _, p := range u.Former {
			trial.Former = append(trial.Former, encodeProtected(p))
		}
		w.Trials = append(w.Trials, trial)
	}
	for _, o := range d.Openings {
		remaining := o.Until.Sub(now).Milliseconds() // rounded down: never longer than it should be
		if remaining <= 0 {
			continue
		}
		w.Openings = append(w.Openings, Opening{
			Machine: string(o.Machine), Source: o.Source.String(), Protocol: string(o.Protocol),
			Ports:           o.Ports.String(),
			RemainingMillis: remaining, CloseAfterMillis: o.CloseAfter.Milliseconds(),
			Grants: converted[string](o.Grants),
		})
	}
	for _, c := range d.Codes {
		w.Codes = append(w.Codes, SealedCode{
			ID: c.ID, Machine: string(c.Machine), Hash: c.Hash,
			MaxSeconds: int64(c.Most / time.Second), RemainingMillis: c.Until.Sub(now).Milliseconds(),
		})
	}
	return w
}

func encodeProtected(p access.Protected) Protected {
	return Protected{
		Machine: string(p.Machine), Protocol: string(p.Protocol), Ports: p.Ports.String(), Sessions: string(p.Sessions),
	}
}

// DecodeDesired returns the state that a message is of, with its ends counted from origin. It fails where the
// whole cannot be believed, since it breaks a limit. A single opening that makes no sense is left out, which
// leaves it closed, and a protected range that makes none is left out too; problems says so in words. Openings
// with nothing left are left out in silence.
func DecodeDesired(w Desired, origin time.Time) (d access.DesiredState, problems []string, err error) {
	switch {
	case w.Revision < 0 || len(w.Epoch) > maxEpoch:
		return d, nil, fmt.Errorf("the desired state has revision %d of epoch %.80q", w.Revision, w.Epoch)
	case len(w.Machines) > maxMachines, len(w.Protected) > maxProtected,
		len(w.Openings) > maxOpenings, len(w.Ended) > maxEnded, len(w.Trials) > maxTrials:
		return d, nil, fmt.Errorf(
			"the desired state is too large: %d machines, %d protected ranges, %d openings, %d ended grants",
			len(w.Machines), len(w.Protected), len(w.Openings), len(w.Ended),
		)
	}
	d = access.DesiredState{
		Agent: access.AgentID(w.Agent), Epoch: w.Epoch, Revision: w.Revision, Mode: access.Mode(w.Mode),
		Ended: converted[access.GrantID](w.Ended),
	}
	known := make(map[access.MachineID]bool, len(w.Machines))
	for _, m := range w.Machines {
		guarded := access.Guarded{Machine: access.MachineID(m.Machine), Name: m.Name}
		for _, text := range m.Addresses {
			addr, err := access.ParseAddress(text)
			if err != nil {
				problems = append(problems, fmt.Sprintf("machine %.80q: address %.80q cannot be read", m.Name, text))
				continue
			}
			guarded.Addresses = append(guarded.Addresses, addr)
		}
		known[guarded.Machine] = true
		d.Machines = append(d.Machines, guarded)
	}
	for _, w := range w.Protected {
		p, err := w.decode()
		if err == nil && !known[p.Machine] {
			err = fmt.Errorf("machine %.80q is not guarded here", w.Machine)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("protected ports %.80q: %v", w.Ports, err))
			continue
		}
		d.Protected = append(d.Protected, p)
	}
	for _, w := range w.Trials {
		u, err := w.decode(origin)
		if err == nil && !known[u.Machine] {
			err = fmt.Errorf("machine %.80q is not guarded here", w.Machine)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("a trial is not ended here, so its ports stay guarded: %v", err))
			continue
		}
		d.Trials = append(d.Trials, u)
	}
	for _, w := range w.Openings {
		if w.RemainingMillis <= 0 {
			continue
		}
		o, err := w.decode(origin)
		if err == nil && !known[o.Machine] {
			err = fmt.Errorf("machine %.80q is not guarded here", w.Machine)
		}
		if err != nil {
			problems = append(problems,
				fmt.Sprintf("opening of %.80q from %.80q stays closed: %v", w.Ports, w.Source, err))
			continue
		}
		d.Openings = append(d.Openings, o)
	}
	if over := len(w.Codes) - access.MaxSealedCodes; over > 0 {
		problems = append(problems,
			fmt.Sprintf("%d codes for emergencies are not kept: an agent keeps %d", over, access.MaxSealedCodes))
	}
	for _, c := range w.Codes[:min(len(w.Codes), access.MaxSealedCodes)] {
		most := time.Duration(min(max(c.MaxSeconds, 0), int64(access.MaxDuration/time.Second))) * time.Second
		left := time.Duration(min(max(c.RemainingMillis, 0), maxCodeMillis)) * time.Millisecond
		if known[access.MachineID(c.Machine)] && most > 0 && left > 0 && len(c.Hash) == 64 {
			d.Codes = append(d.Codes, access.SealedCode{
				ID: c.ID, Machine: access.MachineID(c.Machine), Hash: c.Hash, Most: most, Until: origin.Add(left),
			})
		}
	}
	return d, problems, nil
}

func (w Protected) decode() (access.Protected, error) {
	p := access.Protected{
		Machine: access.MachineID(w.Machine), Protocol: access.Protocol(w.Protocol),
		Sessions: access.SessionMode(w.Sessions),
	}
	if p.Sessions != access.SessionsCut && p.Sessions != access.SessionsKeep {
		return p, fmt.Errorf("session mode %.80q is not known", w.Sessions)
	}
	var err error
	p.Ports, err = endpoint(w.Protocol, w.Ports)
	return p, err
}

func (w Trial) decode(origin time.Time) (access.Unconfirmed, error) {
	u := access.Unconfirmed{Trial: w.ID, Machine: access.MachineID(w.Machine)}
	if w.ID == "" || len(w.ID) > maxEpoch || w.RemainingMillis > access.MaxTrial.Milliseconds() {
		return u, fmt.Errorf("trial %.80q remains for %d ms", w.ID, w.RemainingMillis)
	}
	u.Until = origin.Add(max(0, millis(w.RemainingMillis)))
	for _, former := range w.Former {
		p, err := former.decode()
		if err == nil && p.Machine != u.Machine {
			err = fmt.Errorf("it speaks of machine %.80q", former.Machine)
		}
		if err != nil {
			return u, fmt.Errorf("what trial %.80q gives back: %w", w.ID, err)
		}
		u.Former = append(u.Former, p)
	}
	return u, nil
}

func (w Opening) decode(origin time.Time) (access.Opening, error) {
	o := access.Opening{
		OpeningKey: access.OpeningKey{Machine: access.MachineID(w.Machine), Protocol: access.Protocol(w.Protocol)},
		Until:      origin.Add(millis(w.RemainingMillis)),
		CloseAfter: millis(w.CloseAfterMillis),
		Grants:     converted[access.GrantID](w.Grants),
	}
	var err error
	if o.Source, err = access.ParsePrefix(w.Source); err != nil {
		return o, err
	}
	if o.Ports, err = endpoint(w.Protocol, w.Ports); err != nil {
		return o, err
	}
	most := access.MaxDuration.Milliseconds()
	if w.RemainingMillis > most || w.CloseAfterMillis < 0 || w.CloseAfterMillis > most || len(w.Grants) == 0 {
		return o, fmt.Errorf("it remains for %d ms, closes %d ms after a loss and has %d grants",
			w.RemainingMillis, w.CloseAfterMillis, len(w.Grants))
	}
	return o, nil
}

func endpoint(protocol, ports string) (access.PortRange, error) {
	if p := access.Protocol(protocol); p != access.TCP && p != access.UDP {
		return access.PortRange{}, fmt.Errorf("protocol %.80q is neither tcp nor udp", protocol)
	}
	return access.ParsePorts(ports)
}

// converted returns ids as the core has them for the wire, or the other way round.
func converted[T, F ~string](ids []F) []T {
	all := make([]T, 0, len(ids))
	for _, id := range ids {
		all = append(all, T(id))
	}
	return all
}
