package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	named   = "exists (select 1 from policy_machines x where x.machine = m.id)"
	guarded = "(" + named + " or " + reached + ")"
	openOn  = "m.id in (select g.machine from grants g where g.closed_at = 0 and g.state in ('opening', 'active') or " +
		notClosed + `
union select u.machine from code_uses u where u.over_at > ?)`
	inTrouble  = "exists (select 1 from agents a where a.id = m.agent and (a.problem <> '' or a.last_seen_at < ?))"
	like       = ` like ? escape '\'`
	standingOf = "case when m.agent is null or " + disabled + " then 'unsupported' when " + guarded +
		" then 'configured' else 'notConfigured' end"
	selectUses = `(select count(*) from request_machines x join requests r on r.id = x.request where x.machine = m.id and x.created_at >= $%d and r.state = 'approved'),
coalesce((select g.principal_name from grants g where g.machine = m.id and g.opened_at <> 0 order by g.created_at desc, g.id desc limit 1), '')`
)

// machines adds the conditions of a filter of machines.
func (l *list) machines(f engine.MachineFilter) {
	l.tenants("m.tenant", f.Tenant, f.Beside)
	l.within("m.resource_key", f.Scope)
	l.withinAny("m.resource_key", f.Scopes)
	switch f.Standing {
	case "":
	case access.Unsupported:
		l.where("(m.agent is null or " + disabled + ")")
	case access.Configured:
		l.where("m.agent is not null and not " + disabled + " and " + guarded)
	case access.NotConfigured:
		l.where("m.agent is not null and not " + disabled + " and not " + guarded)
	default:
		l.err = access.Fault(access.KindInvalid, "malformedStanding",
			"standing %q is not known; use configured, notConfigured or unsupported", f.Standing)
	}
	if f.NamePrefix != "" {
		// The last possible character follows, so that all names with the prefix lie between; no name holds it.
		prefix := fold(f.NamePrefix)
		l.where("m.name_key >= ? and m.name_key < ?", prefix, prefix+"\U0010ffff")
	}
	for word := range strings.FieldsSeq(fold(f.Search)) {
		part := "%" + literal(word) + "%"
		if strings.Trim(word, "0123456789abcdef.:") == "" {
			l.where("(m.name_key"+like+" or m.addresses"+like+")", part, part)
		} else {
			l.where("m.name_key"+like, part) // which an index holds; no address has it
		}
	}
	for _, test := range f.Tests {
		l.label(test)
	}
	for name, value := range f.Labels {
		l.label(engine.LabelTest{Name: name, Value: value})
	}
	equal(l, "m.agent", f.Agent)
	if f.Address.IsValid() {
		// no character of an address has a meaning in a pattern
		l.where("m.addresses"+like, `%"`+f.Address.String()+`"%`)
	}
	if !f.Open.IsZero() {
		l.where(openOn, micros(f.Open), micros(f.Open))
	}
	if !f.Trouble.IsZero() {
		l.where(inTrouble, micros(f.Trouble))
	}
}

// label adds the condition that the labels of a machine pass a test.
func (l *list) label(t engine.LabelTest) {
	pair, err := labelPair(t.Name, t.Value)
	if err != nil {
		l.err = err
		return
	}
	if t.Any {
		pair = strings.TrimSuffix(pair, `""`)
	}
	not := ""
	if t.Not {
		not = " not"
	}
	// Inside a name or a value the quotes would be escaped, so this is found as a pair alone.
	l.where("m.labels"+not+like, "%"+literal(pair)+"%")
}

// labelPair returns a label as it stands in the JSON of a machine's labels.
func labelPair(name, value string) (string, error) {
	pair, err := json.Marshal(map[string]string{name: value})
	return strings.TrimSuffix(strings.TrimPrefix(string(pair), "{"), "}"), err
}

// literal takes from text the meaning that characters have in a pattern.
func literal(text string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text)
}

// withinAny adds the condition that column, a folded resource id, lies within one of the scopes; none is no condition.
func (l *list) withinAny(column string, scopes []access.ResourceID) {
	if len(scopes) == 0 || slices.Contains(scopes, access.Root) {
		return
	}
	var conditions []string
	var args []any
	for _, scope := range scopes {
		key := scope.Fold()
		conditions = append(conditions, column+" = ? or "+column+" >= ? and "+column+" < ?")
		args = append(args, key, key+"/", key+"0")
	}
	l.where("("+strings.Join(conditions, " or ")+")", args...)
}

// MachineLocations implements engine.ViewReader.
func (r *reader) MachineLocations(ctx context.Context, f engine.MachineFilter) ([]string, error) {
	l := from("select distinct m.location from machines m")
	l.machines(f)
	if l.err != nil {
		return nil, l.err
	}
	l.text.WriteString(" order by 1 limit 1000")
	return all(ctx, r.q, scanOne[string], l.text.String(), l.args...)
}

// scanOne reads a row that is one text.
func scanOne[T ~string](row scanner) (text T, err error) {
	err = row.Scan(&text)
	return text, err
}

// MachineCounts implements engine.ViewReader.
func (r *reader) MachineCounts(ctx context.Context, f engine.MachineFilter) (map[access.Standing]int, error) {
	type row struct {
		standing access.Standing
		count    int
	}
	l := from("select " + standingOf + ", count(*) from machines m")
	l.glue = " where " // the one in it belongs to a condition
	l.machines(f)
	if l.err != nil {
		return nil, l.err
	}
	l.text.WriteString(" group by 1 order by 1 limit 3")
	rows, err := all(ctx, r.q, func(s scanner) (c row, err error) {
		err = s.Scan(&c.standing, &c.count)
		return c, err
	}, l.text.String(), l.args...)
	if err != nil {
		return nil, err
	}
	counts := map[access.Standing]int{access.Configured: 0, access.NotConfigured: 0, access.Unsupported: 0}
	for _, c := range rows {
		counts[c.standing] = c.count
	}
	return counts, nil
}
