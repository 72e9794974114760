package fleet

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// MaxEdited is how many machines are edited together: what one transaction writes in about a second.
const MaxEdited = 500

// Edited is one of several machines whose policies are set together.
type Edited struct {
	Machine  string // name, id or resource id
	Revision int64  // of what its own policy said of it when it was seen; 0: none named it
}

// Outcome is what became, or would become, of one machine.
type Outcome struct {
	Machine string                // as it was asked for
	Change  machines.PolicyChange // of a preview
	Saved   engine.PolicyDetail   // of what was saved
	Refused *access.Error         // why nothing becomes of it; nil where something does
}

// PreviewPolicies tells for each machine what setting the policy would change there, and which are refused it, and
// changes nothing.
func (e *Service) PreviewPolicies(ctx context.Context, c engine.Caller, refs []string,
	entry access.MachinePolicy,
) (out []Outcome, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesWrite},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.PoliciesWrite); err != nil {
				return err
			}
			if err := bounded(len(refs)); err != nil {
				return err
			}
			out = nil
			seen := map[access.MachineID]bool{}
			for _, ref := range refs {
				o := Outcome{Machine: ref}
				o.Change, err = e.machines.PreviewPolicy(ctx, r, may, ref, entry)
				if err == nil {
					err = once(seen, o.Change.Machine)
				}
				if o.Refused, err = refusal(err); err != nil {
					return err
				}
				out = append(out, o)
			}
			return nil
		})
	return out, err
}

// SavePolicies sets the policy of several machines, each only where it is as it was seen. Where all is set, either all
// of them are changed in one transaction, or none, with a reason for each that may not be; otherwise each for itself.
func (e *Service) SavePolicies(ctx context.Context, c engine.Caller, list []Edited, entry access.MachinePolicy,
	all bool,
) (out []Outcome, err error) {
	if err := e.mayEdit(ctx, c, len(list)); err != nil {
		return nil, err
	}
	if all {
		return e.saveAll(ctx, c, list, entry)
	}
	seen := map[access.MachineID]bool{}
	for _, m := range list {
		o := Outcome{Machine: m.Machine}
		o.Saved, err = e.machines.SetMachinePolicy(ctx, c, m.Machine, entry, &m.Revision)
		if err == nil {
			err = once(seen, o.Saved.Machine)
		}
		if o.Refused, err = refusal(err); err != nil {
			return out, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (e *Service) mayEdit(ctx context.Context, c engine.Caller, many int) error {
	return e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesWrite},
		func(_ engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.PoliciesWrite); err != nil {
				return err
			}
			return bounded(many)
		})
}

func (e *Service) saveAll(ctx context.Context, c engine.Caller, list []Edited,
	entry access.MachinePolicy,
) (out []Outcome, err error) {
	a := engine.Attempt{Action: rbac.PoliciesWrite, Details: map[string]string{"machines": fmt.Sprint(len(list))}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		out = nil
		w := e.kernel.NewWork(tx, may.Now)
		seen, refused := map[access.MachineID]bool{}, (*access.Error)(nil)
		for i, m := range list {
			d, err := e.machines.SetPolicyIn(ctx, w, may, m.Machine, entry, &m.Revision)
			if err == nil {
				err = once(seen, d.Machine)
			}
			why, err := refusal(err)
			if err != nil {
				return err
			}
			if why != nil {
				refused = among(refused, i, m.Machine, why)
			}
			out = append(out, Outcome{Machine: m.Machine, Saved: d})
		}
		if refused != nil {
			return refused
		}
		return w.Finish(ctx)
	})
	return out, err
}

// among adds why a machine is refused to what the others are.
func among(so *access.Error, i int, machine string, why *access.Error) *access.Error {
	if so == nil {
		so = access.Fault(why.Kind, why.Code, "not every machine can be edited so: nothing was changed")
	}
	message := why.Message
	if len(why.Reasons) > 0 {
		message = why.Reasons[0].Message
	}
	so.Reasons = append(so.Reasons, access.Reason{
		Code: why.Code, Field: fmt.Sprintf("machines[%d]", i), Message: engine.Clip(machine) + ": " + message,
	})
	return so
}

func bounded(many int) error {
	if many == 0 || many > MaxEdited {
		return access.Fault(access.KindInvalid, "tooManyMachines", "%d machines are named; name 1 to %d", many,
			MaxEdited)
	}
	return nil
}

// once refuses a machine that was named before, under whatever name.
func once(seen map[access.MachineID]bool, m access.Machine) error {
	if seen[m.ID] {
		return access.Fault(access.KindInvalid, "machineTwice", "machine %q is named twice", m.Name)
	}
	seen[m.ID] = true
	return nil
}

// refusal returns an error that concerns one machine alone, and any other as it is.
func refusal(err error) (*access.Error, error) {
	var e *access.Error
	if err == nil || engine.AsError(err, &e) && e.Kind != access.KindInternal && e.Kind != access.KindUnauthenticated {
		return e, nil
	}
	return nil, err
}
