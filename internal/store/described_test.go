package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Described is a table as its descriptor says it.
type Described struct {
	Table      string
	Statements map[string]string // by the name of the descriptor's field
	Columns    []string          // each with the form of what is in it
	Forgotten  []string          // fields of the type that no column holds

	// Again reads what is in a column of JSON into a row, and returns what the row would be written as.
	Again map[string]func(text string) (string, error)
}

// EveryTable returns the descriptors by the names of their variables.
func EveryTable() map[string]Described {
	return map[string]Described{
		"tenantTable": said(tenantTable), "subscriptionTable": said(subscriptionTable), "groupTable": said(groupTable),
		"principalTable": said(principalTable), "regroupingTable": said(regroupingTable),
		"definitionTable": said(definitionTable), "assignmentTable": said(assignmentTable), "denialTable": said(denialTable),
		"machineTable": said(machineTable), "agentTable": said(agentTable), "policyTable": said(policyTable),
		"entryTable": said(entryTable), "decisionTable": said(decisionTable), "reviewTable": said(reviewTable),
		"eligibilityTable": said(eligibilityTable), "roleChangeTable": said(roleChangeTable),
		"scopePolicyTable": said(scopePolicyTable), "switchTable": said(switchTable),
		"trialTable": said(trialTable), "foundTable": said(foundTable),
		"accessReviewTable": said(accessReviewTable), "accessReviewItemTable": said(accessReviewItemTable),
		"recallTable": said(recallTable), "alertTable": said(alertTable), "watchTable": said(watchTable),
		"channelTable": said(channelTable), "routeTable": said(routeTable), "notificationTable": said(notificationTable),
		"deliveryTable": said(deliveryTable), "passwordTable": said(passwordTable), "sessionTable": said(sessionTable),
		"enrollmentTable": said(enrollmentTable), "tokenTable": said(tokenTable), "networkTable": said(networkTable),
		"externalTable": said(externalTable), "passkeyTable": said(passkeyTable), "ceremonyTable": said(ceremonyTable),
		"glassTable": said(glassTable), "secretTable": said(secretTable), "pendingTable": said(pendingTable),
		"inboxTable": said(inboxTable), "inboxEntryTable": said(inboxEntryTable),
		"placeTable": said(placeTable), "idempotencyTable": said(idempotencyTable),
		"appDefinitionTable": said(appDefinitionTable), "appRevisionTable": said(appRevisionTable),
		"applicationTable": said(applicationTable), "checkpointTable": said(checkpointTable), "settingsTable": said(settingsTable), "requestTable": said(requestTable), "grantTable": said(grantTable),
	}
}

func said[T any](d *table[T]) Described {
	out := Described{Table: d.name, Statements: map[string]string{
		"selected": d.selected, "outer": d.outer, "insert": d.insert, "update": d.update, "upsert": d.upsert,
	}}
	out.Again = map[string]func(text string) (string, error){}
	held := false // every field that has no column of its own
	for _, c := range d.columns {
		column := d.name + "." + c.name
		if c.form != nil {
			out.Again[column] = func(text string) (string, error) {
				var v T
				if err := c.into(&v).(formColumn).Scan(text); err != nil {
					return "", err
				}
				return d.json(c.name, &v)
			}
		}
		switch {
		case c.form != nil:
			held = held || c.rest != nil
			out.Columns = append(out.Columns, shape(column, c.form.as)...)
		case c.other == "":
			out.Columns = append(out.Columns, column)
		}
	}
	if !held {
		out.Forgotten = forgotten(reflect.TypeFor[T](), parts{own: d.places()}, 0)
	}
	return out
}

// shape returns the keys of what is written as t.
func shape(path string, t reflect.Type) (lines []string) {
	switch {
	case t == reflect.TypeFor[stamp]():
		return []string{path + " microseconds"}
	case t.Kind() == reflect.Slice:
		return shape(path+"[]", t.Elem())
	case t.Kind() == reflect.Pointer:
		return shape(path, t.Elem())
	case t.Kind() != reflect.Struct || t.PkgPath() != "":
		name := t.Kind().String()
		if t.PkgPath() != "" && t.Kind() == reflect.Struct || t.PkgPath() == "time" {
			name = t.String()
		}
		return []string{path + " " + name}
	}
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			lines = append(lines, shape(path, f.Type)...)
		case key != "-":
			lines = append(lines, shape(path+"."+key, f.Type)...)
		}
	}
	return lines
}

// forgotten returns the fields that no column holds.
func forgotten(t reflect.Type, p parts, offset uintptr) (names []string) {
	for f := range t.Fields() {
		switch {
		case !f.IsExported() || p.owns(offset+f.Offset, f.Type):
		case f.Type.Kind() == reflect.Struct && slices.ContainsFunc(slices.Collect(owned(p)), func(at uintptr) bool {
			return at >= offset+f.Offset && at < offset+f.Offset+f.Type.Size()
		}):
			for _, name := range forgotten(f.Type, p, offset+f.Offset) {
				names = append(names, f.Name+"."+name)
			}
		default:
			names = append(names, fmt.Sprintf("%s %s", f.Name, f.Type))
		}
	}
	return names
}

func owned(p parts) func(func(uintptr) bool) {
	return func(yield func(uintptr) bool) {
		for at := range p.own {
			if !yield(at.offset) {
				return
			}
		}
	}
}
