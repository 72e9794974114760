package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// recorder keeps the statements that a reader would run.
type recorder struct {
	texts []string
	args  [][]any
}

var errRecorded = errors.New("recorded")

func (r *recorder) query(_ context.Context, text string, args ...any) (answer, error) {
	r.texts, r.args = append(r.texts, text), append(r.args, args)
	return nil, errRecorded
}

func (r *recorder) broken(error) {}

// hotReads are the reads that must stay fast with a million rows, by name.
func hotReads(ctx context.Context) map[string]func(r *reader) {
	p := engine.Page{Limit: 50}
	after := engine.Page{Limit: 50, Cursor: makeCursor([]any{int64(1), "x"})}
	next2 := engine.Page{Limit: 50, Cursor: makeCursor([]any{"a", "x"})}
	next := engine.Page{Limit: 50, Cursor: makeCursor([]any{int64(1)})}
	return map[string]func(r *reader){
		"requests":           func(r *reader) { _, _ = r.Requests(ctx, engine.RequestFilter{}, after) },
		"requests of tenant": func(r *reader) { _, _ = r.Requests(ctx, engine.RequestFilter{Tenant: "t"}, after) },
		"requests of requester": func(r *reader) {
			_, _ = r.Requests(ctx, engine.RequestFilter{Requester: "u"},
				after)
		},
		"requests in state": func(r *reader) {
			_, _ = r.Requests(ctx,
				engine.RequestFilter{State: access.RequestPending}, p)
		},
		"requests of person pending": func(r *reader) {
			_, _ = r.Requests(ctx, engine.RequestFilter{Tenant: "t", Requester: "u", State: access.RequestPending}, p)
		},
		"requests of machine": func(r *reader) { _, _ = r.Requests(ctx, engine.RequestFilter{Machine: "m"}, after) },
		"grants":              func(r *reader) { _, _ = r.Grants(ctx, engine.GrantFilter{}, after) },
		"grants of tenant":    func(r *reader) { _, _ = r.Grants(ctx, engine.GrantFilter{Tenant: "t"}, p) },
		"grants of principal": func(r *reader) { _, _ = r.Grants(ctx, engine.GrantFilter{Principal: "u"}, after) },
		"role changes of tenant": func(r *reader) {
			_, _ = r.RoleChanges(ctx, engine.RoleChangeFilter{Tenant: "t"},
				after)
		},
		"role changes waiting": func(r *reader) {
			_, _ = r.RoleChanges(ctx, engine.RoleChangeFilter{Target: "x"},
				after)
		},
		"grants of machine": func(r *reader) { _, _ = r.Grants(ctx, engine.GrantFilter{Machine: "m"}, after) },
		"grants in force": func(r *reader) {
			_, _ = r.Grants(ctx, engine.GrantFilter{States: []access.GrantState{access.GrantActive}}, p)
		},
		"grants of tenant in force": func(r *reader) {
			_, _ = r.Grants(ctx, engine.GrantFilter{Tenant: "t", States: []access.GrantState{access.GrantActive}}, p)
		},
		"grants of principal in force": func(r *reader) {
			_, _ = r.Grants(ctx,
				engine.GrantFilter{Tenant: "t", Principal: "u", States: []access.GrantState{access.GrantActive}}, p)
		},
		"windows": func(r *reader) {
			_, _ = r.Windows(ctx, engine.WindowFilter{Target: access.PortTarget{Ports: access.SinglePort(1)}})
		},
		"windows of a range": func(r *reader) {
			_, _ = r.Windows(ctx, engine.WindowFilter{
				Target: access.PortTarget{Ports: access.PortRange{First: 1, Last: 9}},
			})
		},
		"usage":             func(r *reader) { _, _ = r.Usage(ctx, "t", "u") },
		"grants of request": func(r *reader) { _, _ = r.GrantsOfRequest(ctx, "r") },
		"standing of tenant": func(r *reader) {
			_, _ = r.Standing(ctx, engine.StandingFilter{
				Tenant: "t", Within: "/subscriptions/s", Made: time.Unix(1, 0), AfterStart: time.Unix(1, 0), AfterGrant: "g",
			}, 100)
		},
		"standing of person": func(r *reader) {
			_, _ = r.Standing(ctx,
				engine.StandingFilter{
					Principal: "u", Made: time.Unix(1, 0), AfterStart: time.Unix(1, 0),
					AfterGrant: "g",
				},
				100)
		},
		"standing on machine": func(r *reader) {
			_, _ = r.Standing(ctx,
				engine.StandingFilter{
					Machine: "m", Made: time.Unix(1, 0), AfterStart: time.Unix(1, 0),
					AfterGrant: "g",
				},
				100)
		},
		"grants like one": func(r *reader) {
			_, _ = r.GrantsLike(ctx, access.Grant{Target: access.PortTarget{Machine: "m"}, Principal: "u"},
				100)
		},
		"unended of request": func(r *reader) { _, _ = r.Unended(ctx, "r") },
		"grants by id":       func(r *reader) { _, _ = r.GrantsByID(ctx, []access.GrantID{"a", "b"}) },
		"last end":           func(r *reader) { _, _ = r.LastEnd(ctx, "m", time.Unix(1, 0)) },
		"live":               func(r *reader) { _, _ = r.LiveGrants(ctx, []access.MachineID{"m"}, time.Unix(1, 0)) },
		"live of many": func(r *reader) {
			_, _ = r.LiveGrants(ctx, make([]access.MachineID, 100),
				time.Unix(1, 0))
		},
		"who had": func(r *reader) { _, _ = r.HeldAt(ctx, "m", time.Unix(1, 0), after) },
		"not closed": func(r *reader) {
			_, _ = r.NotClosed(ctx, engine.NotClosedFilter{Tenant: "t", Principal: "u", Now: time.Unix(1, 0)}, after)
		},
		"not closed on machine": func(r *reader) {
			_, _ = r.NotClosed(ctx, engine.NotClosedFilter{Tenant: "t", Machine: "m", Now: time.Unix(1, 0)}, p)
		},
		"not closed on many": func(r *reader) {
			_, _ = r.NotClosedOn(ctx, make([]access.MachineID, 50),
				time.Unix(1, 0))
		},
		"unproven":          func(r *reader) { _, _ = r.UnprovenGrants(ctx, "t", time.Unix(1, 0), "", 10) },
		"events":            func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{}, next) },
		"events of tenant":  func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Tenant: "t"}, next) },
		"events of kind":    func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Kind: "k"}, p) },
		"events of actor":   func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Actor: "a"}, next) },
		"events of machine": func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Machine: "m"}, p) },
		"events of request": func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Request: "r"}, p) },
		"events refused":    func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Outcome: access.Refused}, p) },
		"events since":      func(r *reader) { _, _ = r.Events(ctx, engine.EventFilter{Since: time.Unix(1, 0)}, p) },
		"checkpoints":       func(r *reader) { _, _ = r.Checkpoints(ctx, next) },
		"enrolment tokens":  func(r *reader) { _, _ = r.EnrollmentTokens(ctx, "t", time.Unix(1, 0)) },
		"scenes":            func(r *reader) { _, _ = r.Scenes(ctx, make([]access.AgentID, 111)) },
		"guard of machine":  func(r *reader) { _, _ = r.GuardOf(ctx, "m") },
		"machines of agent": func(r *reader) { _, _ = r.Machines(ctx, engine.MachineFilter{Agent: "a"}, next2) },
		"machines by name":  func(r *reader) { _, _ = r.Machines(ctx, engine.MachineFilter{NamePrefix: "a"}, p) },
		"machines by place": func(r *reader) {
			_, _ = r.Machines(ctx, engine.MachineFilter{Order: engine.ByPlace, Backwards: true}, next2)
		},
		"machines by last access": func(r *reader) {
			_, _ = r.Machines(ctx, engine.MachineFilter{Tenant: "t", Order: engine.ByLastAccess, Backwards: true}, after)
		},
		"machines by age": func(r *reader) {
			_, _ = r.Machines(ctx, engine.MachineFilter{Tenant: "t", Order: engine.ByAge}, after)
		},
		"uses of machines": func(r *reader) { _, _ = r.MachineUses(ctx, []access.MachineID{"m"}, time.Unix(1, 0)) },
		"open machines": func(r *reader) {
			_, _ = r.Machines(ctx, engine.MachineFilter{Open: time.Unix(1, 0), Trouble: time.Unix(1, 0)}, p)
		},
		"guards": func(r *reader) {
			_, _ = r.Guards(ctx, engine.PolicyFilter{}, engine.Page{Limit: 50, Cursor: makeCursor([]any{"a", 1, "m"})})
		},
		"machines of policy": func(r *reader) { _, _ = r.PolicyEntries(ctx, "p", 2) },
		"due":                func(r *reader) { _, _ = r.Due(ctx, time.Unix(1, 0), 10) },
		"due to begin":       func(r *reader) { _, _ = all(ctx, r.q, scanNumber, selectDueBegin, int64(1), int64(1)) },
		"due to expire":      func(r *reader) { _, _ = all(ctx, r.q, scanNumber, selectDueExpire, int64(1), int64(1)) },
		"next request":       func(r *reader) { _, _ = all(ctx, r.q, scanNumber, selectNextRequest, int64(1)) },
		"next begin":         func(r *reader) { _, _ = all(ctx, r.q, scanNumber, selectNextBegin, int64(1)) },
		"next expire":        func(r *reader) { _, _ = all(ctx, r.q, scanNumber, selectNextExpire, int64(1)) },
	}
}

