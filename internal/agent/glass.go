package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

// glassFile keeps what codes are verified by, and what was opened with them.
const glassFile = "break-glass"

const glassPrefix = "breakGlass:" // of the name that stands in the place of a grant

// GlassConfig asks to open this host, or a machine behind it, with a code while the server is out of reach.
type GlassConfig struct {
	Code     string          `json:"code"`
	Machine  string          `json:"machine,omitempty"` // name or id, of a gateway's; empty: the only one
	Port     uint16          `json:"port"`
	Protocol access.Protocol `json:"protocol"`
	Source   netip.Prefix    `json:"source"`
	For      time.Duration   `json:"for"`
	Reason   string          `json:"reason"`
}

// GlassOpened is what a code opened.
type GlassOpened struct {
	Machine string        `json:"machine"`
	Port    uint16        `json:"port"`
	For     time.Duration `json:"for"` // perhaps less than was asked for
	Until   time.Time     `json:"until"`
	Direct  bool          `json:"direct"` // the agent does not run: the kernel was told without it
}

// glassState is the file. A use is written down before anything opens, and never taken back.
type glassState struct {
	Codes []glassCode `json:"codes"`
	Uses  []glassUse  `json:"uses"`
}

type glassCode struct {
	ID        string           `json:"id"`
	Machine   access.MachineID `json:"machine"`
	Hash      string           `json:"hash"`
	Most      time.Duration    `json:"mostNanos"`
	UntilWall int64            `json:"untilWallMicros"`
}

type glassUse struct {
	Code      string           `json:"code"`
	Machine   access.MachineID `json:"machine"`
	Port      uint16           `json:"port"`
	Protocol  access.Protocol  `json:"protocol"`
	Source    netip.Prefix     `json:"source"`
	Reason    string           `json:"reason"`
	For       time.Duration    `json:"forNanos"`
	BootID    string           `json:"bootId"`
	UntilBoot int64            `json:"untilBootNanos"`
	Opened    int64            `json:"openedWallMicros"`
	Reported  bool             `json:"reported"`
}

// glass is the file in a folder, one user at a time, be it in this process or another.
func glass(dir string, fn func(*glassState) (changed bool, err error)) (err error) {
	lock, err := openLock(dir)
	if err != nil {
		return fmt.Errorf("lock the codes: %w", err)
	}
	defer lock.Close() //nolint:errcheck // it lets the lock go
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the codes: %w", err)
	}
	var s glassState
	data, err := readFile(dir, glassFile)
	if err == nil {
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("%w: %w", errGlassDamaged, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the codes: %w", err)
	}
	changed, err := fn(&s)
	if err != nil || !changed {
		return err
	}
	if data, err = json.Marshal(s); err != nil {
		return err
	}
	return writeFile(dir, glassFile, data)
}

var errGlassDamaged = errors.New("the file of codes is damaged")

// openLock opens the file that is locked, which belongs to whom the folder does, whoever came first. One that root made
// for itself alone is made anew.
func openLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, glassFile+".lock")
	open := func() (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) } //nolint:gosec // in the agent's folder
	lock, err := open()
	if errors.Is(err, fs.ErrPermission) && os.Remove(path) == nil {
		lock, err = open()
	}
	if err != nil {
		return nil, err
	}
	if err := giveToOwner(dir, lock); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// keepCodes takes over what the server says codes are verified by; what was used stays used. now has the server's wall
// clock.
func keepCodes(dir string, codes []access.SealedCode, now reading) error {
	return glass(dir, func(s *glassState) (bool, error) {
		var next []glassCode
		for _, c := range codes {
			if !slices.ContainsFunc(s.Uses, func(u glassUse) bool { return u.Code == c.ID }) {
				next = append(next,
					glassCode{
						ID: c.ID, Machine: c.Machine, Hash: c.Hash, Most: c.Most,
						UntilWall: now.wall.Add(c.Until.Sub(now.boot)).UnixMicro(),
					})
			}
		}
		same := slices.EqualFunc(s.Codes, next, func(a, b glassCode) bool {
			// more than it is measured anew, where a clock was set
			moved := time.Duration(a.UntilWall-b.UntilWall) * time.Microsecond
			return a.ID == b.ID && a.Machine == b.Machine && a.Hash == b.Hash && a.Most == b.Most &&
				moved.Abs() < time.Minute
		})
		// A use that the server knows of is forgotten once it is over, with its code.
		before := len(s.Uses)
		s.Uses = slices.DeleteFunc(s.Uses, func(u glassUse) bool {
			return u.Reported && u.remains(
				now) <= 0 && !slices.ContainsFunc(codes, func(c access.SealedCode) bool { return c.ID == u.Code })
		})
		s.Codes = next
		return !same || before != len(s.Uses), nil
	})
}

