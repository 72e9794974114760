//go:build linux

package nftables_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// published is a machine that publishes ports of a container of its own: what is sent to the machine at those ports is
// answered by the container. inside is the same lab as seen by who serves in the container.
type published struct {
	*lab

	inside *lab
	conns  <-chan net.Conn // to the container's silent port
}

// publisher makes the network between a machine and a container, and the rules that publish ports of the container.
type publisher struct {
	name  string
	needs []string // programs
	six   bool     // it publishes over IPv6 too
	up    func(t *testing.T, machine, container *nettest.Namespace)
}

// publishedPorts are those of the machine, and the same of the container.
func publishedPorts() map[uint16][]string {
	return map[uint16][]string{guardedPort: {"tcp", "udp"}, silentPort: {"tcp"}, freePort: {"tcp", "udp"}}
}

func publish(t *testing.T, p publisher) published {
	t.Helper()
	for _, program := range p.needs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("POSTERN_TESTS_REQUIRED") != "" {
				t.Fatal(err)
			}
			t.Skipf("%v", err)
		}
	}
	l := newLab(t, nftables.Config{}, nettest.Pair)
	container, err := nettest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = container.Close() })
	p.up(t, l.net.Machine, container)
	network, inside := *l.net, *l
	network.Machine, inside.net = container, &network
	for port := range publishedPorts() {
		if port == silentPort {
			continue
		}
		echo, err := container.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = echo.Close() })
		for _, addr := range []string{containerFour, containerSix} {
			echo, err := container.EchoUDP(netip.AddrPortFrom(netip.MustParseAddr(addr), port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = echo.Close() })
		}
	}
	return published{l, &inside, inside.accepted(silentPort)}
}

const (
	containerFour, bridgeFour = "172.17.0.2", "172.17.0.1"
	containerSix, bridgeSix   = "fd17::2", "fd17::1"
)

