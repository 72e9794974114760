package store_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is the PostgreSQL of the tests: one real server for the package, on loopback, and a schema for each test.
var (
	server        postgres
	serverSchemas atomic.Int64
)

type postgres struct {
	port    int
	missing string // why there is none
	dir     string
	cmd     *exec.Cmd
}

func TestMain(m *testing.M) {
	if dsn := os.Getenv(stormEnv); dsn != "" {
		storm(dsn)
	}
	if os.Getenv(migrateEnv) != "" {
		os.Exit(m.Run())
	}
	if err := server.start(); err != nil {
		server.missing = err.Error()
	}
	code := m.Run()
	server.stop()
	os.Exit(code)
}

// postgresDSN gives an empty schema of its own, or skips the test.
func postgresDSN(tb testing.TB) string {
	tb.Helper()
	if server.missing != "" {
		message := "PostgreSQL is not there, so this is not tested on it: " + server.missing
		if os.Getenv("POSTERN_TESTS_REQUIRED") != "" {
			tb.Fatal(message)
		}
		tb.Skip(message)
	}
	schema := fmt.Sprintf("test_%d", serverSchemas.Add(1))
	conn, err := pgx.Connect(tb.Context(), server.dsn("public"))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	if _, err := conn.Exec(tb.Context(), "create schema "+schema); err != nil {
		tb.Fatal(err)
	}
	return server.dsn(schema)
}

func (p *postgres) dsn(schema string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&search_path=%s", p.port,
		url.QueryEscape(schema))
}

// start makes a cluster in a folder of its own and starts it. PostgreSQL refuses to run as root, so it then runs as the
// user postgres.
func (p *postgres) start() error {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return fmt.Errorf("no /usr/lib/postgresql/*/bin/initdb")
	}
	bin := filepath.Dir(found[len(found)-1])
	if p.dir, err = os.MkdirTemp("", "postern-postgres-"); err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(p.dir, uid, gid); err != nil {
			return err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E",
		"UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = attributes, p.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	p.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-k", p.dir, "-c",
		"listen_addresses=127.0.0.1",
		"-c", "max_connections=400", "-c", "shared_buffers=128MB")
	p.cmd.SysProcAttr, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = attributes, p.dir, log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		conn, err := pgx.Connect(context.Background(), p.dsn("public"))
		if err == nil {
			return conn.Close(context.Background())
		}
		time.Sleep(50 * time.Millisecond)
	}
	out, _ := os.ReadFile(log.Name())
	return fmt.Errorf("it does not start: %s", strings.TrimSpace(string(out)))
}

func (p *postgres) stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		_ = p.cmd.Wait()
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}
