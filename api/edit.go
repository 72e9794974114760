package api

import (
	"context"
	"net/http"
)

// EditPolicies is one policy for several machines.
type EditPolicies struct {
	Policy   MachinePolicy   `json:"policy"`
	Machines []EditedMachine `json:"machines" minItems:"1" maxItems:"500"`
	All      bool            `json:"all,omitempty" doc:"Change all of them together or, where one may not be changed, none. Otherwise each is changed for itself."`
}

// EditedMachine is a machine whose policy is set as it was seen.
type EditedMachine struct {
	Machine  string `json:"machine" maxLength:"2048" doc:"Name, id or resource id."`
	Revision int64  `json:"revision" minimum:"0" doc:"Of its own policy when it was seen; 0: it had none. With another one now it is not changed."`
}

// PreviewPolicies asks what one policy would change on several machines.
type PreviewPolicies struct {
	Policy   MachinePolicy `json:"policy"`
	Machines []string      `json:"machines" minItems:"1" maxItems:"500" doc:"Names, ids or resource ids."`
}

// PolicyPreview is what setting the policy would change on one machine.
type PolicyPreview struct {
	Machine  string             `json:"machine" doc:"As it was asked for."`
	OS       string             `json:"os,omitempty" doc:"Its operating system, where it is known."`
	Revision int64              `json:"revision" doc:"Of its own policy now; 0: it has none."`
	Before   *MachinePolicyView `json:"before,omitempty" doc:"What guards it now; absent where nothing does, or the caller may not read it."`
	Changes  []PortChange       `json:"changes" doc:"What becomes of its ports, whichever policy guards them; those that are not named stay as they are."`
	Ends     []Grant            `json:"ends" doc:"What is open or scheduled and would end, as far as the caller may see it."`
	More     bool               `json:"more,omitempty" doc:"There are more grants than the 100 that were looked at."`
	Problem  *EditProblem       `json:"problem,omitempty" doc:"Why the policy cannot be set there; absent where it can."`
}

// PortChange is what becomes of ports. Where before is absent they were not guarded, and where after is, they will not
// be: then only other firewalls protect them.
type PortChange struct {
	Ports    string    `json:"ports"`
	Protocol string    `json:"protocol" enum:"tcp,udp,any"`
	Before   *PortRule `json:"before,omitempty"`
	After    *PortRule `json:"after,omitempty"`
}

// EditedPolicy is what became of one machine.
type EditedPolicy struct {
	Machine  string       `json:"machine" doc:"As it was asked for."`
	Saved    bool         `json:"saved"`
	Revision int64        `json:"revision,omitempty" doc:"Of its policy, where it was saved."`
	Problem  *EditProblem `json:"problem,omitempty" doc:"Why it was not."`
}

// EditProblem says why one machine cannot be changed.
type EditProblem struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// PreviewPolicies returns what one policy would change on several machines, and changes nothing.
func (c *Client) PreviewPolicies(ctx context.Context, in PreviewPolicies) ([]PolicyPreview, error) {
	page, err := ask[Page[PolicyPreview]](ctx, c, call{method: http.MethodPost, path: "/policies/preview", body: in})
	return page.Items, err
}

// EditPolicies sets one policy on several machines.
func (c *Client) EditPolicies(ctx context.Context, in EditPolicies) ([]EditedPolicy, error) {
	page, err := ask[Page[EditedPolicy]](ctx, c, call{method: http.MethodPut, path: "/policies", body: in})
	return page.Items, err
}
