package demo

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a program that runs beside us.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start starts a program in a namespace (nil: ours) with its output in a file. It has a process group of its own, so
// that Ctrl-C reaches us alone and we end it in our order.
func start(in *netspace, log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // in our own folder
	if err != nil {
		return nil, err
	}
	defer out.Close()                     //nolint:errcheck // the program has it
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // the demo ends it itself
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := cmd.Start
	if in != nil {
		begin = func() error { return in.do(cmd.Start) }
	}
	if err := begin(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // that it ended is all that counts; its log says why
		close(p.done)
	}()
	return p, nil
}

// kill ends it with SIGKILL, which no program can catch, and waits until it is gone.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tail gives the end of its output.
func (p *process) tail() string {
	const lines = 8
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
