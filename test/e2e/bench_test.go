//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	library "github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

// elements tells when the kernel of a namespace says that an element was added to, or taken from, a table's sets.
type elements struct{ added, deleted chan element }

// element is what the kernel said of one, and when.
type element struct {
	at   time.Time
	data []byte
}

func watchElements(b *testing.B, in *nettest.Namespace, table string) elements {
	b.Helper()
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: in.FD()})
	if err != nil {
		b.Fatal(err)
	}
	if err := socket.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = socket.Close() })
	e := elements{added: make(chan element, 1000), deleted: make(chan element, 1000)}
	go func() {
		for {
			messages, err := socket.Receive()
			if err != nil {
				return
			}
			now := time.Now()
			for _, m := range messages {
				if !bytes.Contains(m.Data, append([]byte(table), 0)) {
					continue
				}
				switch uint16(m.Header.Type) & 0xff {
				case unix.NFT_MSG_NEWSETELEM:
					e.added <- element{now, m.Data}
				case unix.NFT_MSG_DELSETELEM:
					e.deleted <- element{now, m.Data}
				}
			}
		}
	}()
	return e
}

// next waits until the kernel tells of an element of source. What it tells of others, such as of one that the agent
// writes again, is passed over.
func (elements) next(b *testing.B, from chan element, source netip.Addr) time.Time {
	b.Helper()
	for late := time.After(patience); ; {
		select {
		case e := <-from:
			if bytes.Contains(e.data, source.AsSlice()) {
				return e.at
			}
		case <-late:
			b.Fatal("the kernel did not say so in time")
		}
	}
}

// BenchmarkRequestToOpen is the time from the call of Submit until the kernel says that it has the opening: through
// TLS, a durable transaction of SQLite, the agent's stream and a netlink transaction, each in processes of its own.
// Beside it stand what a bare netlink transaction takes, and programs that people run by hand.
func BenchmarkRequestToOpen(b *testing.B) {
	b.Run("postern", func(b *testing.B) {
		w := pair(b)
		w.guard()
		seen := watchElements(b, w.guarded, "postern")
		source := netip.MustParseAddr("10.66.0.1")
		var took, answered []time.Duration
		for b.Loop() {
			source = source.Next()
			began := time.Now()
			r, err := w.admin.Submit(b.Context(), api.NewRequest{
				ForSeconds: 600, Justification: "a measurement",
				Items: []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{source.String()}}},
			}, "")
			if err != nil {
				b.Fatal(err)
			}
			answered = append(answered, time.Since(began))
			took = append(took, seen.next(b, seen.added, source).Sub(began))
			b.StopTimer()
			w.active(r.Grants[0].ID)
			if _, err := w.admin.Revoke(b.Context(), r.Grants[0].ID, ""); err != nil {
				b.Fatal(err)
			}
			seen.next(b, seen.deleted, source)
			b.StartTimer()
		}
		quantiles(b, "open", took)
		quantiles(b, "answer", answered)
	})
	b.Run("netlink", func(b *testing.B) {
		space := space(b)
		conn, err := library.New(library.WithNetNSFd(space.FD()), library.AsLasting())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.CloseLasting() })
		table := conn.AddTable(&library.Table{Name: "bare", Family: library.TableFamilyINet})
		set := &library.Set{Table: table, Name: "open", HasTimeout: true, KeyType: library.TypeIPAddr}
		if err := conn.AddSet(set, nil); err != nil {
			b.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			b.Fatal(err)
		}
		measure(b, func(source netip.Addr) error {
			if err := conn.SetAddElements(set,
				[]library.SetElement{{Key: source.AsSlice(), Timeout: time.Minute}}); err != nil {
				return err
			}
			return conn.Flush()
		})
	})
	b.Run("nft", func(b *testing.B) {
		space, nft := space(b), installed(b, "nft")
		for _, line := range []string{
			"add table inet bare",
			"add set inet bare open { type ipv4_addr; flags timeout; }",
		} {
			if err := complete(space, exec.Command(nft, line)); err != nil {
				b.Fatal(err)
			}
		}
		measure(b, func(source netip.Addr) error {
			return complete(space,
				exec.Command(nft, "add", "element", "inet", "bare", "open", fmt.Sprintf("{ %s timeout 1m }", source)))
		})
	})
	b.Run("firewalld", func(b *testing.B) {
		space, cmd := space(b), installed(b, "firewall-cmd")
		bus := firewalld(b, space)
		measure(b, func(source netip.Addr) error {
			c := exec.Command(cmd, "--timeout=60",
				fmt.Sprintf("--add-rich-rule=rule family=ipv4 source address=%s port port=22 protocol=tcp accept",
					source))
			c.Env = append(os.Environ(), bus)
			return complete(space, c)
		})
	})
}

func space(b *testing.B) *nettest.Namespace {
	b.Helper()
	n, err := nettest.New()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = n.Close() })
	return n
}

func installed(b *testing.B, name string) string {
	b.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		b.Skipf("there is no %s to compare with", name)
	}
	return path
}

func complete(in *nettest.Namespace, cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := in.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, &out)
	}
	return nil
}

