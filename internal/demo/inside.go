package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// inside runs in the namespaces: it builds the scene, tells the story, and stays for whoever wants to try.
func inside(ctx context.Context, o Options, dir string) error {
	p := &page{out: o.Out, colour: o.Colour}
	s, err := build(ctx, o, dir, p)
	if err != nil {
		return err
	}
	defer s.end()
	s.tell(ctx)
	if ctx.Err() != nil {
		p.line("%sInterrupted.", p.erase())
		return ErrFailed
	}
	if len(p.failed) > 0 {
		p.line("\nNot everything did what it says: %s.", strings.Join(p.failed, "; "))
		return ErrFailed
	}
	if o.Once {
		p.line("\nEvery step did what it says.")
		return nil
	}
	if err := s.invite(); err != nil {
		return err
	}
	<-ctx.Done()
	p.line("\nEverything is being taken down.")
	return nil
}

// build makes the networks, the service and the relays.
func build(ctx context.Context, o Options, dir string, p *page) (*story, error) {
	s := &story{options: o, dir: dir, page: p}
	setup := func() (err error) {
		if err := privateMounts(); err != nil {
			return err
		}
		if s.machine, err = newNetspace(); err != nil {
			return err
		}
		return wire(s.machine)
	}
	if err := setup(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		return nil, refused(err)
	} else if err != nil {
		return nil, err
	}
	var err error
	if s.apiListener, err = inherited(apiFD); err != nil {
		return nil, err
	}
	if s.sshListener, err = inherited(sshFD); err != nil {
		return nil, err
	}
	go relay(ctx, s.apiListener, serverAddress)
	go relay(ctx, s.sshListener, guarded)
	what, sshd, err := startService(ctx, s.machine, dir)
	if err != nil {
		return nil, err
	}
	s.service = sshd
	p.line("Postern demo on Linux %s. The machine \"%s\" is a network namespace at %s;\non its port 22 is %s.\n",
		kernel(), machineName, machineAddress, what)
	return s, nil
}

func inherited(fd uintptr) (net.Listener, error) {
	file := os.NewFile(fd, "listener")
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("take over a listener: %w", err)
	}
	return l, file.Close()
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "unknown"
	}
	var b strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c)) //nolint:gosec // characters of C
	}
	return b.String()
}

// invite leaves what somebody needs to try it by hand.
func (s *story) invite() error {
	config := filepath.Join(s.dir, "try.json")
	if err := s.copyConfig(config, "https://"+s.apiListener.Addr().String()); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.sshListener.Addr().String())
	if err != nil {
		return err
	}
	knock := "ssh -p " + port + " 127.0.0.1"
	if s.service == nil {
		knock = "timeout 2 head -1 </dev/tcp/127.0.0.1/" + port
	}
	s.page.line(`
The portal is at https://%s, and stays until Ctrl-C: sign in as admin with the password "%s".
Its certificate is from the demo's own authority, so a browser asks whether to go on. Or try it from another terminal:

  export POSTERN_CONFIG=%s
  alias postern=%s

  postern machine list
  %s     # the machine's port 22: closed now
  postern request %s --port 22 --for 5m --reason "try it" --wait
  %s     # open: it answers
  postern revoke %s
  postern audit list --limit 20
`, s.apiListener.Addr(), s.password, config, s.options.Program, knock, machineName, knock, machineName)
	return nil
}

// end takes everything down; what it missed ends with us, since we are process 1.
func (s *story) end() {
	s.agent.kill()
	s.server.kill()
	s.service.kill()
}
