package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hello is what a client of SSH says first; both kinds of service answer it.
const hello = "SSH-2.0-Postern_demo\r\n"

// startService starts what the machine guards on port 22: a real sshd where there is one, else a small service of ours
// that greets and echoes. It says which.
func startService(ctx context.Context, machine *netspace, dir string) (what string, p *process, err error) {
	if what, p, err := startSSHD(ctx, machine, dir); err == nil {
		return what, p, nil
	}
	var l net.Listener
	err = machine.do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", ":22")
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("listen on the machine's port 22: %w", err)
	}
	go echo(l)
	return "a small TCP service of ours, since there is no sshd, or it cannot run without root", nil, nil
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close() //nolint:errcheck // the client is gone
			if _, err := c.Write([]byte("SSH-2.0-Postern_demo_service\r\n")); err != nil {
				return
			}
			for in := bufio.NewReader(c); ; {
				text, err := in.ReadBytes('\n')
				if err != nil {
					return
				}
				if _, err := c.Write(text); err != nil {
					return
				}
			}
		}()
	}
}

func startSSHD(ctx context.Context, machine *netspace, dir string) (string, *process, error) {
	var program string
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return "", nil, errors.New("there is no sshd")
	}
	key := filepath.Join(dir, "ssh_host_key")
	if err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).Run(); err != nil { //nolint:gosec // a key in our own folder
		return "", nil, fmt.Errorf("make a host key: %w", err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // sshd wants it so; it is our own /run
		return "", nil, err
	}
	options := []string{
		"Port=22", "HostKey=" + key, "PidFile=none", "UsePAM=no", "StrictModes=no", "MaxStartups=10000",
		"LoginGraceTime=600", "LogLevel=ERROR",
	}
	args := func(options []string) []string {
		args := []string{"-f", "/dev/null"}
		for _, o := range options {
			args = append(args, "-o", o)
		}
		return args
	}
	// A newer sshd punishes whoever connects and says nothing, as our probes do; an older one does not know the option.
	if lenient := append(slices.Clip(options), "PerSourcePenalties=no"); exec.CommandContext(ctx, program, append(args(lenient), "-t")...).Run() == nil { //nolint:gosec // a fixed path
		options = lenient
	}
	p, err := start(machine, filepath.Join(dir, "sshd.log"), program, append(args(options), "-D", "-e")...)
	if err != nil {
		return "", nil, err
	}
	for range 50 {
		var banner string
		err = machine.do(func() error {
			c, err := dial(ctx, "127.0.0.1:22", time.Second)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // only its greeting matters
			if banner, err = greeting(c); err != nil {
				return err
			}
			return answers(c, 5*time.Second) // without all of root's rights it greets and then fails
		})
		if err == nil {
			return "a real sshd (" + strings.TrimPrefix(banner, "SSH-2.0-") + ")", p, nil
		}
		if p.ended() || !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.kill()
	return "", nil, fmt.Errorf("start sshd: %w: %s", err, p.tail())
}

// greeting reads the line that the service says first.
func greeting(c net.Conn) (string, error) {
	const patience = 10 * time.Second
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil { //nolint:forbidigo // a deadline of the socket, not a measurement
		return "", err
	}
	text, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(text), err
}

// answers sends what a client says first and tells whether something comes back in time.
func answers(c net.Conn, patience time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil { //nolint:forbidigo // a deadline of the socket, not a measurement
		return err
	}
	if _, err := c.Write([]byte(hello)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}