// remains gives how long the opening of a use still lasts; none after a reboot, since nobody knows how long that took.
func (u glassUse) remains(now reading) time.Duration {
	if u.BootID == "" || u.BootID != now.bootID {
		return 0
	}
	return bootInstant(time.Duration(u.UntilBoot)).Sub(now.boot)
}

// spend verifies a code and writes its use down.
func spend(dir string, guarded access.DesiredState, in GlassConfig,
	now reading,
) (use glassUse, name string, err error) {
	sum := sha256.Sum256([]byte(strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(in.Code), "-", ""))))
	hash := hex.EncodeToString(sum[:])
	switch {
	case in.For < access.MinDuration || in.For > access.MaxDuration:
		return use, "", fmt.Errorf("%s cannot be opened for; use one second to 30 days", in.For)
	case in.Port == 0 || in.Protocol != access.TCP && in.Protocol != access.UDP:
		return use, "", errors.New("name a port, and tcp or udp")
	case strings.TrimSpace(in.Reason) == "" || len(in.Reason) > access.MaxText:
		return use, "", errors.New("say in a few words what the emergency is: whoever reviews it reads this")
	}
	source, ok := access.CanonicalPrefix(in.Source)
	if !ok {
		return use, "", errors.New("say from where, as an address or a prefix")
	}
	if why := access.NoSource(source); why != "" {
		return use, "", errors.New(why)
	}
	err = glass(dir, func(s *glassState) (bool, error) {
		var code glassCode
		for _, c := range s.Codes {
			if subtle.ConstantTimeCompare([]byte(hash),
				[]byte(c.Hash)) == 1 && now.wall.Before(time.UnixMicro(c.UntilWall)) {
				code = c
			}
		}
		if code.ID == "" || slices.ContainsFunc(s.Uses, func(u glassUse) bool { return u.Code == code.ID }) {
			return false, errors.New("this code is not one that is good here: it is mistyped, was used already, has " +
				"expired, or is for another machine")
		}
		i := slices.IndexFunc(guarded.Machines, func(m access.Guarded) bool { return m.Machine == code.Machine })
		if i < 0 || in.Machine != "" && in.Machine != string(
			code.Machine) && !strings.EqualFold(in.Machine, guarded.Machines[i].Name) {
			return false, errors.New("this code is for a machine that is not the one meant, or is not guarded here " +
				"any more")
		}
		name = guarded.Machines[i].Name
		if !slices.ContainsFunc(guarded.Protected, func(p access.Protected) bool {
			return p.Machine == code.Machine && p.Protocol == in.Protocol && p.Ports.Covers(access.SinglePort(in.Port))
		}) {
			return false, fmt.Errorf("port %d/%s of %s is not guarded: it is as open as other firewalls leave it",
				in.Port, in.Protocol, name)
		}
		length := min(in.For, code.Most)
		use = glassUse{
			Code: code.ID, Machine: code.Machine, Port: in.Port, Protocol: in.Protocol, Source: source,
			Reason: in.Reason, For: length,
			BootID: now.bootID, UntilBoot: int64(sinceBoot(now.boot.Add(length))), Opened: now.wall.UnixMicro(),
		}
		s.Uses = append(s.Uses, use)
		return true, nil
	})
	return use, name, err
}

// withGlass adds to a desired state what codes have opened and is not over: no state of the server closes it before its
// time.
func withGlass(dir string, d access.DesiredState, now reading) (access.DesiredState, error) {
	if _, err := os.Stat(filepath.Join(dir, glassFile)); errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	err := glass(dir, func(s *glassState) (bool, error) {
		d.Openings = slices.Clone(d.Openings)
		for _, u := range s.Uses {
			if u.remains(now) <= 0 {
				continue
			}
			key := access.OpeningKey{
				Machine: u.Machine, Source: u.Source, Protocol: u.Protocol,
				Ports: access.SinglePort(u.Port),
			}
			until, id := bootInstant(time.Duration(u.UntilBoot)), access.GrantID(glassPrefix+u.Code)
			i := slices.IndexFunc(d.Openings, func(o access.Opening) bool { return o.OpeningKey == key })
			if i < 0 {
				d.Openings = append(d.Openings,
					access.Opening{OpeningKey: key, Until: until, Grants: []access.GrantID{id}})
				continue
			}
			o := &d.Openings[i]
			o.Grants = append(slices.Clone(o.Grants), id)
			o.CloseAfter = 0 // the server is lost, and that is what the code is for
			if until.After(o.Until) {
				o.Until = until
			}
		}
		return false, nil
	})
	return d, err
}