// TestHotReadsUseAnIndex holds the hot reads to plans without a scan of a table or a sort: a page costs what it has,
// not what there is.
func TestHotReadsUseAnIndex(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := Open(ctx, Config{DSN: filepath.Join(t.TempDir(), "postern.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for name, read := range hotReads(ctx) {
		q := &recorder{}
		read(&reader{q: q, scopes: &scopeCache{}})
		if len(q.texts) == 0 {
			t.Errorf("%s: nothing was asked", name)
		}
		for i, text := range q.texts {
			err := db.backend.view(ctx, func(q2 querier) error {
				steps, err := all(ctx, q2, func(row scanner) (step string, err error) {
					var id, parent, unused int
					err = row.Scan(&id, &parent, &unused, &step)
					return step, err
				}, "explain query plan "+text, q.args[i]...)
				for _, step := range steps {
					scan := strings.HasPrefix(step,
						"SCAN") && !strings.Contains(step,
						" USING INDEX ") && !strings.Contains(step, " USING COVERING INDEX ") &&
						!strings.Contains(step, "SCAN w") && !strings.Contains(step, "SCAN r") && step != "SCAN p" &&
						// of the few rows that a part with a limit gave
						step != "SCAN g" && step != "SCAN o" && step != "SCAN (subquery-3)" &&
						step != "SCAN (subquery-4)"
					// which sort what is open, or one row a machine, and that is little
					sort := strings.Contains(step, "TEMP B-TREE") && name != "open machines" && name != "unproven"
					if scan || sort {
						t.Errorf("%s: %s\n%s", name, strings.Join(steps, "\n"), text)
					}
				}
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
