package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/server"
)

// The simulated agents run in a process of their own, so that the server's memory is the server's alone: the test
// binary starts itself with this variable set.
const fleetVariable = "POSTERN_TEST_FLEET"

func TestMain(m *testing.M) {
	if dir := os.Getenv(idleVariable); dir != "" {
		if err := runIdle(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(fleetVariable); path != "" {
		if err := runFleet(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fleet is what the other process is told: the server, and a certificate for each agent.
type fleet struct {
	Server string
	CA     []byte
	Agents []fleetAgent
}

type fleetAgent struct {
	Certificate, Key []byte

	id access.AgentID
}

// runFleet connects every agent, says "connected", and then for each line on its input waits until every agent got
// another desired state, and says when the last one did, in microseconds since 1970.
func runFleet(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var f fleet
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	got := make(chan time.Time, len(f.Agents)*4)
	connecting := make(chan struct{}, 32)
	var failed sync.Map
	var waiting sync.WaitGroup
	for i, a := range f.Agents {
		waiting.Add(1)
		go func() {
			connecting <- struct{}{}
			stream, err := a.connect(f)
			if err == nil {
				_, err = stream.Next()
			}
			<-connecting
			waiting.Done()
			for err == nil {
				var e agentwire.Event
				var desired *agentwire.Desired
				if e, err = stream.Next(); err == nil {
					_, desired, err = e.Read()
				}
				if desired != nil {
					got <- time.Now()
				}
			}
			failed.Store(i, err)
		}()
	}
	waiting.Wait()
	var first error
	failed.Range(func(_, err any) bool {
		first, _ = err.(error)
		return false
	})
	if first != nil {
		return first
	}
	fmt.Println("connected")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		want, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		times := make([]time.Time, 0, want)
		for len(times) < want {
			select {
			case at := <-got:
				times = append(times, at)
			case <-time.After(time.Minute):
				return fmt.Errorf("only %d of %d agents got the change", len(times), want)
			}
		}
		slices.SortFunc(times, time.Time.Compare)
		fmt.Println(times[len(times)/2].UnixMicro(), times[len(times)-1].UnixMicro())
	}
	return nil
}

func (a fleetAgent) connect(f fleet) (*agentwire.Stream, error) {
	pair, err := tls.X509KeyPair(a.Certificate, a.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.CA)
	c, err := agentwire.NewClient(agentwire.Config{
		Server: f.Server,
		TLS:    &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13},
	})
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		stream, err := c.Follow(context.Background())
		if err == nil || try == 5 {
			return stream, err
		}
		time.Sleep(time.Duration(try+1) * 200 * time.Millisecond)
	}
}

// resident is the memory of this process that is in RAM, after a collection.
func resident(b *testing.B) int64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	pages, err := residentPages()
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func residentPages() (int64, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
}

// ownPages returns how many pages are resident that are no file's.
func ownPages() (int64, error) {
	resident, err := residentPages()
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	shared, err := strconv.ParseInt(strings.Fields(string(data))[2], 10, 64)
	return resident - shared, err
}

// BenchmarkAgents measures what many idle agents cost the server, and how long one change takes to reach all of them.
// POSTERN_BENCH_AGENTS says how many there are; 1,000 if it is not set.
func BenchmarkAgents(b *testing.B) {
	count := 1000
	if text := os.Getenv("POSTERN_BENCH_AGENTS"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	allowFiles(b, uint64(count)+1000)
	r := start(b, func(c *server.Config) { c.LogLevel = "error" })
	admin := r.admin()
	f := fleet{Server: r.url(), CA: r.ready.CA}
	began := time.Now()
	for i := range count {
		f.Agents = append(f.Agents, r.fleetAgent(admin, i))
	}
	b.Logf("enrolled %d agents in %s", count, time.Since(began).Round(time.Millisecond))
	path := filepath.Join(b.TempDir(), "fleet.json")
	data, err := json.Marshal(f)
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]access.AgentID, count)
	for i, a := range f.Agents {
		ids[i] = a.id
	}
	f.Agents = nil
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	before := resident(b)
	in, out := startFleet(b, path)
	began = time.Now()
	if line, err := out.ReadString('\n'); err != nil || line != "connected\n" {
		b.Fatalf("the agents did not connect: %q, %v", line, err)
	}
	connected := time.Since(began)
	busy := resident(b)
	time.Sleep(time.Second)
	idle := resident(b)
	b.Logf("connected in %s; server %d MiB before, %d MiB with agents", connected.Round(time.Millisecond), before>>20,
		idle>>20)

	// One transaction changes what every agent should hold.
	var median, last []time.Duration
	for b.Loop() {
		changed := r.changeAll(b, ids, in)
		line, err := out.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		var m, l int64
		if _, err := fmt.Sscan(line, &m, &l); err != nil {
			b.Fatal(err)
		}
		median = append(median, time.UnixMicro(m).Sub(changed))
		last = append(last, time.UnixMicro(l).Sub(changed))
	}
	b.ReportMetric(float64(idle-before)/float64(count)/1024, "KiB/agent")
	b.ReportMetric(float64(busy-before)/float64(count)/1024, "KiB/agent-just-connected")
	b.ReportMetric(float64(count)/connected.Seconds(), "connects/s")
	slices.Sort(median)
	slices.Sort(last)
	b.ReportMetric(float64(median[len(median)/2].Milliseconds()), "ms-to-half")
	b.ReportMetric(float64(last[len(last)/2].Milliseconds()), "ms-to-all")
}

// fleetAgent enrols a host. Each comes from an address of its own, as hosts do: one address may not enrol so many at
// once.
func (r *running) fleetAgent(admin *api.Client, i int) fleetAgent {
	r.t.Helper()
	name := fmt.Sprintf("machine-%05d", i)
	token, err := admin.CreateEnrollmentToken(r.t.Context(), api.NewEnrollmentToken{Name: name})
	if err != nil {
		r.t.Fatal(err)
	}
	request, key := csr(r.t)
	address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	enrolled, certificate, err := r.inside.Identity.Enroll(r.t.Context(), address,
		machines.EnrollInput{Token: token.Token, Name: name, OS: "linux", Version: "test"}, []byte(request))
	if err != nil {
		r.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	return fleetAgent{
		Certificate: certificate.PEM,
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), id: enrolled.Agent.ID,
	}
}

// changeAll tells the fleet to watch out, gives every agent a new revision in one transaction, and says when that was
// committed.
func (r *running) changeAll(b *testing.B, ids []access.AgentID, in io.Writer) time.Time {
	b.Helper()
	if _, err := fmt.Fprintln(in, len(ids)); err != nil {
		b.Fatal(err)
	}
	err := r.inside.Store.Update(b.Context(), func(tx engine.Tx) error {
		for _, id := range ids {
			if err := tx.BumpAgent(b.Context(), id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return time.Now()
}

func startFleet(b *testing.B, path string) (io.Writer, *bufio.Reader) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), self)
	c.Env = append(os.Environ(), fleetVariable+"="+path, "GOGC=200")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return in, bufio.NewReader(out)
}

// allowFiles raises the limit of open files of this process and its children.
func allowFiles(b *testing.B, want uint64) {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if limit.Cur >= want {
		return
	}
	limit.Cur, limit.Max = max(limit.Cur, want), max(limit.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Skipf("%d open files are not allowed: %v", want, err)
	}
}

// BenchmarkRequests measures whole requests over the wire, from several callers at once.
func BenchmarkRequests(b *testing.B) {
	_, admin, _ := guarded(b)
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := admin.Submit(b.Context(), ask(), ""); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// TestIdleMemory holds what a server in a process of its own has in memory of its own while nothing happens. Pages of
// the program's file are not counted: they are the kernel's to drop, and depend on what else the program holds.
func TestIdleMemory(t *testing.T) {
	t.Parallel()
	if raced {
		t.Skip("the race detector takes memory of its own")
	}
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), idleVariable+"="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}()
	var kib int64
	if _, err := fmt.Fscan(out, &kib); err != nil {
		t.Fatal(err)
	}
	const most = 32 << 10
	t.Logf("of its own: %d KiB", kib)
	if kib == 0 || kib > most {
		t.Errorf("an idle server has %d KiB of its own, want at most %d", kib, most)
	}
}

// idleVariable makes the test binary a server that has that data folder, and prints what it has of its own once it has
// been idle for a moment, in KiB.
const idleVariable = "POSTERN_TEST_IDLE"

func runIdle(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := server.Default()
	c.Data, c.Listen, c.MetricsListen, c.Out, c.Log = dir, "127.0.0.1:0", "127.0.0.1:0", io.Discard, io.Discard
	c.Ready = func(server.Ready) {
		time.AfterFunc(2*time.Second, func() {
			pages, err := ownPages()
			if err != nil {
				pages = 0
			}
			fmt.Println(pages * int64(os.Getpagesize()) / 1024)
		})
	}
	return server.Run(ctx, c)
}