// BreakGlass opens with a code: through the agent where it runs, else in the kernel itself. The use is on disk before
// anything opens.
func BreakGlass(ctx context.Context, c Config, in GlassConfig) (GlassOpened, error) {
	c, err := c.complete()
	if err != nil {
		return GlassOpened{}, err
	}
	if opened, running, err := askAgent(ctx, c.StateDir, in); running {
		return opened, err
	}
	id, err := LoadIdentity(c.StateDir)
	if err != nil {
		return GlassOpened{}, err
	}
	now := c.Clock.read()
	h, _ := load(c.StateDir, id, now)
	enforcer := c.Enforcer
	if enforcer == nil {
		if enforcer, err = openKernel(c); err != nil {
			return GlassOpened{}, err
		}
	}
	apply := func() error {
		state, err := withGlass(c.StateDir, h.DesiredState, now)
		if err == nil {
			err = enforcer.Apply(ctx, &state, now.boot)
		}
		if partial, some := errors.AsType[*enforce.PartialError](
			err); some && !slices.ContainsFunc(slices.Collect(maps.Keys(partial.Keys)), in.means) {
			err = nil // other openings cannot be held, as before
		}
		return err
	}
	// what stands already: where that cannot be done, a code would be used up for nothing
	if err := apply(); err != nil {
		if errors.Is(err, nftables.ErrOwned) {
			err = errors.New("the agent runs, but does not answer on its socket: restart it with \"systemctl " +
				"restart postern-agent\" and try again")
		}
		return GlassOpened{}, errors.Join(
			fmt.Errorf("nothing can be opened here, and the code is not used up: %w", err), enforcer.Close())
	}
	use, name, err := spend(c.StateDir, h.DesiredState, in, now)
	if err != nil {
		return GlassOpened{}, errors.Join(err, enforcer.Close())
	}
	err = errors.Join(apply(), enforcer.Close())
	use.log(ctx, c.Log, name)
	alarm(name, use)
	if err != nil {
		return GlassOpened{}, fmt.Errorf("open: %w", err)
	}
	return use.opened(name, now, true), nil
}

// means reports whether an opening is what was asked for.
func (c GlassConfig) means(k access.OpeningKey) bool {
	source, _ := access.CanonicalPrefix(c.Source)
	return k.Source == source && k.Protocol == c.Protocol && k.Ports == access.SinglePort(c.Port)
}

func (u glassUse) opened(name string, now reading, direct bool) GlassOpened {
	return GlassOpened{Machine: name, Port: u.Port, For: u.For, Until: now.wall.Add(u.remains(now)), Direct: direct}
}

// breakGlass is BreakGlass in the running agent.
func (a *agent) breakGlass(ctx context.Context, in GlassConfig) (GlassOpened, error) {
	use, name, err := a.openGlass(ctx, in)
	if err != nil {
		return GlassOpened{}, err
	}
	use.log(ctx, a.Log, name)
	go alarm(name, use)
	return use.opened(name, a.Clock.read(), false), nil
}

func (a *agent) openGlass(ctx context.Context, in GlassConfig) (use glassUse, machine string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if use, machine, err = spend(a.StateDir, a.holding.DesiredState, in, a.Clock.read()); err == nil {
		a.set(ctx, a.holding.DesiredState)
		a.out.ring()
	}
	return use, machine, err
}

func (u glassUse) log(ctx context.Context, log *slog.Logger, machine string) {
	log.ErrorContext(ctx, "glass was broken", "machine", machine, "port", u.Port, "from", u.Source.String(), "for",
		u.For.String(), "reason", u.Reason, "code", u.Code)
}

// set gives the loop a state, and with it what codes have opened: nothing else may give it one. The caller holds the
// lock.
func (a *agent) set(ctx context.Context, d access.DesiredState) {
	with, err := withGlass(a.StateDir, d, a.Clock.read())
	if err != nil {
		a.Log.ErrorContext(ctx, "what was opened in an emergency cannot be read", "error", err)
		with = d
	}
	a.loop.Set(with)
}