// wire lays a cable between machine and container, where no runtime does.
func wire(t *testing.T, machine, container *nettest.Namespace) {
	t.Helper()
	both := func(four, six string) []netip.Prefix {
		return []netip.Prefix{netip.MustParsePrefix(four + "/16"), netip.MustParsePrefix(six + "/64")}
	}
	err := nettest.Connect(nettest.End{In: machine, Interface: "docker0", Addresses: both(bridgeFour, bridgeSix)},
		nettest.End{In: container, Interface: "eth0", Addresses: both(containerFour, containerSix)})
	if err == nil {
		err = machine.Forward()
	}
	if err == nil {
		err = container.Route(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr(bridgeFour))
	}
	if err == nil {
		err = container.Route(netip.MustParsePrefix("::/0"), netip.MustParseAddr(bridgeSix))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program in a namespace.
func run(t *testing.T, in *nettest.Namespace, input string, environment []string, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(
		input), &out, &out, append(os.Environ(), environment...)
	if err := in.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", program, err, out.String(), input)
	}
}

// written loads rules that were written by hand in the form of a program that does not run here, with a text for each
// published port.
func written(program string, head, each, tail string) func(*testing.T, *nettest.Namespace, *nettest.Namespace) {
	return func(t *testing.T, machine, container *nettest.Namespace) {
		t.Helper()
		wire(t, machine, container)
		var b strings.Builder
		b.WriteString(head)
		for port, protocols := range publishedPorts() {
			for _, protocol := range protocols {
				b.WriteString(strings.NewReplacer("@PORT", fmt.Sprint(port), "@PROTOCOL", protocol).Replace(each))
			}
		}
		b.WriteString(tail)
		if program == "nft" {
			run(t, machine, b.String(), nil, "nft", "-f", "-")
			return
		}
		run(t, machine, b.String(), nil, program, "--noflush")
	}
}

func publishers() []publisher {
	return []publisher{
		// In the form of those that dockerd makes for "docker run -p" with iptables.
		{"docker", []string{"iptables-nft-restore"}, false, written("iptables-nft-restore", `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
`, `-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p @PROTOCOL -m @PROTOCOL --dport @PORT -j MASQUERADE
-A DOCKER ! -i docker0 -p @PROTOCOL -m @PROTOCOL --dport @PORT -j DNAT --to-destination 172.17.0.2:@PORT
`, "COMMIT\n")},
		{"docker over ipv6", []string{"ip6tables-nft-restore"}, true, written("ip6tables-nft-restore", `*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s fd17::/64 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
`, "-A DOCKER ! -i docker0 -p @PROTOCOL -m @PROTOCOL --dport @PORT -j DNAT --to-destination [fd17::2]:@PORT\n",
			"COMMIT\n")},
		// In the form of those that dockerd makes with its nftables backend.
		{"docker with nftables", []string{"nft"}, true, written("nft", `table ip docker-bridges {
	chain nat-prerouting-and-output { }
	chain nat-prerouting { type nat hook prerouting priority dstnat; fib daddr type local counter jump nat-prerouting-and-output; }
	chain nat-output { type nat hook output priority -100; ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade; }
}
table ip6 docker-bridges {
	chain nat-prerouting-and-output { }
	chain nat-prerouting { type nat hook prerouting priority dstnat; fib daddr type local counter jump nat-prerouting-and-output; }
	chain nat-postrouting { type nat hook postrouting priority srcnat; oifname != "docker0" ip6 saddr fd17::/64 counter masquerade; }
}
`,
			`add rule ip docker-bridges nat-prerouting-and-output @PROTOCOL dport @PORT counter dnat to 172.17.0.2:@PORT comment "DNAT"
add rule ip6 docker-bridges nat-prerouting-and-output @PROTOCOL dport @PORT counter dnat to [fd17::2]:@PORT comment "DNAT"
`, "")},
		// In the form of those that kube-proxy makes for a node port, which it masquerades; in two jumps less.
		{"kube-proxy", []string{"iptables-nft-restore"}, false, written("iptables-nft-restore", `*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
`, `-A KUBE-NODEPORTS -p @PROTOCOL -m @PROTOCOL --dport @PORT -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p @PROTOCOL -m @PROTOCOL --dport @PORT -j DNAT --to-destination 172.17.0.2:@PORT
`, "COMMIT\n")},
		{"podman's netavark", []string{"iptables", "/usr/lib/podman/netavark"}, true, netavark},
		{"cni portmap", []string{"iptables", "/usr/lib/cni/portmap"}, true, portmap},
	}
}

// path is how other programs open the namespace.
func path(n *nettest.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD()) }

