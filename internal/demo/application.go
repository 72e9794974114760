package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// activation is how long the publisher's role is active in the story.
const activation = 12 * time.Second

// The sign-ins of the story: the publisher's administrator and engineer, and the customer's approver. The customer's
// administrator is the one who signs in first.
const (
	veraConfig = "vera.json"
	vicConfig  = "vic.json"
	annConfig  = "ann.json"
)

// appSteps tell of a managed application.
func (s *story) appSteps() []step {
	return []step{
		{"start the server", s.startServer},
		{"sign in", s.signIn},
		{"make a tenant for the publisher", s.makePublisher},
		{"offer an application", s.offer},
		{"deploy it", s.deploy},
		{"enroll a machine into the managed resource group", s.enrolManaged},
		{"be refused as the publisher", s.publisherRefused},
		{"be refused as the customer's administrator", s.customerRefused},
		{"activate a role", s.activate},
		{"be refused a decision as the publisher", s.publisherDecides},
		{"approve as the customer", s.approve},
		{"guard the port as the publisher", s.guardManaged},
		{"open it and connect", s.openManaged},
		{"see both end", s.seeBothEnd},
		{"read both activity logs", s.readLogs},
	}
}

// signInAs signs somebody in with a one-time password, or with the password of the story where there is none.
func (s *story) signInAs(ctx context.Context, config, name, oneTime string) error {
	args := []string{
		"login", "--server", "https://" + serverAddress, "--ca", s.path("data/ca.pem"), "--user", name,
		"--password-file", s.path("new-password"),
	}
	if oneTime != "" {
		if err := os.WriteFile(s.path("one-time"), []byte(oneTime+"\n"), 0o600); err != nil {
			return err
		}
		args = append(args[:len(args)-1], s.path("one-time"), "--new-password-file", s.path("new-password"))
	}
	_, err := s.as(ctx, config, args...)
	return err
}

// run runs commands one after the other with one sign-in.
func (s *story) run(ctx context.Context, config string, commands ...[]string) error {
	for _, args := range commands {
		if _, err := s.as(ctx, config, args...); err != nil {
			return err
		}
	}
	return nil
}

// refusal runs a command that must be refused.
func (s *story) refusal(ctx context.Context, config string, args ...string) error {
	out, err := s.as(ctx, config, args...)
	switch {
	case err == nil:
		return fmt.Errorf("postern %s was allowed: %s", strings.Join(args, " "), out)
	case !strings.Contains(err.Error(), "exit status 3"):
		return err
	}
	return nil
}

func (s *story) makePublisher(ctx context.Context) (string, string, error) {
	out, err := s.postern(ctx, "tenant", "create", "vendor", "--admin", "vera")
	if err != nil {
		return "", "", err
	}
	found := regexp.MustCompile(`One-time password: +(\S+)`).FindStringSubmatch(out)
	if found == nil {
		return "", "", errors.New("there is no one-time password in: " + out)
	}
	if err := s.signInAs(ctx, veraConfig, "vera@vendor", found[1]); err != nil {
		return "", "", err
	}
	err = s.run(ctx, veraConfig,
		[]string{"user", "create", "vic", "--password-file", s.path("new-password")},
		[]string{"group", "create", "vendors"}, []string{"group", "add", "vendors", "vic"})
	if err == nil {
		err = s.signInAs(ctx, vicConfig, "vic@vendor", "")
	}
	return "two tenants: the customer, and the publisher with its group vendors, of which vic is one", "", err
}

func (s *story) offer(ctx context.Context) (string, string, error) {
	err := s.run(ctx, veraConfig,
		[]string{
			"app", "definition", "create", "shop", "--authorize", "vendors=Contributor", "--jit", "--max", "4h",
			"--public",
		})
	return "the publisher offers: postern app definition create shop --authorize vendors=Contributor --jit --max 4h " +
			"--public",
		"", err
}

func (s *story) deploy(ctx context.Context) (string, string, error) {
	if err := s.run(ctx, "config.json",
		[]string{"user", "create", "ann", "--password-file", s.path("new-password")}); err != nil {
		return "", "", err
	}
	if err := s.signInAs(ctx, annConfig, "ann", ""); err != nil {
		return "", "", err
	}
	err := s.run(ctx, "config.json",
		[]string{
			"app", "create", "shop", "--definition", "vendor/shop", "--approval", "manual", "--approver", "ann",
			"--max", "1h",
		})
	return "the customer deploys it, and ann is to approve: its managed resource group is mrg-shop", "", err
}

func (s *story) enrolManaged(ctx context.Context) (string, string, error) {
	token, err := s.postern(ctx, "machine", "token", machineName, "--resource-group", "mrg-shop")
	if err != nil {
		return "", "", err
	}
	if err := s.enrolWith(strings.TrimSpace(token)); err != nil {
		return "", "", err
	}
	return "machine enrolled into mrg-shop: it belongs to the application", "", s.inForce(ctx)
}

