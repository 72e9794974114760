package store

import (
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// The records are the nested parts of rows, as JSON text. Where a record has the fields of the type that it stands for,
// the conversion between them stops the build when either changes. Durations are nanoseconds.

type portsRecord struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

type roleRecord struct {
	Eligibility access.EligibilityID `json:"eligibility"`
	ID          access.RoleID        `json:"id"`
	Name        string               `json:"name"`
	Scope       access.ResourceID    `json:"scope"`
}

type itemRecord struct {
	Kind           string           `json:"kind,omitempty"` // of a target that a newer version knows
	Role           roleRecord       `json:"role,omitzero"`
	Machine        access.MachineID `json:"machine"`
	Policy         access.PolicyID  `json:"policy,omitempty"`
	PolicyRevision int64            `json:"policyRevision,omitempty"`
	Ports          portsRecord      `json:"ports"`
	Protocol       access.Protocol  `json:"protocol"`
	Sources        []netip.Prefix   `json:"sources,omitempty"`
	Networks       []string         `json:"networks,omitempty"`
	SourceList     bool             `json:"sourceList,omitempty"`
	Duration       time.Duration    `json:"duration,omitempty"`
	Until          int64            `json:"until,omitempty"` // microseconds
}

func itemRecords(items []access.Item) []itemRecord {
	records := make([]itemRecord, len(items))
	for i, it := range items {
		f := fieldsOf(it.Target)
		records[i] = itemRecord{
			Role: roleRecord(f.role), Machine: f.machine, Policy: f.policy, PolicyRevision: it.PolicyRevision,
			Ports: portsRecord(f.ports), Protocol: f.protocol, Sources: f.sources,
			Networks: it.Networks, Duration: it.Duration, Until: micros(it.Until), SourceList: it.SourceList,
		}
	}
	return records
}

func (r itemRecord) item() (access.Item, error) {
	if r.Kind != "" {
		return access.Item{}, errTarget
	}
	target, err := targetFields{
		role: access.RoleTarget(r.Role), machine: r.Machine, policy: r.Policy, ports: access.PortRange(r.Ports),
		protocol: r.Protocol, sources: r.Sources,
	}.target()
	return access.Item{
		Target: target, PolicyRevision: r.PolicyRevision, Networks: r.Networks, Duration: r.Duration,
		Until: instant(r.Until), SourceList: r.SourceList,
	}, err
}

type caseRecord struct {
	Name   string        `json:"name,omitempty"`
	When   string        `json:"when,omitempty"`
	Hours  hoursRecord   `json:"hours,omitzero"`
	Stages []stageRecord `json:"stages,omitempty"`
	Denies int           `json:"denies,omitempty"`
	StepUp bool          `json:"stepUp,omitempty"`
}

type hoursRecord struct {
	Zone string         `json:"zone,omitempty"`
	Days []time.Weekday `json:"days,omitempty"`
	From int            `json:"from,omitempty"`
	To   int            `json:"to,omitempty"`
}

type stageRecord struct {
	AllOf   []quorumRecord `json:"allOf,omitempty"`
	AnyOf   []quorumRecord `json:"anyOf,omitempty"`
	Timeout time.Duration  `json:"timeout,omitempty"`
}

type quorumRecord struct {
	Count  int                  `json:"count"`
	Groups []access.PrincipalID `json:"groups,omitempty"`
	People []access.PrincipalID `json:"people,omitempty"`
}

func quorumRecords(quorums []access.Quorum) (records []quorumRecord) {
	for _, q := range quorums {
		records = append(records, quorumRecord(q))
	}
	return records
}

func quorums(records []quorumRecord) (quorums []access.Quorum) {
	for _, r := range records {
		quorums = append(quorums, access.Quorum(r))
	}
	return quorums
}

// askRecord is what a request is beside its items: what deciding rests on.
type askRecord struct {
	Windows    []int64           `json:"windows,omitempty"` // microseconds
	Resource   access.ResourceID `json:"resource,omitempty"`
	Released   bool              `json:"released,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Extends    access.GrantID    `json:"extends,omitempty"`
	BreakGlass bool              `json:"breakGlass,omitempty"`
	Approvals  []approvalRecord  `json:"approvals,omitempty"`
}

type approvalRecord struct {
	Case  caseRecord `json:"case"`
	Items []int      `json:"items"`
}

func askOf(r access.Request) askRecord {
	ask := askRecord{
		Resource: r.Resource, Released: r.Released, Tags: r.Tags, Extends: r.Extends,
		BreakGlass: r.BreakGlass,
	}
	for _, w := range r.Windows {
		ask.Windows = append(ask.Windows, micros(w))
	}
	for _, a := range r.Approvals {
		ask.Approvals = append(ask.Approvals, approvalRecord{Case: caseOf(a.Case), Items: a.Items})
	}
	return ask
}

func (ask askRecord) fill(r *access.Request) {
	r.Extends, r.BreakGlass = ask.Extends, ask.BreakGlass
	r.Resource, r.Released, r.Tags = ask.Resource, ask.Released, ask.Tags
	for _, w := range ask.Windows {
		r.Windows = append(r.Windows, instant(w))
	}
	for _, a := range ask.Approvals {
		r.Approvals = append(r.Approvals, access.Approval{Case: a.Case.rule(), Items: a.Items})
	}
}

func caseOf(c access.Case) caseRecord {
	record := caseRecord{Name: c.Name, When: c.When, Hours: hoursRecord(c.Hours), Denies: c.Denies, StepUp: c.StepUp}
	for _, s := range c.Stages {
		record.Stages = append(record.Stages,
			stageRecord{AllOf: quorumRecords(s.AllOf), AnyOf: quorumRecords(s.AnyOf), Timeout: s.Timeout})
	}
	return record
}

func (r caseRecord) rule() access.Case {
	rule := access.Case{Name: r.Name, When: r.When, Hours: access.Hours(r.Hours), Denies: r.Denies, StepUp: r.StepUp}
	for _, s := range r.Stages {
		rule.Stages = append(rule.Stages,
			access.Stage{AllOf: quorums(s.AllOf), AnyOf: quorums(s.AnyOf), Timeout: s.Timeout})
	}
	return rule
}