// netavark has podman's own program make network and rules.
func netavark(t *testing.T, machine, container *nettest.Namespace) {
	t.Helper()
	type object = map[string]any
	var ports []object
	for port, protocols := range publishedPorts() {
		for _, protocol := range protocols {
			ports = append(ports,
				object{"container_port": port, "host_port": port, "host_ip": "", "protocol": protocol, "range": 1})
		}
	}
	id := strings.Repeat("2f", 32)
	config, err := json.Marshal(object{
		"container_id": id, "container_name": "web", "port_mappings": ports,
		"networks": object{"podman": object{
			"static_ips":     []string{containerFour, containerSix},
			"interface_name": "eth0",
		}},
		"network_info": object{"podman": object{
			"name": "podman", "id": id, "driver": "bridge", "network_interface": "podman0", "ipv6_enabled": true,
			"internal": false, "dns_enabled": false,
			"subnets": []object{
				{"subnet": "172.17.0.0/16", "gateway": bridgeFour},
				{"subnet": "fd17::/64", "gateway": bridgeSix},
			},
			"ipam_options": object{"driver": "host-local"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, machine, string(config), []string{"NETAVARK_FW=iptables"}, "/usr/lib/podman/netavark", "--config",
		t.TempDir(), "setup", path(container))
	usable(t, container)
}

// portmap has the plug-ins of the Container Network Interface make network and rules, as containerd and others do.
func portmap(t *testing.T, machine, container *nettest.Namespace) {
	t.Helper()
	type object = map[string]any
	environment := []string{
		"CNI_COMMAND=ADD", "CNI_CONTAINERID=web", "CNI_NETNS=" + path(container), "CNI_IFNAME=eth0",
		"CNI_PATH=/usr/lib/cni",
	}
	plugin := func(name string, config object) []byte {
		config["cniVersion"], config["name"], config["type"] = "1.0.0", "pods", name
		in, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var out, wrong bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "/usr/lib/cni/"+name)
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(
			in), &out, &wrong, append(os.Environ(), environment...)
		if err := machine.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: %v\n%s%s", name, err, out.String(), wrong.String())
		}
		return out.Bytes()
	}
	var ports []object
	for port, protocols := range publishedPorts() {
		for _, protocol := range protocols {
			ports = append(ports, object{"containerPort": port, "hostPort": port, "protocol": protocol})
		}
	}
	bridged := plugin("bridge", object{
		"bridge": "cni0", "isGateway": true, "ipMasq": true,
		"ipam": object{
			"type": "static",
			"addresses": []object{
				{"address": containerFour + "/16", "gateway": bridgeFour},
				{"address": containerSix + "/64", "gateway": bridgeSix},
			},
			"routes": []object{{"dst": "0.0.0.0/0"}, {"dst": "::/0"}},
		},
	})
	plugin("portmap",
		object{
			"snat": true, "capabilities": object{"portMappings": true},
			"runtimeConfig": object{"portMappings": ports}, "prevResult": json.RawMessage(bridged),
		})
	usable(t, container)
}

// usable waits until the container's addresses may be used: a runtime has the kernel look for others with the same.
func usable(t *testing.T, in *nettest.Namespace) {
	t.Helper()
	limit := time.Now().Add(longWait)
	for time.Now().Before(limit) {
		err := in.Do(func() error {
			c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp",
				netip.AddrPortFrom(netip.MustParseAddr(containerSix), 0).String())
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		if err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond) // the kernel's own clock
	}
	t.Fatal("the container's address does not come up")
}

// ways are what the machine is reached by: an address of a client, another, and the machine's own.
func (p published) ways(six bool) map[string][3]netip.Addr {
	ways := map[string][3]netip.Addr{}
	if !six || p.both() {
		ways["ipv4"] = [3]netip.Addr{p.net.ClientAddrs[0], p.net.ClientAddrs[2], p.net.MachineAddrs[0]}
	}
	if six {
		ways["ipv6"] = [3]netip.Addr{p.net.ClientAddrs[1], p.net.ClientAddrs[3], p.net.MachineAddrs[1]}
	}
	return ways
}

func (p published) both() bool { return !strings.Contains(p.t.Name(), "over_ipv6") }

// few are publishers that translate in all ways that there are: by each program, over both families, with masquerading.
func few() []publisher {
	all := publishers()
	return []publisher{all[1], all[2], all[3]}
}

func eachPublisher(t *testing.T, list []publisher, test func(t *testing.T, p published, from, other, to netip.Addr)) {
	t.Helper()
	for _, how := range list {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, how)
			for name, way := range p.ways(how.six) {
				t.Run(name, func(t *testing.T) {
					of := published{p.in(t), p.inside.in(t), p.conns}
					of.apply(access.DesiredState{Mode: access.ModeHost, Machines: state("").Machines})
					of.reachesTheContainer(way[0], way[2])
					test(t, of, way[0], way[1], way[2])
				})
			}
		})
	}
}

// in is the lab for a part of a test.
func (l *lab) in(t *testing.T) *lab {
	t.Helper()
	of := *l
	of.t = t
	return &of
}

// reachesTheContainer proves that the test's rules do what they are there for.
func (p published) reachesTheContainer(from, to netip.Addr) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), longWait)
	defer cancel()
	c, err := p.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, silentPort))
	if err != nil {
		p.t.Fatalf("the container is not reached: %v", err)
	}
	_ = c.Close()
	select {
	case <-p.conns:
	case <-ctx.Done():
		p.t.Fatal("somebody else than the container answers")
	}
}

