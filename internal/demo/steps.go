package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
)

// silence is how long a refused connection is given to hear something.
const silence = time.Second

func (s *story) signIn(ctx context.Context) (string, string, error) {
	// The first sign-in replaces the password that the server printed once.
	s.password = rand.Text()
	if err := os.WriteFile(s.path("new-password"), []byte(s.password+"\n"), 0o600); err != nil {
		return "", "", err
	}
	_, err := s.postern(ctx, "login", "--server", "https://"+serverAddress, "--ca", s.path("data/ca.pem"), "--user",
		"admin",
		"--password-file", s.path("first-password"), "--new-password-file", s.path("new-password"))
	if err != nil {
		return "", "", err
	}
	if s.client, err = s.connectAPI(); err != nil {
		return "", "", err
	}
	me, err := s.client.Me(ctx)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("signed in: postern login --user %s (the server sees us at %s)", me.Principal.Name, me.Address),
		"", nil
}

func (s *story) enrol(ctx context.Context) (string, string, error) {
	token, err := s.postern(ctx, "machine", "token", machineName)
	if err != nil {
		return "", "", err
	}
	if err := s.enrolWith(strings.TrimSpace(token)); err != nil {
		return "", "", err
	}
	err = s.inForce(ctx)
	return "machine enrolled with a one-time token; its agent runs and reports", "", err
}

// enrolWith enrolls the machine with a token, and starts its agent.
func (s *story) enrolWith(token string) error {
	if err := os.WriteFile(s.path("token"), []byte(token), 0o600); err != nil {
		return err
	}
	enrolled, err := start(s.machine, s.path("enroll.log"), s.options.Program, "agent", "enroll", "--server",
		"https://"+serverAddress,
		"--token-file", s.path("token"), "--ca", s.path("data/ca.pem"), "--state", s.path("state"))
	if err != nil {
		return err
	}
	<-enrolled.done
	if enrolled.cmd.ProcessState.ExitCode() != 0 {
		return errors.New(enrolled.tail())
	}
	return s.startAgent()
}

func (s *story) startAgent() (err error) {
	s.agent, err = start(s.machine, s.path("agent.log"), s.options.Program, "agent", "--state", s.path("state"))
	return err
}

// inForce waits until the agent has reported that what is desired holds.
func (s *story) inForce(ctx context.Context) error {
	return s.eventually(ctx, 20*time.Second, s.agent, func() (bool, error) {
		m, err := s.client.Machine(ctx, machineName)
		if err != nil || m.Agent == nil {
			return false, err
		}
		if m.Agent.Problem != "" {
			return false, errors.New(m.Agent.Problem)
		}
		return m.Agent.LastSeenAt != nil && m.Agent.Reported >= m.Agent.Revision, nil
	})
}

func (s *story) findOpen(ctx context.Context) (string, string, error) {
	c, err := dial(ctx, guarded, silence)
	if err != nil {
		return "", "", err
	}
	defer c.Close() //nolint:errcheck // only the greeting matters
	banner, err := greeting(c)
	return fmt.Sprintf("port 22 of %s is open to everybody, as nothing guards it: %s", machineName,
			strings.TrimPrefix(banner, "SSH-2.0-")),
		"", err
}

func (s *story) guard(ctx context.Context) (string, string, error) {
	if _, err := s.postern(ctx, "policy", "set", machineName, "--port", "22/tcp", "--max", "3h",
		"--require-reason"); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("guarded: postern policy set %s --port 22/tcp --max 3h --require-reason",
		machineName), "", s.inForce(ctx)
}

func (s *story) beRefused(ctx context.Context) (string, string, error) {
	begun := s.options.Now()
	c, err := dial(ctx, guarded, silence)
	if err == nil {
		return "", "", errors.Join(errors.New("the connection was accepted"), c.Close())
	}
	return fmt.Sprintf("port 22 is closed: a connection from %s hears nothing", personAddress),
		milliseconds(s.options.Now().Sub(begun)), nil
}

func (s *story) ask(ctx context.Context) (string, string, error) {
	probing, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	p := &prober{now: s.options.Now, target: guarded, every: time.Millisecond, patience: 300 * time.Millisecond}
	results := make(chan []attempt, 1)
	go func() { results <- p.run(probing, func(a attempt) bool { return a.accepted }) }()
	time.Sleep(20 * time.Millisecond) // so that the first tries are refused
	sent := s.options.Now()
	var err error
	s.request, err = s.client.Submit(ctx, api.NewRequest{
		Items:         []api.NewItem{{Machine: machineName, Ports: "22"}},
		ForSeconds:    int64(opening / time.Second),
		Justification: "show that it closes by itself",
	}, "")
	if err != nil {
		return "", "", err
	}
	if len(s.request.Grants) != 1 {
		return "", "", fmt.Errorf("the request is %s and has %d grants, not one", s.request.State,
			len(s.request.Grants))
	}
	first, ok := firstAccepted(<-results)
	switch {
	case !ok:
		return "", "", fmt.Errorf("no connection was accepted; the agent's log ends:\n%s", s.agent.tail())
	case first.sent.Before(sent) && first.answered.Before(sent):
		return "", "", errors.New("a connection was accepted before anybody asked")
	}
	grant, err := s.client.Grant(ctx, s.request.Grants[0].ID, 10*time.Second)
	if err != nil {
		return "", "", err
	}
	if grant.State != "active" {
		return "", "",
			fmt.Errorf("connections are let through, but the record says that the grant is %s %s; the agent's log "+
				"ends:\n%s\nand the server's:\n%s",
				grant.State, grant.Reason, s.agent.tail(), s.server.tail())
	}
	s.deadline = grant.End
	return fmt.Sprintf("asked for port 22 for %.0f s; from the request sent to the first connection let in:",
			opening.Seconds()),
		milliseconds(first.answered.Sub(sent)), nil
}

