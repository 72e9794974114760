package agent

import (
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// Status is what an agent's host says of itself: from the state folder, and from the kernel.
type Status struct {
	Agent       string          `json:"agent"`
	Name        string          `json:"name"`
	Mode        string          `json:"mode"`
	Server      string          `json:"server"`
	Certificate time.Time       `json:"certificateUntil"`
	Revision    int64           `json:"revision"`
	Problem     string          `json:"problem,omitempty"`
	Protected   []StatusPort    `json:"protected"`
	Open        []StatusOpening `json:"open"` // what the kernel holds, whoever asked for it
}

// StatusPort is a port range that is closed unless something is open.
type StatusPort struct {
	Machine  string `json:"machine"` // its name
	Protocol string `json:"protocol"`
	Ports    string `json:"ports"`
	Sessions string `json:"sessions"`
}

// StatusOpening is one open port as the kernel holds it.
type StatusOpening struct {
	Machine          string   `json:"machine"` // its name
	Source           string   `json:"source"`
	Protocol         string   `json:"protocol"`
	Ports            string   `json:"ports"`
	RemainingSeconds float64  `json:"remainingSeconds"`
	Packets          uint64   `json:"packets"`
	Bytes            uint64   `json:"bytes"`
	Grants           []string `json:"grants,omitempty"` // empty where nothing that the agent holds explains it
}

// ReadStatus looks at the state folder and at the kernel, and changes neither.
func ReadStatus(c Config) (Status, error) {
	c, err := c.complete()
	if err != nil {
		return Status{}, err
	}
	id, err := LoadIdentity(c.StateDir)
	if err != nil {
		return Status{}, err
	}
	now := c.Clock.read()
	h, problem := load(c.StateDir, id, now)
	s := Status{
		Agent: string(id.Agent), Name: id.Name, Mode: string(id.Mode), Server: id.Server, Revision: h.Revision,
		Problem:   problem,
		Protected: []StatusPort{}, Open: []StatusOpening{},
	}
	if creds, err := loadCredentials(c.StateDir, id, c.Clock); err == nil {
		s.Certificate = creds.pair.Load().Leaf.NotAfter.UTC()
	} else {
		s.problem(err.Error())
	}
	names := make(map[access.MachineID]string)
	for _, m := range h.Machines {
		names[m.Machine] = m.Name
	}
	for _, p := range h.Protected {
		s.Protected = append(s.Protected,
			StatusPort{
				Machine: names[p.Machine], Protocol: string(p.Protocol), Ports: p.Ports.String(),
				Sessions: string(p.Sessions),
			})
	}
	held, present, err := readKernel(h.DesiredState, now)
	if err != nil {
		return s, fmt.Errorf("look at the kernel's firewall: %w", err)
	}
	if !present && len(h.Protected) > 0 {
		s.problem("our table is not in the kernel, so nothing is guarded: start the agent")
	}
	for _, o := range held {
		s.Open = append(s.Open, statusOpening(o, h, names, now))
	}
	return s, nil
}

func (s *Status) problem(text string) {
	if s.Problem != "" {
		text = s.Problem + "; " + text
	}
	s.Problem = text
}

func statusOpening(o enforce.Held, h held, names map[access.MachineID]string, now reading) StatusOpening {
	s := StatusOpening{
		Machine: names[o.Key.Machine], Source: o.Key.Source.String(), Protocol: string(o.Key.Protocol),
		Ports:            o.Key.Ports.String(),
		RemainingSeconds: o.Until.Sub(now.boot).Seconds(), Packets: o.Packets, Bytes: o.Bytes,
	}
	for _, wanted := range h.Openings {
		if k := wanted.OpeningKey; k.Machine == o.Key.Machine && k.Source == o.Key.Source &&
			k.Protocol == o.Key.Protocol && k.Ports.Covers(
			o.Key.Ports) {
			for _, id := range wanted.Grants {
				s.Grants = append(s.Grants, string(id))
			}
		}
	}
	return s
}