func TestPublishedPortsAreGuarded(t *testing.T) {
	t.Parallel()
	eachPublisher(t, publishers(), func(t *testing.T, p published, from, other, to netip.Addr) {
		t.Helper()
		for _, network := range []string{"tcp", "udp"} {
			p.apply(state(access.SessionsCut))
			p.refuse(network, from, to, guardedPort)
			p.awaitDenied(access.Denied{
				Machine: web, Source: from, Protocol: access.Protocol(network),
				Port: guardedPort, Count: 1,
			},
				p.told())
			p.pass(network, from, to, freePort)
			p.apply(state(access.SessionsCut,
				open(netip.PrefixFrom(from, from.BitLen()).String(), access.Protocol(network), p.now().Add(time.Minute),
					"g")))
			p.pass(network, from, to, guardedPort)
			p.refuse(network, other, to, guardedPort)
			p.pass(network, other, to, freePort)
			if held := p.held(nil); len(held) != 1 || held[0].Packets == 0 {
				t.Errorf("over %s the opening counted %+v", network, held)
			}
		}
	})
}

// told is what may be heard again of tries before.
func (p published) told() []access.Denied {
	var all []access.Denied
	for _, from := range p.net.ClientAddrs {
		for _, protocol := range []access.Protocol{access.TCP, access.UDP} {
			all = append(all,
				access.Denied{Machine: web, Source: from, Protocol: protocol, Port: guardedPort, Count: 1})
		}
	}
	return all
}

func TestPublishedSessionsAreCutAtBothEnds(t *testing.T) {
	t.Parallel()
	eachPublisher(t, few(), func(t *testing.T, p published, from, _, to netip.Addr) {
		t.Helper()
		until := p.now().Add(2 * time.Second)
		for _, how := range []string{"expired", "revoked", "guarded while it runs"} {
			switch how {
			case "revoked":
				until = p.now().Add(time.Hour)
				fallthrough
			case "expired":
				p.apply(guardSilent(state(access.SessionsCut,
					open(netip.PrefixFrom(from, from.BitLen()).String(), access.TCP, until)),
					access.SessionsCut))
			default:
				p.apply(access.DesiredState{Mode: access.ModeHost})
			}
			ctx, cancel := context.WithTimeout(t.Context(), longWait)
			client, err := p.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0),
				netip.AddrPortFrom(to, silentPort))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			server := <-p.conns
			if how == "expired" {
				time.Sleep(until.Sub(p.now()) + 50*time.Millisecond)
			} else {
				p.apply(guardSilent(state(access.SessionsCut), access.SessionsCut))
			}
			if how == "expired" {
				waitReset(t, how+": the server", server, true)
			}
			waitReset(t, how+": the client", client, true)
			waitReset(t, how+": the server", server, true)
			p.refuse("tcp", from, to, silentPort)
			_ = client.Close()
		}
	})
}

func TestPublishedSessionsAreKeptAndNewOnesRefused(t *testing.T) {
	t.Parallel()
	eachPublisher(t, few(), func(t *testing.T, p published, from, _, to netip.Addr) {
		t.Helper()
		at := netip.AddrPortFrom(from, 45454)
		opened := open(netip.PrefixFrom(from, from.BitLen()).String(), access.TCP, p.now().Add(time.Hour))
		p.apply(guardSilent(state(access.SessionsKeep, opened), access.SessionsKeep))
		dial := func(wait time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			return p.net.Client.Dial(ctx, "tcp", at, netip.AddrPortFrom(to, silentPort))
		}
		client, err := dial(longWait)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		server := (<-p.conns).(*net.TCPConn)
		p.apply(guardSilent(state(access.SessionsKeep), access.SessionsKeep))
		for range 3 {
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				if _, err := io.WriteString(way[0], "still"); err != nil {
					t.Fatal(err)
				}
				if err := way[1].SetReadDeadline(time.Now().Add(longWait)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(way[1], make([]byte, 5)); err != nil {
					t.Fatalf("the session was cut: %v", err)
				}
			}
		}
		p.refuse("tcp", from, to, silentPort)

		// After the server's reset the kernel takes a new SYN with the same ports for a part of the session.
		if err := server.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = server.Close()
		waitReset(t, "the client", client, false)
		_ = client.Close()
		for range 3 {
			if again, err := dial(shortWait); err == nil {
				_ = again.Close()
				t.Fatal("a new connection got through with an old port number")
			}
		}
	})
}

