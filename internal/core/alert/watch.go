package alert

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// maxMarks bounds what is remembered of one key. Of a rule that counts, the oldest are put together beyond it; of one
// that counts different values, no more are needed than its threshold has.
const maxMarks = 256

// Mark is one thing that happened below the threshold of a rule.
type Mark struct {
	At    time.Time
	Seq   int64
	Value string // what is counted, where only different values are
	Count int64
}

// Watch is what a rule remembers of one key until its threshold is reached.
type Watch struct {
	Tenant access.TenantID
	Rule   RuleID
	Key    string
	Marks  []Mark
	Last   time.Time // of the newest mark: past it and the rule's window, the watch can be forgotten
}

// sighting is one event as one rule sees it.
type sighting struct {
	rule    RuleID
	key     string
	value   string // where different values count
	count   int64
	subject Subject
	detail  string
}

// Relevant tells whether any rule looks at events of this kind.
func Relevant(kind access.EventKind) bool {
	switch kind { //nolint:exhaustive // the few that matter
	case access.AgentDeniedTraffic, access.RequestRefused, access.DecisionRefused, access.AgentDrift,
		access.AgentReplaced, access.AgentTwice, access.RequestSubmitted,
		access.PolicyExploited:
		return true
	default:
		return false
	}
}

// sightings gives what rules see in an event. Requests at unusual hours and from new networks are seen by Unusual.
func sightings(e access.Event) []sighting {
	switch e.Kind { //nolint:exhaustive // the few that matter
	case access.AgentDeniedTraffic:
		return denied(e)
	case access.RequestRefused:
		return byActor(e, RefusedRequests, e.Details["message"])
	case access.DecisionRefused:
		if code := e.Details["code"]; code == "ownRequest" || code == "ownReview" {
			return byActor(e, SelfApproval, "tried to decide their own request")
		}
		return nil
	case access.PolicyExploited:
		list := byActor(e, LoosenedUse, "loosened: "+e.Details["loosened"])
		for i := range list {
			list[i].subject.Scope, list[i].subject.Machine = e.Scope, e.Machine
		}
		return list
	case access.AgentDrift:
		count, err := strconv.ParseInt(e.Details["count"], 10, 64)
		if err != nil || count < 1 {
			count = 1
		}
		return []sighting{{
			rule: Drift, key: string(e.Agent), count: count, detail: e.Details["drift"],
			subject: Subject{Scope: e.Scope, Machine: e.Machine, Agent: e.Agent, Name: e.Actor.Name},
		}}
	case access.AgentTwice:
		return []sighting{{
			rule: Twice, key: string(e.Agent), count: 1,
			detail:  "connected from " + e.Details["served"] + ", and again from " + e.Details["refused"],
			subject: Subject{Scope: e.Scope, Machine: e.Machine, Agent: e.Agent, Name: e.Details["name"]},
		}}
	case access.AgentReplaced:
		return []sighting{{
			rule: Replaced, key: cmp.Or(string(e.Machine), string(e.Agent)), count: 1,
			detail:  "from " + e.Actor.Address.String() + ", with token " + e.Details["token"],
			subject: Subject{Scope: e.Scope, Machine: e.Machine, Agent: e.Agent, Name: e.Details["name"]},
		}}
	default:
		return nil
	}
}

func byActor(e access.Event, rule RuleID, detail string) []sighting {
	if e.Actor.ID == "" {
		return nil
	}
	s := sighting{
		rule: rule, key: string(e.Actor.ID), count: 1, detail: detail,
		subject: Subject{Principal: e.Actor.ID, Name: e.Actor.Name},
	}
	if e.Actor.Address.IsValid() {
		s.subject.Source = e.Actor.Address.String()
	}
	return []sighting{s}
}

func denied(e access.Event) []sighting {
	count, err := strconv.ParseInt(e.Details["count"], 10, 64)
	if err != nil || count < 1 {
		count = 1
	}
	on := Subject{Scope: e.Scope, Machine: e.Machine, Agent: e.Agent, Name: e.Actor.Name}
	source, port := e.Details["source"], e.Details["port"]
	if e.Machine == "" { // the rest of a flood, which names no source
		return []sighting{{
			rule: DeniedRate, key: string(e.Agent), count: count, subject: on,
			detail: "attempts from many sources",
		}}
	}
	list := []sighting{{
		rule: DeniedRate, key: string(e.Machine), count: count, subject: on,
		detail: "the last from " + source + " at port " + port,
	}}
	if _, err := netip.ParseAddr(source); err != nil {
		return list
	}
	from := Subject{Source: source}
	return append(list,
		sighting{
			rule: DeniedMachines, key: source, value: string(e.Machine), count: 1, subject: from,
			detail: "the last at port " + port,
		},
		sighting{
			rule: DeniedPorts, key: source, value: e.Details["protocol"] + "/" + port, count: 1, subject: from,
			detail: "the last at port " + port,
		})
}

// Key names a watch or an alert that is not closed.
type Key struct {
	Tenant access.TenantID
	Rule   RuleID
	Key    string
}

// Keys gives what an event needs to be looked at with.
func Keys(e access.Event) []Key {
	var keys []Key
	for _, s := range sightings(e) {
		keys = append(keys, Key{e.Tenant, s.rule, s.key})
	}
	return keys
}

// Look gives what the rules make of an event: for each of its Keys, the watch as it is then, and a finding where there
// is one. watch gives the watch of a key, its zero value where there is none; open tells whether the key has an alert
// that is not closed, to which whatever comes is added at once.
func Look(book Book, e access.Event, watch func(Key) Watch,
	open func(Key) bool,
) (watches []Watch, findings map[Key]Finding) {
	findings = map[Key]Finding{}
	for _, s := range sightings(e) {
		r, k := book[s.rule], Key{e.Tenant, s.rule, s.key}
		if !r.Enabled {
			continue
		}
		found := Finding{
			Key: s.key, Subject: s.subject, Detail: s.detail, Count: s.count, Evidence: []int64{e.Seq},
			At: e.At,
		}
		w := watch(k)
		w.Tenant, w.Rule, w.Key = k.Tenant, k.Rule, k.Key
		isNew := s.value == "" || !slices.ContainsFunc(w.Marks, func(m Mark) bool { return m.Value == s.value })
		w = w.add(Mark{At: e.At, Seq: e.Seq, Value: s.value, Count: s.count}, r.Window)
		watches = append(watches, w)
		if open(k) {
			if !isNew {
				found.Count = 0
			}
			findings[k] = found
			continue
		}
		total, seqs := w.total(), []int64{}
		if total < int64(r.Threshold) {
			continue
		}
		for _, m := range w.Marks {
			seqs = append(seqs, m.Seq)
		}
		found.Count, found.Evidence = total, seqs
		findings[k] = found
	}
	return watches, findings
}

// add puts a mark in, drops those that the window has passed, and keeps the watch within its bounds.
func (w Watch) add(m Mark, window time.Duration) Watch {
	marks := slices.Clone(w.Marks)
	marks = slices.DeleteFunc(marks, func(old Mark) bool {
		return m.At.Sub(old.At) >= window || m.Value != "" && old.Value == m.Value
	})
	if len(marks) >= maxMarks {
		if m.Value == "" {
			marks[1].Count += marks[0].Count
		}
		marks = marks[1:]
	}
	w.Marks = append(marks, m)
	if m.At.After(w.Last) {
		w.Last = m.At
	}
	return w
}

func (w Watch) total() int64 {
	var n int64
	for _, m := range w.Marks {
		n += m.Count
	}
	return n
}
