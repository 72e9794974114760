package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// stateHeader begins the first line of a state file; the SHA-256 of the rest follows, in hex.
const stateHeader = "postern agent state 1 sha256="

var errCorrupt = errors.New("the saved state cannot be read")

func encodeState(s savedState) ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the state: %w", err)
	}
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(stateHeader), []byte(hex.EncodeToString(sum[:])), []byte("\n"), body), nil
}

// decodeState reads a state file; errCorrupt is in the chain of every error.
func decodeState(data []byte) (savedState, error) {
	var s savedState
	header, body, ok := bytes.Cut(data, []byte("\n"))
	sum, isState := bytes.CutPrefix(header, []byte(stateHeader))
	if !ok || !isState {
		return s, fmt.Errorf("%w: it does not begin as one of this version", errCorrupt)
	}
	want := sha256.Sum256(body)
	if hex.EncodeToString(want[:]) != string(sum) {
		return s, fmt.Errorf("%w: its checksum does not fit", errCorrupt)
	}
	if err := decodeStrictly(body, &s); err != nil {
		return s, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return s, nil
}

// check refuses what would not have been saved.
func (s savedState) check() error {
	if s.Mode != access.ModeHost && s.Mode != access.ModeGateway {
		return fmt.Errorf("mode %.80q is not known", s.Mode)
	}
	if s.Boot < 0 || s.Contact > s.Boot || s.Contact < s.Boot-int64(clamp(math.MaxInt64)) {
		return errors.New("its clocks make no sense")
	}
	if err := checkProtected(s.Protected); err != nil {
		return err
	}
	for _, t := range s.Trials {
		if t.UntilBoot < 0 || t.UntilBoot-s.Boot > int64(access.MaxTrial) {
			return fmt.Errorf("the trial %.80q makes no sense", t.Trial)
		}
		if err := checkProtected(t.Former); err != nil {
			return err
		}
	}
	for _, o := range s.Openings {
		if !validEndpoint(o.Protocol, o.First,
			o.Last) || !o.Source.IsValid() || o.Source.Masked() != o.Source || o.CloseAfter < 0 ||
			o.UntilBoot < 0 || o.UntilBoot-s.Boot > int64(access.MaxDuration) {
			return fmt.Errorf("the opening of ports %d-%d makes no sense", o.First, o.Last)
		}
	}
	return nil
}

func checkProtected(all []savedProtected) error {
	for _, p := range all {
		if !validEndpoint(p.Protocol, p.First,
			p.Last) || p.Sessions != access.SessionsCut && p.Sessions != access.SessionsKeep {
			return fmt.Errorf("protected ports %d-%d make no sense", p.First, p.Last)
		}
	}
	return nil
}

func validEndpoint(p access.Protocol, first, last uint16) bool {
	return (p == access.TCP || p == access.UDP) && access.PortRange{First: first, Last: last}.Valid()
}

// save makes h durable. The protected ports go to a file of their own as well, which is written only when they
// change, so that a state that cannot be read still leaves something to close.
func save(dir string, h held, now reading) error {
	state := toSaved(h, now)
	data, err := encodeState(state)
	if err != nil {
		return err
	}
	only := savedState{
		Agent: state.Agent, Mode: state.Mode, Machines: state.Machines, Protected: state.Protected,
	}
	if len(state.Trials) > 0 { // which end without anybody's help
		only.Trials, only.BootID, only.Boot, only.Wall = state.Trials, state.BootID, state.Boot, state.Wall
		only.Contact = state.Boot
	}
	closed, err := encodeState(only)
	if err != nil {
		return err
	}
	if before, err := readFile(dir, protectedFile); err != nil || !bytes.Equal(before, closed) {
		if err := writeFile(dir, protectedFile, closed); err != nil {
			return err
		}
	}
	return writeFile(dir, stateFile, data)
}

// load gives what the state folder says should hold at now, and in words what is wrong with it. It always gives
// something to apply, and the worse the state, the more is closed: a state that cannot be read leaves the last
// protected ports, and without those the recommended management ports of this host; so does having no state at all.
func load(dir string, self Identity, now reading) (h held, problem string) {
	data, err := readFile(dir, stateFile)
	if err == nil {
		var s savedState
		if s, err = decodeState(data); err == nil {
			h = s.restore(now)
			if h.Agent != self.Agent || h.Mode != self.Mode {
				// enrolled anew since: what was open was open for another agent
				h = closedState(self, h.DesiredState, now)
			}
			return h, ""
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		problem = "openings were dropped until the server answers, because " + filepath.Join(dir,
			stateFile) + ": " + err.Error()
	}
	if data, err := readFile(dir, protectedFile); err == nil {
		if s, err := decodeState(data); err == nil {
			return closedState(self, s.restore(now).DesiredState, now), problem
		}
	}
	return closedState(self, access.DesiredState{}, now), problem
}

// closedState gives the protected ports of last with nothing open. Where it has none, the recommended ports of this
// host; a gateway has none to recommend, since it does not know what lies behind it.
func closedState(self Identity, last access.DesiredState, now reading) held {
	d := access.DesiredState{Agent: self.Agent, Mode: self.Mode}
	if last.Mode == self.Mode {
		d.Machines, d.Protected, d.Trials = last.Machines, last.Protected, last.Trials
	}
	if len(d.Protected) == 0 && self.Mode == access.ModeHost {
		d.Machines = []access.Guarded{{Machine: self.Machine, Name: self.Name}}
		for _, rule := range access.RecommendedPorts() {
			for _, transport := range rule.Protocol.Transports() {
				d.Protected = append(d.Protected,
					access.Protected{
						Machine: self.Machine, Protocol: transport, Ports: rule.Ports,
						Sessions: access.SessionsCut,
					})
			}
		}
	}
	return held{DesiredState: d, contact: now.boot}
}