// TestAPublishedSessionIsNotBegunAgainByTheServer forgets the connection, so that the server's next packet begins one
// of its own: from the same port, by masquerading under the machine's address.
func TestAPublishedSessionIsNotBegunAgainByTheServer(t *testing.T) {
	t.Parallel()
	eachPublisher(t, few(), func(t *testing.T, p published, from, _, to netip.Addr) {
		t.Helper()
		for _, sessions := range []access.SessionMode{access.SessionsKeep, access.SessionsCut} {
			p.apply(guardSilent(state(sessions,
				open(netip.PrefixFrom(from, from.BitLen()).String(), access.TCP, p.now().Add(time.Hour))),
				sessions))
			ctx, cancel := context.WithTimeout(t.Context(), longWait)
			client, err := p.net.Client.Dial(ctx, "tcp", netip.AddrPortFrom(from, 0),
				netip.AddrPortFrom(to, silentPort))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			server := <-p.conns
			p.apply(guardSilent(state(sessions), sessions))
			if err := p.net.Machine.ForgetConnections(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(server, "are you there?"); err != nil {
				t.Fatal(err)
			}
			// The server's word may still arrive; the client's never does.
			if _, err := io.WriteString(client, "yes"); err == nil {
				if err := server.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 64)
				if n, err := server.Read(b); err == nil {
					t.Errorf("%s: the client reached the server again: %q", sessions, b[:n])
				}
			}
			_, _ = client.Close(), server.Close()
		}
	})
}

// TestThePathOfOthersStaysOpen proves that what is not sent to the machine passes: through it, from it, and out of
// its containers.
func TestThePathOfOthersStaysOpen(t *testing.T) {
	t.Parallel()
	p := publish(t, publishers()[2])
	p.apply(state(access.SessionsCut))
	four, six := netip.MustParseAddr(containerFour), netip.MustParseAddr(containerSix)
	for _, to := range []netip.Addr{four, six} {
		via := p.net.MachineAddrs[0]
		if to.Is6() {
			via = p.net.MachineAddrs[1]
		}
		if err := p.net.Client.Route(netip.PrefixFrom(to, to.BitLen()), via); err != nil {
			t.Fatal(err)
		}
	}
	for _, network := range []string{"tcp", "udp"} {
		for i, to := range []netip.Addr{four, six} {
			p.pass(network, p.net.ClientAddrs[i], to, guardedPort) // the container's own address is not the machine's
			from := []netip.Addr{netip.MustParseAddr(bridgeFour), netip.MustParseAddr(bridgeSix)}[i]
			if err := p.net.Machine.Ask(network, from, netip.AddrPortFrom(to, guardedPort), longWait); err != nil {
				t.Errorf("the machine does not reach its container over %s: %v", network, err)
			}
		}
		// A local process is sent to the container too, and is as local as one at the loopback interface.
		own := p.net.MachineAddrs[0]
		if err := p.net.Machine.Ask(network, own, netip.AddrPortFrom(own, guardedPort), longWait); err != nil {
			t.Errorf("a process of the machine does not reach the published port over %s: %v", network, err)
		}
	}
	for i, from := range []netip.Addr{four, six} {
		outside := netip.AddrPortFrom(p.net.ClientAddrs[i], guardedPort)
		echo, err := p.net.Client.EchoTCP(outside)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.inside.net.Machine.Ask("tcp", from, outside, longWait); err != nil {
			t.Errorf("the container does not reach port %d of others: %v", guardedPort, err)
		}
		_ = echo.Close()
	}
}
