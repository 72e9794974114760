package azure_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agent"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// newCloudBehindGateway starts a server with a gateway whose machine web-1 has an IPv4 address alone, where port 22
// answers.
func newCloudBehindGateway(tb testing.TB) *cloud {
	tb.Helper()
	network, err := nettest.BehindGateway(1)
	if err != nil {
		tb.Skipf("no network namespaces here: %v", err)
	}
	c := &cloud{t: tb, network: network}
	tb.Cleanup(func() { c.must(network.Close()) })
	ssh, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), 22))
	c.must(err)
	tb.Cleanup(func() { c.must(ssh.Close()) })
	c.start()
	token, err := c.admin.CreateEnrollmentToken(tb.Context(), api.NewEnrollmentToken{Name: "edge-1", Mode: "gateway"})
	c.must(err)
	state := tb.TempDir()
	c.enrollAgent(token.Token, state)
	c.machine, err = c.admin.AddMachine(tb.Context(),
		api.NewMachine{Name: "web-1", Gateway: "edge-1", Addresses: []string{network.MachineAddrs[0].String()}})
	c.must(err)
	c.subscription = strings.Split(c.machine.Resource, "/")[2]
	enforcer, err := nftables.New(nftables.Config{Log: slog.New(slog.DiscardHandler), NetNS: network.Gateway.FD()})
	c.must(err)
	c.background(func(ctx context.Context) error {
		return agent.Run(ctx,
			agent.Config{StateDir: state, Version: "test", Enforcer: enforcer, Log: slog.New(slog.DiscardHandler)})
	})
	c.principal()
	return c
}

// from gives the policy's body with another source, which may be a list.
func from(body map[string]any, source any) map[string]any {
	port := body["virtualMachines"]
	if properties, is := body["properties"].(map[string]any); is {
		port = properties["virtualMachines"]
	}
	rule := port.([]any)[0].(map[string]any)["ports"].([]any)[0].(map[string]any)
	delete(rule, "allowedSourceAddressPrefix")
	if _, one := source.(string); one {
		rule["allowedSourceAddressPrefix"] = source
	} else {
		rule["allowedSourceAddressPrefixes"] = source
	}
	return body
}

// initiated waits until the newest request of the policy has a status.
func (x *caller) initiated(status string) {
	x.cloud.t.Helper()
	x.cloud.eventually("the report", func() error {
		_, policy := x.call(http.MethodGet, x.cloud.policyPath()+v, nil)
		if s := at(x.cloud.t, policy, "properties", "requests", 0, "virtualMachines", 0, "ports", 0,
			"status"); s != status {
			return fmt.Errorf("the port is %v", s)
		}
		return nil
	})
}

// only gives the one grant that has not ended.
func (c *cloud) only() api.Grant {
	c.t.Helper()
	grants, err := api.All(c.admin.Grants(c.t.Context(),
		api.GrantQuery{States: []string{"scheduled", "opening", "active", "failed"}}))
	c.must(err)
	if len(grants) != 1 {
		c.t.Fatalf("there are %d grants", len(grants))
	}
	return grants[0]
}

// TestAnywhereWithoutIPv6 goes from "*" to a packet on hosts and behind gateways that have IPv4 alone: nothing is
// missing of what is in force.
func TestAnywhereWithoutIPv6(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *cloud{
		"gateway": newCloudBehindGateway,
		"host": func(tb testing.TB) *cloud {
			tb.Helper()
			c := newCloudWithKernel(tb)
			c.must(c.network.Machine.Do(func() error {
				return os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0)
			}))
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			x := c.deploy()
			x.guardBy(from(c.policyBody(), "*"))
			c.shut()
			x.initiate("*", 2*time.Minute)
			x.initiated("Initiated")
			c.must(c.knock())
			if g := c.only(); g.State != "active" || g.InPart || g.Reason != "" {
				t.Errorf("the grant is %+v", g)
			}
			if agents, err := api.All(c.admin.Agents(t.Context())); err != nil || agents[0].Problem != "" {
				t.Errorf("the agents are %+v, %v", agents, err)
			}
		})
	}
}

// TestSourcesOfBothFamiliesWithoutIPv6 holds that a grant of which a part cannot be is in force in part and says of
// which, and that nothing of a grant that failed is open.
func TestSourcesOfBothFamiliesWithoutIPv6(t *testing.T) {
	t.Parallel()
	c := newCloudBehindGateway(t)
	x := c.deploy()
	x.guardBy(from(c.policyBody(), "*"))
	c.shut()
	ask := func(sources ...string) {
		t.Helper()
		status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v,
			from(c.initiateBody("", 2*time.Minute), sources))
		if status != http.StatusAccepted {
			t.Fatalf("initiate gave %d %v", status, answer)
		}
	}
	ask("10.77.0.1", "fd77::1")
	x.initiated("Initiated")
	c.must(c.knock())
	g := c.only()
	if want := "not in force from fd77::1/128 to 22/tcp: the machine has no IPv6 address behind this gateway"; g.State != "active" || !g.InPart || g.Reason != want {
		t.Errorf("the grant is %s, in part %t, reason %q", g.State, g.InPart, g.Reason)
	}
	_, err := c.admin.Revoke(t.Context(), g.ID, "")
	c.must(err)
	c.shut()
	ask("fd77::1")
	x.initiated("Failed")
	if c.knock() == nil {
		t.Error("something of a failed grant is open")
	}
	if g := c.only(); g.State != "failed" || !strings.Contains(g.Reason, "no IPv6 address") {
		t.Errorf("the grant is %s, reason %q", g.State, g.Reason)
	}
}
