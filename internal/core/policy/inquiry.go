package policy

import (
	"fmt"
	"math"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"github.com/postern-dev/postern/internal/core/access"
)

// Units of the cost of asking rules, which are those of CEL: one takes some 80 ns.
const (
	maxInquiry       = 750_000 // of one inquiry: what a change may hold the others up for
	costOfEvaluation = 30      // of each evaluation, beside what CEL counts
	costOfQuestion   = 5       // of looking whether the same was asked before
	costOfHours      = 3       // of looking at the clock of a zone
	bytesOfCost      = 4       // of the facts' text, which count as one
)

// Inquiry asks the rules of one call: each condition once for what it looks at, however many machines and instants
// there are, and all of them within one budget, because the call may hold up everybody else meanwhile.
type Inquiry struct {
	compile   Compiler
	zones     Zones
	left      int
	spent     int // of the budgets before the present one
	questions map[question]int
	answers   map[moment]bool
}

// question is a condition with the facts that it looks at, but for the times.
type question struct{ source, facts string }

// moment is a question, by its number, at a time.
type moment struct {
	question   int
	now, start int64 // microseconds; 0 where the condition does not look at it
}

// NewInquiry begins an inquiry.
func NewInquiry(compile Compiler, zones Zones) *Inquiry {
	return &Inquiry{
		compile: compile, zones: zones, left: maxInquiry, questions: map[question]int{},
		answers: map[moment]bool{},
	}
}

// Renew gives an inquiry a whole budget again, for the next of several subjects that have nothing to do with each
// other. What it has learned stays.
func (q *Inquiry) Renew() { q.spent, q.left = q.spent+maxInquiry-max(q.left, 0), maxInquiry }

// Long reports whether the subjects so far have taken so much that the rest is better left to another transaction.
func (q *Inquiry) Long() bool { return q.spent >= maxInquiry/2 }

// spend takes units from the budget.
func (q *Inquiry) spend(units int) error {
	if q.left -= units; q.left < 0 {
		return access.Fault(access.KindInvalid, "ruleTooDear",
			"evaluating its conditions and hours would take too long: request fewer machines at once, or a shorter time")
	}
	return nil
}

// number returns the number of a condition with the facts that it looks at, whatever the time.
func (q *Inquiry) number(c *Condition, facts map[string]any) (int, error) {
	var b strings.Builder
	for _, name := range c.looks {
		if name != "now" && name != "request.start" {
			fmt.Fprintf(&b, "%#v ", facts[name])
		}
	}
	key := question{c.source, b.String()}
	n, ok := q.questions[key]
	if !ok {
		n = len(q.questions) + 1
		q.questions[key] = n
	}
	return n, q.spend(costOfQuestion + b.Len()/bytesOfCost)
}

// ask evaluates a condition, unless it was asked the same before.
func (q *Inquiry) ask(c *Condition, m moment, facts map[string]any) (bool, error) {
	if known, ok := q.answers[m]; ok {
		return known, q.spend(1)
	}
	if err := q.spend(costOfEvaluation); err != nil {
		return false, err
	}
	holds, units, err := c.eval(facts)
	if err == nil {
		err = q.spend(units)
	}
	if err == nil {
		q.answers[m] = holds
	}
	return holds, err
}

// TooDear returns why a rule could not be asked for a day, or for longest where that is less, of one machine; nil where
// it can.
func TooDear(field string, r access.Rule, longest time.Duration, compile Compiler) []access.Reason {
	times := 1 + uint64(min(longest, 24*time.Hour)/quarter) //nolint:gosec // it is not negative
	var total uint64
	dearest, most := 0, uint64(0)
	for i, c := range r.Cases {
		if c.When == "" {
			continue
		}
		condition, err := compile(c.When)
		if err != nil {
			continue // which is told elsewhere
		}
		units := min(condition.worst, math.MaxInt32) + costOfEvaluation
		if condition.looksAt("now") && !condition.looksAt("request.start") {
			units *= times
		}
		if total += units; units > most {
			dearest, most = i, units
		}
	}
	if total <= maxInquiry {
		return nil
	}
	return []access.Reason{{
		Code: "ruleTooDear", Field: fmt.Sprintf("%s[%d].when", field, dearest),
		Message: fmt.Sprintf("the conditions of the rule take too long: looking at them for one request of a day "+
			"could cost %d units of CEL, %d are allowed; "+
			"this is the dearest of them, so ask for less in it, or for hours in the place of now", total, maxInquiry),
	}}
}

// ordinary says how large the facts of a request usually are, for estimates.
type ordinary struct{}

// EstimateCallCost implements cost.Estimator: as CEL has it.
func (ordinary) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize implements cost.Estimator.
func (ordinary) EstimateSize(of cost.AstNode) *cost.SizeEstimate {
	path := of.Path()
	if len(path) == 0 {
		return nil
	}
	switch {
	case len(path) > 1:
		return &cost.SizeEstimate{Max: 64} // an element, or a value
	case path[0] == "request.sources":
		return &cost.SizeEstimate{Max: access.MaxSources}
	case path[0] == "request.justification":
		return &cost.SizeEstimate{Max: 200}
	}
	return &cost.SizeEstimate{Max: 50}
}

// checkPatternsOf refuses patterns that are written in a condition and are none, or too large.
func checkPatternsOf(checked *cel.Ast) (err error) {
	celast.PreOrderVisit(checked.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if err != nil || e.Kind() != celast.CallKind || e.AsCall().FunctionName() != "matches" || len(
			e.AsCall().Args()) == 0 {
			return
		}
		args := e.AsCall().Args()
		if last := args[len(args)-1]; last.Kind() == celast.LiteralKind {
			if text, ok := last.AsLiteral().(types.String); ok {
				if _, bad := access.PatternSize(string(text)); bad != nil {
					err = fmt.Errorf("the pattern %q: %w", clip(string(text)), bad)
				}
			}
		}
	}))
	return err
}
