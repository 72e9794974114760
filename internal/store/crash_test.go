package store_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

// stormEnv, where set, makes the test binary a child that writes to the store it names until it is killed.
const stormEnv = "POSTERN_STORE_STORM"

// storm commits whole requests from many callers and says the id of each one that was acknowledged. It never returns.
func storm(dsn string) {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{DSN: dsn, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	f := &fixture{DB: db, agent: "agent-1", machine: "machine-1", user: "user-1"}
	f.count.Store(time.Now().UnixNano() / 1000) // ids of its own
	var mu sync.Mutex
	for range 16 {
		go func() {
			for {
				r, g, events := f.request(day())
				err := f.Update(ctx, func(tx engine.Tx) error {
					return firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0), tx.Append(ctx, events...),
						tx.BumpAgent(ctx, f.agent))
				})
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("acknowledged", r.ID, g.ID)
				}
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestCrash kills a process in the midst of a storm of changes, several times. What it acknowledged is there, nothing
// is half there, and the log is whole.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			acknowledged := map[string]string{}
			for round := range 4 {
				child := exec.Command(os.Args[0], "-test.run=^$")
				child.Env = append(os.Environ(), stormEnv+"="+f.dsn)
				out, err := child.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := child.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				for n := 0; n < 20+35*round && lines.Scan(); n++ { // killed at another point of a batch each time
					note(t, acknowledged, lines.Text())
				}
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				rest, _ := io.ReadAll(out) // what it had said before it was killed; the scanner may have read into it
				for lines.Scan() {
					note(t, acknowledged, lines.Text())
				}
				if whole := bytes.LastIndexByte(rest, '\n'); whole >= 0 {
					for line := range strings.SplitSeq(string(rest[:whole]), "\n") {
						if strings.HasPrefix(line, "acknowledged request-") && len(strings.Fields(line)) == 3 {
							note(t, acknowledged, line)
						}
					}
				}
				_ = child.Wait()

				again := &fixture{DB: open(t, f.dsn), dsn: f.dsn, agent: f.agent, machine: f.machine, user: f.user}
				again.checkWhole(t, acknowledged)
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if len(acknowledged) < 100 {
				t.Errorf("only %d were acknowledged", len(acknowledged))
			}
		})
	}
}

func note(t *testing.T, acknowledged map[string]string, line string) {
	t.Helper()
	var request, grant string
	if _, err := fmt.Sscanf(line, "acknowledged %s %s", &request, &grant); err != nil {
		t.Fatalf("the child says %q", line)
	}
	acknowledged[request] = grant
}

func (f *fixture) checkWhole(t *testing.T, acknowledged map[string]string) {
	t.Helper()
	size := f.checkLog(t)
	f.view(t, func(ctx context.Context, r engine.Reader) error {
		requests := pages(t, 1000, func(p engine.Page) (engine.Listed[access.Request], error) {
			return r.Requests(ctx, engine.RequestFilter{}, p)
		})
		grants := pages(t, 1000, func(p engine.Page) (engine.Listed[access.Grant], error) {
			return r.Grants(ctx, engine.GrantFilter{}, p)
		})
		a, err := r.Agent(ctx, f.agent)
		if err != nil {
			return err
		}
		if n := int64(len(requests)); size != 3*n || len(grants) != len(requests) || a.Revision != 7+n {
			t.Errorf("%d requests, %d grants, %d events, revision %d: something is half there", n, len(grants), size,
				a.Revision)
		}
		have := map[string]bool{}
		for _, q := range requests {
			have[string(q.ID)] = true
		}
		for _, g := range grants {
			have[string(g.ID)] = true
		}
		var lost []string
		for request, grant := range acknowledged {
			if !have[request] || !have[grant] {
				lost = append(lost, request)
			}
		}
		if slices.Sort(lost); len(lost) > 0 {
			t.Errorf("acknowledged, and lost: %v", lost)
		}
		return nil
	})
}
