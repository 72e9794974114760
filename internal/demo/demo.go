package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Options say how to tell the story. All but Once and Colour are required.
type Options struct {
	Apps    bool   // tell of a managed application, its publisher and its customer
	Once    bool   // end after the story instead of staying for whoever wants to try
	Colour  bool   // the output is a terminal
	Program string // the postern binary, which is started again for every part
	In      *os.File
	Out     *os.File
	Err     *os.File
	Now     func() time.Time // with a monotonic reading
}

// What the second process is told by its environment, and the descriptors that it inherits.
const (
	insideEnv = "POSTERN_DEMO_INSIDE" // set; the working directory is the temporary folder
	apiFD     = 3                     // a listener of the first process, for the server
	sshFD     = 4                     // another one, for the guarded port
)

// Run tells the story. It gives nil when every step did what it says and, without Once, when ctx ended afterwards.
func Run(ctx context.Context, o Options) error {
	if os.Getenv(insideEnv) != "" {
		dir, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("find the temporary folder: %w", err)
		}
		return inside(ctx, o, dir)
	}
	dir, err := os.MkdirTemp("", "postern-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	return errors.Join(outside(ctx, o, dir), os.RemoveAll(dir))
}

// outside starts the second process in namespaces of its own and waits for it.
func outside(ctx context.Context, o Options, dir string) error {
	files := make([]*os.File, 0, 2)
	for range cap(files) {
		file, err := loopback(ctx)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // the second process has it; nothing is lost
		files = append(files, file)
	}
	cmd, err := startInside(o, dir, files, os.Geteuid() != 0)
	if errors.Is(err, syscall.EPERM) && os.Geteuid() == 0 {
		cmd, err = startInside(o, dir, files, true) // root of a container that lacks the right
	}
	if err != nil {
		return refused(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = stop(cmd, done)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return ErrFailed // it has said why
	}
	return err
}

// ErrFailed says that a step did not do what it says; which one and why was printed.
var ErrFailed = errors.New("the demonstration failed")

// stop asks the second process to end, and after a while ends it, and with it everything in its namespaces.
func stop(cmd *exec.Cmd, done <-chan error) error {
	const patience = 10 * time.Second
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return errors.Join(errors.New("it did not end by itself"), cmd.Process.Kill(), <-done)
	}
}

func startInside(o Options, dir string, files []*os.File, asUser bool) (*exec.Cmd, error) {
	args := []string{"demo"}
	if o.Once {
		args = append(args, "--once")
	}
	if o.Apps {
		args = append(args, "--app")
	}
	cmd := exec.Command(o.Program, args...) //nolint:gosec,noctx // ourselves; it outlives ctx by the time it needs to clean up
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.In, o.Out, o.Err
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if asUser {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd, cmd.Start()
}

// loopback listens on a free port and gives the listener as a file to hand down: it stays in this namespace.
func loopback(ctx context.Context) (*os.File, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on the loopback address: %w", err)
	}
	defer l.Close() //nolint:errcheck // the file is a copy
	return l.(*net.TCPListener).File()
}

// relay carries connections from the terminal's side to an address on the person's side until the listener closes.
func relay(ctx context.Context, l net.Listener, target string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close() //nolint:errcheck // both ends are done with it
			to, err := dial(ctx, target, 5*time.Second)
			if err != nil {
				return
			}
			defer to.Close() //nolint:errcheck // both ends are done with it
			go func() {
				_, err := io.Copy(to, from)
				if err != nil || to.(*net.TCPConn).CloseWrite() != nil {
					_ = to.Close() // it is broken already
				}
			}()
			_, _ = io.Copy(from, to) // how it ends is the same to us
		}()
	}
}

// dial connects within a time.
func dial(ctx context.Context, address string, patience time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	return d.DialContext(ctx, "tcp", address)
}

// refused says what the kernel lacks or forbids, and how to allow it.
func refused(err error) error {
	hint := "Run it as root: sudo make demo"
	for _, gate := range []struct{ file, shut, how string }{
		{"kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"},
		{
			"kernel/apparmor_restrict_unprivileged_userns", "1",
			"sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
		},
		{"user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"},
		{"user/max_net_namespaces", "0", "sudo sysctl user.max_net_namespaces=10000"},
	} {
		if data, readErr := os.ReadFile(
			filepath.Join("/proc/sys", gate.file)); readErr == nil && string(data) == gate.shut+"\n" {
			hint += "\nor allow it: " + gate.how + " (now " + gate.shut + ")"
		}
	}
	if os.Geteuid() == 0 {
		hint = "We are root and may not all the same, as in most containers: run it on the host or in a virtual " +
			"machine,\n" +
			"or start the container with the capabilities SYS_ADMIN and NET_ADMIN and without a seccomp profile"
	}
	return fmt.Errorf("the demo needs a network, a process and a mount namespace, and this kernel refuses them: %w\n%s",
		err, hint)
}