func (s *story) connect(ctx context.Context) (string, string, error) {
	begun := s.options.Now()
	c, err := dial(ctx, guarded, silence)
	if err != nil {
		return "", "", err
	}
	defer c.Close() //nolint:errcheck // it has done its work
	banner, err := greeting(c)
	if err != nil {
		return "", "", err
	}
	took := milliseconds(s.options.Now().Sub(begun))
	if err := answers(c, 5*time.Second); err != nil {
		return "", "", fmt.Errorf("the service greets and then says no more: %w", err)
	}
	if s.session, err = dial(ctx, guarded, silence); err != nil {
		return "", "", err
	}
	_, err = greeting(s.session)
	return fmt.Sprintf("connected for real: %s greets and goes on talking", strings.TrimPrefix(banner, "SSH-2.0-")),
		took, err
}

func (s *story) elsewhere(ctx context.Context) (string, string, error) {
	begun := s.options.Now()
	dialer := net.Dialer{Timeout: silence, LocalAddr: &net.TCPAddr{IP: net.ParseIP(otherAddress)}}
	c, err := dialer.DialContext(ctx, "tcp", guarded)
	if err == nil {
		return "", "", errors.Join(errors.New("the connection was accepted"), c.Close())
	}
	return fmt.Sprintf("at the same time a connection from %s, which nobody asked for, hears nothing", otherAddress),
		milliseconds(s.options.Now().Sub(begun)), nil
}

func (s *story) killBoth(ctx context.Context) (string, string, error) {
	begun := s.options.Now()
	s.server.kill()
	s.agent.kill()
	took := milliseconds(s.options.Now().Sub(begun))
	c, err := dial(ctx, guarded, silence)
	if err != nil {
		return "", "", fmt.Errorf("the port is closed already: %w", err)
	}
	return fmt.Sprintf("server and agent killed with SIGKILL; port 22 is still open, for %.0f s more",
		s.deadline.Sub(s.options.Now()).Seconds()), took, c.Close()
}

// seeClosed looks from two seconds before the deadline to one second after it, every two milliseconds.
func (s *story) seeClosed(ctx context.Context) (string, string, error) {
	const before, after = 2 * time.Second, time.Second
	for left := s.deadline.Sub(s.options.Now()); left > before; left = s.deadline.Sub(s.options.Now()) {
		s.page.waiting("nothing of Postern runs now; port 22 must close by itself in %.0f s …", left.Seconds())
		select {
		case <-ctx.Done():
			return "", "", ctx.Err()
		case <-time.After(min(time.Second, left-before)):
		}
	}
	probing, stop := context.WithTimeout(ctx, before+after)
	defer stop()
	p := &prober{now: s.options.Now, target: guarded, every: 2 * time.Millisecond, patience: 300 * time.Millisecond}
	attempts := p.run(probing, func(attempt) bool { return false })
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	last, refused, ok := lastAccepted(attempts)
	const early = 250 * time.Millisecond
	switch {
	case !ok:
		return "", "", errors.New("it closed too early: no connection was accepted in the last two seconds")
	case last.sent.After(s.deadline):
		return "", "", fmt.Errorf("a connection that began %s after the deadline was accepted",
			milliseconds(last.sent.Sub(s.deadline)))
	case s.deadline.Sub(last.sent) > early:
		return "", "", fmt.Errorf("the last accepted connection began %s before the deadline: it closed too early",
			milliseconds(s.deadline.Sub(last.sent)))
	case refused.sent.IsZero():
		return "", "", errors.New("no connection was refused after the last one that was accepted")
	}
	return fmt.Sprintf("closed on time with nobody there: of %d tries the last one accepted began before the "+
			"deadline by",
			len(attempts)),
		milliseconds(s.deadline.Sub(last.sent)), nil
}

func (s *story) seeCut(context.Context) (string, string, error) {
	begun := s.options.Now()
	if err := answers(s.session, silence); err == nil {
		return "", "", errors.New("a connection from before the deadline is still being answered")
	}
	return "the connection from before the deadline is cut too: the service no longer answers it",
		milliseconds(s.options.Now().Sub(begun)), s.session.Close()
}

func (s *story) restart(ctx context.Context) (string, string, error) {
	if err := s.runServer(ctx); err != nil {
		return "", "", err
	}
	if err := s.startAgent(); err != nil {
		return "", "", err
	}
	var grant api.Grant
	err := s.eventually(ctx, 20*time.Second, s.agent, func() (yes bool, err error) {
		grant, err = s.client.Grant(ctx, s.request.Grants[0].ID, 0)
		return err == nil && grant.ClosedAt != nil, err
	})
	if err == nil && grant.State != "expired" {
		err = fmt.Errorf("the grant is %s, not expired", grant.State)
	}
	return "server and agent started again; the record says: expired, and seen closed", "", err
}
