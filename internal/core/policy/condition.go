package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/postern-dev/postern/internal/core/access"
)

// maxConditionCost bounds what one evaluation of a condition may cost, in units of CEL's own cost model.
const maxConditionCost = 100_000

// maxConditionText bounds the source of a condition, in bytes.
const maxConditionText = 4096

// Facts is what a condition may look at.
type Facts struct {
	Requester     access.PrincipalID
	RequesterName string
	Groups        []string // names of the groups the requester is in, directly or not
	Address       string   // where the request comes from; empty when unknown
	Machine       access.Machine
	Ports         access.PortRange
	Protocol      access.Protocol
	Sources       []string
	Duration      time.Duration // of the chain that it is or lengthens
	Justification string
	Ticket        string
	Start         time.Time // of the first window
	Now           time.Time
	Windows       []Window // what is asked for
	Moves         bool     // an opening is to be moved to these sources, until the end that it has
	Beyond        bool     // the chain is longer than what is ever approved without people
}

// Conditions compiles and evaluates conditions. It is made once and may be used by many goroutines.
type Conditions struct {
	env   *cel.Env
	match *matching
}

// NewConditions declares what conditions may look at:
//
//	requester.id, requester.name: string · requester.groups: list of string · requester.address: string
//	machine.name, machine.resourceGroup, machine.location, machine.os: string · machine.labels: map of string
//	request.firstPort, request.lastPort: int · request.protocol: string · request.sources: list of string
//	request.duration: duration, of all windows that lie so close that they count as one · request.justification, request.ticket: string · request.start, now: timestamp
//	request.moves: bool, it asks for other sources in the place of those that an opening has
func NewConditions() (*Conditions, error) {
	text, list := cel.StringType, cel.ListType(cel.StringType)
	match := &matching{patterns: cache[*access.Pattern]{make: access.CompilePattern}}
	env, err := cel.NewCustomEnv(append(library(match),
		cel.Variable("requester.id", text), cel.Variable("requester.name", text),
		cel.Variable("requester.groups", list), cel.Variable("requester.address", text),
		cel.Variable("machine.name", text), cel.Variable("machine.resourceGroup", text),
		cel.Variable("machine.location", text), cel.Variable("machine.os", text),
		cel.Variable("machine.labels", cel.MapType(text, text)),
		cel.Variable("request.firstPort", cel.IntType), cel.Variable("request.lastPort", cel.IntType),
		cel.Variable("request.protocol", text),
		cel.Variable("request.sources", list), cel.Variable("request.duration", cel.DurationType),
		cel.Variable("request.justification", text), cel.Variable("request.ticket", text),
		cel.Variable("request.start", cel.TimestampType), cel.Variable("request.moves", cel.BoolType),
		cel.Variable("now", cel.TimestampType),
	)...)
	if err != nil {
		return nil, fmt.Errorf("declare the facts of conditions: %w", err)
	}
	return &Conditions{env: env, match: match}, nil
}

// Condition is a compiled condition.
type Condition struct {
	source  string
	program cel.Program
	looks   []string // the facts that it looks at, in order
	worst   uint64   // what one evaluation costs for a request of ordinary size, whichever way it goes
}

func (c *Condition) looksAt(fact string) bool { return slices.Contains(c.looks, fact) }

// LooksAtLabels reports whether it depends on the labels of a machine.
func (c *Condition) LooksAtLabels() bool { return c.looksAt("machine.labels") }

// LooksAtGroups reports whether it depends on the groups of the requester.
func (c *Condition) LooksAtGroups() bool { return c.looksAt("requester.groups") }

// Compile checks source: its syntax, its names and its types, and that it gives true or false. The error is
// access.KindInvalid and names line and column.
func (c *Conditions) Compile(source string) (*Condition, error) {
	if len(source) > maxConditionText {
		return nil, access.Fault(access.KindInvalid, "conditionTooLong", "the condition has %d bytes; %d are allowed",
			len(source), maxConditionText)
	}
	ast, issues := c.env.Compile(source)
	if issues.Err() != nil {
		return nil, access.Fault(access.KindInvalid, "conditionInvalid", "the condition does not compile: %s",
			describe(issues))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, access.Fault(access.KindInvalid, "conditionNotBoolean",
			"the condition returns %s; it must return true or false", ast.OutputType())
	}
	if err := checkPatternsOf(ast); err != nil {
		return nil, access.Fault(access.KindInvalid, "conditionInvalid", "the condition does not compile: %v", err)
	}
	program, err := c.env.Program(ast, cel.CostLimit(maxConditionCost), cel.CostTracking(c.match))
	if err != nil {
		return nil, access.Fault(access.KindInvalid, "conditionInvalid", "the condition cannot be evaluated: %v", err)
	}
	estimate, err := c.env.EstimateCost(ast, ordinary{})
	if err != nil {
		return nil, access.Fault(access.KindInvalid, "conditionInvalid",
			"the cost of the condition cannot be estimated: %v", err)
	}
	condition := &Condition{source: source, program: program, worst: estimate.Max}
	for _, reference := range ast.NativeRep().ReferenceMap() {
		if slices.Contains(factNames, reference.Name) {
			condition.looks = append(condition.looks, reference.Name)
		}
	}
	slices.Sort(condition.looks)
	condition.looks = slices.Compact(condition.looks)
	return condition, nil
}

func describe(issues *cel.Issues) string {
	var texts []string
	for _, e := range issues.Errors() {
		texts = append(texts,
			fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
	}
	return strings.Join(texts, "; ")
}

// factNames are the names of the facts.
var factNames = slices.Sorted(maps.Keys(variables(Facts{}))) //nolint:gochecknoglobals // made once, and never changed

// variables returns the facts under their names.
func variables(f Facts) map[string]any {
	labels := f.Machine.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return map[string]any{
		"requester.id": string(f.Requester), "requester.name": f.RequesterName,
		"requester.groups": emptyIfNil(f.Groups), "requester.address": f.Address,
		"machine.name": f.Machine.Name, "machine.resourceGroup": f.Machine.ResourceGroup(),
		"machine.location": f.Machine.Location, "machine.os": f.Machine.OS,
		"machine.labels":    labels,
		"request.firstPort": int64(f.Ports.First), "request.lastPort": int64(f.Ports.Last),
		"request.protocol": string(f.Protocol),
		"request.sources":  emptyIfNil(f.Sources), "request.duration": f.Duration,
		"request.justification": f.Justification, "request.ticket": f.Ticket, "request.start": f.Start,
		"request.moves": f.Moves,
		"now":           f.Now,
	}
}

// Holds evaluates the condition. What cannot be evaluated, or costs too much, is an error: the caller refuses.
func (c *Condition) Holds(f Facts) (bool, error) {
	holds, _, err := c.eval(variables(f))
	return holds, err
}

// eval is Holds with the facts under their names, and returns what it cost.
func (c *Condition) eval(facts map[string]any) (holds bool, units int, err error) {
	value, details, err := c.program.Eval(facts)
	units = maxConditionCost
	if spent := details.ActualCost(); spent != nil {
		units = int(min(*spent, maxConditionCost))
	}
	if err != nil {
		return false, units, fmt.Errorf("evaluate condition: %w", err)
	}
	is, ok := value.Value().(bool)
	return ok && is, units, nil
}

func emptyIfNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
