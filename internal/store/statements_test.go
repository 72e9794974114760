package store_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/store"
)

// TestStatementsOfARequest bounds what each step of a request sends to the database, alone in its batch. Whoever needs
// more has to say so here: with 64 people at once, one statement more is some percent of a whole request, and one more
// read is a round trip on PostgreSQL.
func TestStatementsOfARequest(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			boundStatements(t, open(t, dsn(t)))
		})
	}
}

func boundStatements(t *testing.T, db *store.DB) {
	t.Helper()
	c := newCrowd(t, db)
	ctx := t.Context()
	admin, asking := c.admin, c.people[0]
	rule := c.policy
	rule.Approval = access.Rule{Cases: []access.Case{
		{Stages: []access.Stage{{AllOf: []access.Quorum{
			{Count: 1, People: []access.PrincipalID{c.people[1].Principal}},
		}}}},
	}}
	if _, err := c.Machines.SetMachinePolicy(ctx, admin, "web-1", rule, nil); err != nil {
		t.Fatal(err)
	}
	ask := func(machine string, port uint16) requests.RequestDetail {
		d, err := c.Requests.Submit(ctx, asking,
			requests.SubmitInput{Items: []requests.ItemInput{
				{
					Machine: machine,
					Port:    access.PortTarget{Ports: access.SinglePort(port)},
					Item:    access.Item{Duration: time.Minute},
				},
			}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ask("web-0", 1000) // what is asked once for all is known from here on
	count := db.CountStatements()
	var d requests.RequestDetail
	for _, step := range []struct {
		name string
		most store.Count
		do   func()
	}{
		{"a request, approved at once", store.Count{All: 19, Reads: 5}, func() { d = ask("web-0", 1001) }},
		{"the agent's report that it is open", store.Count{All: 16, Reads: 5}, func() { report(t, c, d) }},
		{"the same again, which takes its place", store.Count{All: 19, Reads: 6}, func() { ask("web-0", 1001) }},
		{"a request that waits", store.Count{All: 19, Reads: 8}, func() { d = ask("web-1", 1001) }},
		{"its approval", store.Count{All: 26, Reads: 12}, func() {
			var err error
			if d, err = c.Requests.Decide(ctx, c.people[1], d.Request.ID, true, "", d.Request.Digest); err != nil {
				t.Fatal(err)
			}
		}},
		{"the report that it is open", store.Count{All: 16, Reads: 5}, func() { report(t, c, d) }},
		{"deleting the machine, without the directory being read", store.Count{All: 25, Reads: 8}, func() {
			if err := c.Machines.DeleteMachine(ctx, admin, "web-1"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		*count = store.Count{}
		step.do()
		if count.All > step.most.All || count.Reads > step.most.Reads {
			t.Errorf("%s: %d statements, %d of them reads; at most %d and %d", step.name, count.All, count.Reads,
				step.most.All, step.most.Reads)
		}
	}
}

// report has the agent say that the grants of a request are in force.
func report(t *testing.T, c *crowd, d requests.RequestDetail) {
	t.Helper()
	for _, g := range d.Grants {
		m, err := c.Machines.Machine(t.Context(), c.admin, d.Machines[g.Place().Machine])
		if err != nil {
			t.Fatal(err)
		}
		seen := access.Report{Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}}}
		if err := c.Machines.Report(t.Context(), m.Machine.Agent, c.admin.Address, seen); err != nil {
			t.Fatal(err)
		}
	}
}