// measure opens for one source after the other.
func measure(b *testing.B, open func(netip.Addr) error) {
	b.Helper()
	source := netip.MustParseAddr("10.66.0.1")
	var took []time.Duration
	for b.Loop() {
		source = source.Next()
		began := time.Now()
		if err := open(source); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	quantiles(b, "open", took)
}

// firewalld runs one, with a bus of its own, and gives the variable that names the bus.
func firewalld(b *testing.B, in *nettest.Namespace) string {
	b.Helper()
	dir := b.TempDir()
	address := "unix:path=" + filepath.Join(dir, "bus")
	config := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>` + address + `</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	path := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	variable := "DBUS_SYSTEM_BUS_ADDRESS=" + address
	for _, args := range [][]string{
		{installed(b, "dbus-daemon"), "--nofork", "--config-file=" + path},
		{
			installed(b, "firewalld"), "--nofork", "--nopid", "--system-config", dir, "--log-file",
			filepath.Join(dir, "log"),
		},
	} {
		c := exec.Command(args[0], args[1:]...)
		c.Env = append(os.Environ(), variable)
		if err := in.Start(c); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		time.Sleep(300 * time.Millisecond)
	}
	state := exec.Command("firewall-cmd", "--state")
	for end := time.Now().Add(patience); ; time.Sleep(300 * time.Millisecond) {
		c := exec.Command(state.Path, "--state")
		c.Env = append(os.Environ(), variable)
		err := complete(in, c)
		if err == nil {
			return variable
		}
		if time.Now().After(end) {
			b.Skipf("firewalld does not run here: %v", err)
		}
	}
}

// BenchmarkCloseError is when the kernel let the last packet of an opening pass, before its end, with agent and server
// killed. Each operation is 20 openings that end together; every one is asked each 2 ms.
func BenchmarkCloseError(b *testing.B) {
	const openings, lasting = 20, 4
	w := pair(b)
	first := uint16(1000)
	ports := fmt.Sprintf("%d-%d", first, first+openings-1)
	w.enrol(w.guarded, "web-1", "host", "state")
	w.startAgent()
	w.setPolicy("web-1", api.MachinePolicy{Ports: []api.PortRule{{Ports: ports, Protocol: "udp", MaxSeconds: 3600}}})
	me, host := w.net.ClientAddrs[0], w.net.MachineAddrs[0]
	var conns []net.Conn
	for i := range uint16(openings) {
		to := netip.AddrPortFrom(host, first+i)
		echo, err := w.net.Machine.EchoUDP(to)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = echo.Close() })
		c, err := w.net.Client.Dial(b.Context(), "udp", netip.AddrPortFrom(me, 0), to)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		conns = append(conns, c)
	}
	var early []time.Duration
	for b.Loop() {
		in := api.NewRequest{ForSeconds: lasting, Justification: "a measurement"}
		for i := range uint16(openings) {
			in.Items = append(in.Items,
				api.NewItem{
					Machine: "web-1", Ports: strconv.Itoa(int(first + i)), Protocol: "udp",
					Sources: []string{me.String()},
				})
		}
		r, err := w.admin.Submit(b.Context(), in, "")
		if err != nil {
			b.Fatal(err)
		}
		for _, g := range r.Grants {
			w.active(g.ID)
		}
		w.agent.kill()
		w.server.kill()
		end := r.Grants[0].End
		var wait sync.WaitGroup
		last := make([]time.Time, openings)
		for i, c := range conns {
			wait.Go(func() { last[i] = lastAnswered(c, end.Add(time.Second)) })
		}
		wait.Wait()
		for _, at := range last {
			if at.After(end) {
				b.Errorf("a packet passed %s after the end", at.Sub(end))
			}
			if at.IsZero() {
				b.Error("no packet passed at all")
			}
			early = append(early, end.Sub(at))
		}
		w.startServer()
		w.startAgent()
		w.inForce("web-1")
	}
	slices.Sort(early)
	b.ReportMetric(milliseconds(early[0]), "least-ms-before-end")
	quantiles(b, "before-end", early)
}

// lastAnswered asks each 2 ms until stop, and gives when the last question was sent that was answered.
func lastAnswered(c net.Conn, stop time.Time) time.Time {
	var last time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer := make([]byte, 8)
		for {
			if _, err := c.Read(answer); err != nil {
				if time.Now().After(stop) {
					return
				}
				continue // refused once does not mean refused again
			}
			if sent := time.UnixMicro(int64(binary.BigEndian.Uint64(answer))); sent.After(last) {
				last = sent
			}
		}
	}()
	_ = c.SetReadDeadline(stop.Add(200 * time.Millisecond))
	question := make([]byte, 8)
	for time.Now().Before(stop) {
		binary.BigEndian.PutUint64(question, uint64(time.Now().UnixMicro()))
		_, _ = c.Write(question) // what the machine refuses comes back as an error
		time.Sleep(2 * time.Millisecond)
	}
	<-done
	return last
}

// BenchmarkIdle says what a server and an agent have resident when nothing happens.
func BenchmarkIdle(b *testing.B) {
	w := pair(b)
	w.guard()
	w.ask(w.admin, w.net.ClientAddrs[0].String(), time.Hour)
	for b.Loop() {
		time.Sleep(5 * time.Second)
	}
	b.ReportMetric(residentMiB(b, w.server), "server-MiB")
	b.ReportMetric(residentMiB(b, w.agent), "agent-MiB")
}

func residentMiB(b *testing.B, p *process) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(size)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("the kernel does not say what is resident")
	return 0
}

func quantiles(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), what+"-p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), what+"-p99-ms")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
