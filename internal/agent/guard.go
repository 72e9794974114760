package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

// Guard closes the ports that the saved state protects, with nothing open, and returns: it runs early in the boot,
// before the network is up. Without a saved state those are the recommended management ports; on a host that is not
// enrolled there are none, and nothing is changed. What it made stays in the kernel until the agent takes it over. It
// runs again whenever somebody has flushed the kernel's rules; while the agent lives and has kept its table, there is
// nothing to do. It gives what it closed.
func Guard(ctx context.Context, c Config) (closed []access.Protected, err error) {
	c, err = c.complete()
	if err != nil {
		return nil, err
	}
	id, err := LoadIdentity(c.StateDir)
	switch {
	case errors.Is(err, ErrNotEnrolled):
		c.Log.InfoContext(ctx, "this host is not enrolled; nothing is closed")
		return nil, nil
	case err != nil:
		// Enrolled, and who we are cannot be read: that opens nothing.
		c.Log.ErrorContext(ctx, "the agent's identity cannot be read", "error", err)
		id = savedIdentity(c.StateDir)
	}
	now := c.Clock.read()
	h, problem := load(c.StateDir, id, now)
	if problem != "" {
		c.Log.ErrorContext(ctx, "the saved state is not whole", "problem", problem)
	}
	state := h.DesiredState
	state.Openings = nil
	enforcer := c.Enforcer
	if enforcer == nil {
		if enforcer, err = openKernel(c); err != nil {
			return nil, err
		}
	}
	switch err := enforcer.Apply(ctx, &state, now.boot); {
	case errors.Is(err, nftables.ErrOwned):
		c.Log.InfoContext(ctx, "the agent runs, and guards the ports")
		return nil, enforcer.Close()
	case err != nil:
		return nil, errors.Join(fmt.Errorf("close the ports: %w", err), enforcer.Close())
	}
	c.Log.InfoContext(ctx, "the ports are closed until the agent runs", "protected", len(state.Protected))
	return state.Protected, enforcer.Close()
}

// savedIdentity returns what the saved state says of who guards here, above all the mode: a gateway that took itself
// for a host would guard itself, and nothing of what it forwards. Where nothing can be read it is a host.
func savedIdentity(dir string) Identity {
	for _, name := range []string{stateFile, protectedFile} {
		data, err := readFile(dir, name)
		if err != nil {
			continue
		}
		if s, err := decodeState(data); err == nil {
			return Identity{Agent: s.Agent, Machine: "unknown", Mode: s.Mode}
		}
	}
	return Identity{Machine: "unknown", Mode: access.ModeHost}
}

// Uninstall removes everything of ours from the kernel, so that the ports are as open as the host's own firewall
// leaves them, and forgets the enrollment. The machine and its agent stay known to the server until they are deleted
// there.
func Uninstall(ctx context.Context, c Config) error {
	c, err := c.complete()
	if err != nil {
		return err
	}
	enforcer := c.Enforcer
	if enforcer == nil {
		if enforcer, err = openKernel(c); err != nil {
			return err
		}
	}
	if err := enforcer.Apply(ctx, nil, c.Clock.Boot()); err != nil {
		// as root it is not a lack of rights: the table belongs to who made it, while they live
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("the agent still runs and owns it, or you are not root; stop the agent first, "+
				"systemctl disable --now postern-agent postern-guard, then try again as root: %w",
				err)
		}
		return errors.Join(fmt.Errorf("remove our table: %w", err), enforcer.Close())
	}
	if err := enforcer.Close(); err != nil {
		return fmt.Errorf("remove our table: %w", err)
	}
	// The identity goes first: without it the other files mean nothing.
	for _, name := range []string{
		identityFile, credentialsFile, caFile, stateFile, protectedFile, glassFile,
		glassFile + ".lock", glassSocket,
	} {
		if err := ignoreMissing(os.Remove(filepath.Join(c.StateDir, name))); err != nil {
			return fmt.Errorf("forget the enrollment: %w", err)
		}
	}
	return nil
}