func (s *story) publisherRefused(ctx context.Context) (string, string, error) {
	if err := s.run(ctx, vicConfig, []string{"machine", "show", machineName}); err != nil {
		return "", "", err
	}
	err := s.refusal(ctx, vicConfig, "policy", "set", machineName, "--port", "22/tcp", "--max", "3h")
	return "vic sees the machine, and may set no policy on it", "", err
}

func (s *story) customerRefused(ctx context.Context) (string, string, error) {
	err := s.refusal(ctx, "config.json", "policy", "set", machineName, "--port", "22/tcp", "--max", "3h")
	return "nor may the customer's administrator: what the publisher runs is locked", "", err
}

func (s *story) activate(ctx context.Context) (string, string, error) {
	out, err := s.as(ctx, vicConfig, "app", "activate", "shop", "--for", activation.String(), "--reason",
		"upgrade to 4.2", "-o", "json")
	if err != nil {
		return "", "", err
	}
	found := regexp.MustCompile(`"id": "([^"]+)"`).FindStringSubmatch(out)
	if found == nil || !strings.Contains(out, `"pending"`) {
		return "", "", errors.New("the activation is not pending: " + out)
	}
	s.request.ID = found[1]
	return fmt.Sprintf("vic asks: postern app activate shop --for %s --reason \"upgrade to 4.2\"; it waits",
			activation),
		"", nil
}

func (s *story) publisherDecides(ctx context.Context) (string, string, error) {
	if _, err := s.as(ctx, veraConfig, "app", "approve", s.request.ID); err == nil {
		return "", "", errors.New("the publisher's administrator approved for the customer")
	}
	return "the publisher's administrator cannot approve it", "", s.refusal(ctx, vicConfig, "app", "approve",
		s.request.ID)
}

func (s *story) approve(ctx context.Context) (string, string, error) {
	if err := s.run(ctx, annConfig, []string{"app", "approve", s.request.ID, "--comment", "change 42"}); err != nil {
		return "", "", err
	}
	request, err := s.client.Request(ctx, s.request.ID, 0)
	if err != nil {
		return "", "", err
	}
	if len(request.Grants) != 1 || request.Grants[0].State != "active" {
		return "", "", fmt.Errorf("approved, the request is %s with %d grants", request.State, len(request.Grants))
	}
	s.deadline = request.Grants[0].End
	return "ann approves: vic is Contributor of mrg-shop, and of nothing else", "", nil
}

func (s *story) guardManaged(ctx context.Context) (string, string, error) {
	if err := s.run(ctx, vicConfig,
		[]string{"policy", "set", machineName, "--port", "22/tcp", "--max", "3h"}); err != nil {
		return "", "", err
	}
	if err := s.inForce(ctx); err != nil {
		return "", "", err
	}
	_, _, err := s.beRefused(ctx)
	return "vic sets a policy on the machine: port 22 is closed", "", err
}

func (s *story) openManaged(ctx context.Context) (string, string, error) {
	out, err := s.as(ctx, vicConfig, "request", machineName, "--port", "22", "--for", "1h", "--reason",
		"upgrade to 4.2", "--wait", "-o", "json")
	if err != nil {
		return "", "", err
	}
	found := regexp.MustCompile(`"id": "([^"]+)"`).FindStringSubmatch(out)
	if found == nil {
		return "", "", errors.New("there is no request in: " + out)
	}
	if s.request, err = s.client.Request(ctx, found[1], 0); err != nil {
		return "", "", err
	}
	if len(s.request.Grants) != 1 || s.request.Grants[0].End.After(s.deadline) {
		return "", "", errors.New("the opening outlasts the role that it rests on: " + out)
	}
	_, took, err := s.connect(ctx)
	return "vic asks for port 22 for an hour and gets it until the role ends; connected for real", took, err
}

func (s *story) seeBothEnd(ctx context.Context) (string, string, error) {
	_, took, err := s.seeClosed(ctx)
	if err != nil {
		return "", "", err
	}
	if err := s.refusal(ctx, vicConfig, "policy", "set", machineName, "--port", "22/tcp", "--max", "1h"); err != nil {
		return "", "", err
	}
	return "the role ended and the port with it, with nobody there; the last connection let in began before by", took,
		s.session.Close()
}

func (s *story) readLogs(ctx context.Context) (string, string, error) {
	ended := func() (bool, error) {
		grant, err := s.client.Grant(ctx, s.request.Grants[0].ID, 0)
		return err == nil && grant.ClosedAt != nil, err
	}
	if err := s.eventually(ctx, 20*time.Second, s.agent, ended); err != nil {
		return "", "", err
	}
	kinds := []string{"application.created", "request.approved", "grant.expired"}
	for who, config := range map[string]string{"customer": "config.json", "publisher": veraConfig} {
		out, err := s.as(ctx, config, "audit", "list", "-o", "json")
		if err != nil {
			return "", "", err
		}
		for _, kind := range kinds {
			if !strings.Contains(out, `"`+kind+`"`) {
				return "", "", fmt.Errorf("the %s's activity log has no %s", who, kind)
			}
		}
	}
	return "both activity logs tell of it: " + strings.Join(kinds, ", "), "", nil
}
