package armapi

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Azure's role management policies say how a role is activated. Here that stands in each eligibility, so there is one
// policy for each, with its name. They are read; what they say is changed with the eligibility.

func rolePolicyRoutes() []route {
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{
			method: http.MethodGet, pattern: authorizationPath + pattern, versions: scheduleVersions(),
			handle: handle,
		}
	}
	return []route{
		get("/roleManagementPolicies", listRolePolicies(rolePolicy)),
		get("/roleManagementPolicies/{id}", getRolePolicy(rolePolicy)),
		get("/roleManagementPolicyAssignments", listRolePolicies(rolePolicyAssignment)),
		get("/roleManagementPolicyAssignments/{id}", getRolePolicy(rolePolicyAssignment)),
	}
}

func rolePolicy(d engine.EligibilityDetail) map[string]any {
	e := d.Eligibility
	rules := rulesOf(d)
	return map[string]any{
		"id": scheduleID(e.Scope, "roleManagementPolicies", string(e.ID)), "name": e.ID,
		"type": "Microsoft.Authorization/roleManagementPolicies",
		"properties": map[string]any{
			"scope": e.Scope, "displayName": d.Role.Name,
			"description": "how " + d.Principal.Name + " may activate " + d.Role.Name, "isOrganizationDefault": false,
			"lastModifiedDateTime": stamp(e.UpdatedAt),
			"lastModifiedBy":       map[string]any{"id": e.CreatedBy, "displayName": "", "type": "User"},
			"rules":                rules, "effectiveRules": rules,
			"policyProperties": map[string]any{
				"scope": map[string]any{"id": e.Scope, "displayName": e.Scope.Name(), "type": scopeType(e.Scope)},
			},
		},
	}
}

func rolePolicyAssignment(d engine.EligibilityDetail) map[string]any {
	e := d.Eligibility
	policy, name := scheduleID(e.Scope, "roleManagementPolicies", string(e.ID)), string(e.ID)+"_"+string(e.Role)
	return map[string]any{
		"id": scheduleID(e.Scope, "roleManagementPolicyAssignments", name), "name": name,
		"type": "Microsoft.Authorization/roleManagementPolicyAssignments",
		"properties": map[string]any{
			"scope": e.Scope, "roleDefinitionId": roleID(e.Scope, e.Role), "policyId": policy,
			"effectiveRules": rulesOf(d),
			"policyAssignmentProperties": map[string]any{
				"scope": map[string]any{
					"id": e.Scope, "displayName": e.Scope.Name(),
					"type": scopeType(e.Scope),
				},
				"roleDefinition": map[string]any{
					"id": roleID(e.Scope, e.Role), "displayName": d.Role.Name,
					"type": kindOfRole(d.Role),
				},
				"policy": map[string]any{
					"id": policy, "lastModifiedBy": nil,
					"lastModifiedDateTime": stamp(e.UpdatedAt),
				},
			},
		},
	}
}

// rulesOf gives the rules of Azure's that there are for every role, as an eligibility has them.
func rulesOf(d engine.EligibilityDetail) []any {
	e := d.Eligibility
	enabled := []string{}
	if e.Justification.Required {
		enabled = append(enabled, "Justification")
	}
	if e.Ticket.Required {
		enabled = append(enabled, "Ticketing")
	}
	if slices.ContainsFunc(e.Approval.Cases, func(c access.Case) bool { return c.StepUp }) {
		enabled = append(enabled, "MultiFactorAuthentication")
	}
	rules := []any{
		rule("Expiration", "Admin_Eligibility",
			map[string]any{"isExpirationRequired": !e.End.IsZero(), "maximumDuration": "P365D"}),
		rule("Expiration", "Admin_Assignment",
			map[string]any{"isExpirationRequired": false, "maximumDuration": "P180D"}),
		rule("Expiration", "EndUser_Assignment",
			map[string]any{"isExpirationRequired": true, "maximumDuration": formatDuration(e.Max)}),
		rule("Enablement", "Admin_Eligibility", map[string]any{"enabledRules": []string{}}),
		rule("Enablement", "Admin_Assignment", map[string]any{"enabledRules": []string{}}),
		rule("Enablement", "EndUser_Assignment", map[string]any{"enabledRules": enabled}),
		rule("Approval", "EndUser_Assignment", map[string]any{"setting": approvalSetting(d)}),
		rule("AuthenticationContext", "EndUser_Assignment", map[string]any{"isEnabled": false, "claimValue": ""}),
	}
	for _, recipient := range []string{"Admin", "Requestor", "Approver"} {
		for _, what := range []string{"Admin_Eligibility", "Admin_Assignment", "EndUser_Assignment"} {
			rules = append(rules, rule("Notification", recipient+"_"+what, map[string]any{
				"notificationType": "Email", "recipientType": recipient, "isDefaultRecipientsEnabled": true,
				"notificationLevel": "All", "notificationRecipients": []string{},
			}))
		}
	}
	return rules
}

// rule makes one rule of a kind. what ends with the caller that it is about and the level: Admin_Eligibility.
func rule(kind, what string, fields map[string]any) map[string]any {
	parts := strings.Split(what, "_")
	caller, level := parts[len(parts)-2], parts[len(parts)-1]
	out := map[string]any{
		"id": kind + "_" + what, "ruleType": "RoleManagementPolicy" + kind + "Rule",
		"target": map[string]any{
			"caller": caller, "operations": []string{"All"}, "level": level, "targetObjects": nil,
			"inheritableSettings": nil, "enforcedSettings": nil,
		},
	}
	maps.Copy(out, fields)
	return out
}

// approvalSetting says who must agree, as far as Azure can say it: which cases and how many of whom, it cannot.
func approvalSetting(d engine.EligibilityDetail) map[string]any {
	mode, stages := "NoApproval", []any{}
	for _, one := range d.Eligibility.Approval.Cases {
		for _, s := range one.Stages {
			stages = append(stages, map[string]any{
				"approvalStageTimeOutInDays": 1, "isApproverJustificationRequired": false,
				"escalationTimeInMinutes": int(s.Timeout.Minutes()), "isEscalationEnabled": s.Timeout > 0,
				"primaryApprovers": approversOf(d, s), "escalationApprovers": []any{},
			})
		}
	}
	switch len(stages) {
	case 0:
	case 1:
		mode = "SingleStage"
	default:
		mode = "Serial"
	}
	return map[string]any{
		"isApprovalRequired": len(stages) > 0, "isApprovalRequiredForExtension": len(stages) > 0,
		"isRequestorJustificationRequired": d.Eligibility.Justification.Required,
		"approvalMode":                     mode, "approvalStages": stages,
	}
}

func approversOf(d engine.EligibilityDetail, s access.Stage) []any {
	approvers, seen := []any{}, map[access.PrincipalID]bool{}
	add := func(ids []access.PrincipalID, kind string) {
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				approvers = append(approvers,
					map[string]any{"id": id, "description": d.Names[id], "isBackup": false, "userType": kind})
			}
		}
	}
	for _, q := range slices.Concat(s.AllOf, s.AnyOf) {
		add(q.Groups, "Group")
		add(q.People, "User")
	}
	return approvers
}

// policied gives the eligibilities whose rules the caller may see: their own, and those that they may read.
func (c *call) policied(n narrowing) ([]engine.EligibilityDetail, error) {
	n.own = true
	found, err := c.eligibilities(n)
	if err != nil {
		return nil, err
	}
	n.own = false
	others, err := c.eligibilities(n)
	if access.KindOf(err) == access.KindForbidden {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	for _, d := range others {
		if !slices.ContainsFunc(found,
			func(f engine.EligibilityDetail) bool { return f.Eligibility.ID == d.Eligibility.ID }) {
			found = append(found, d)
		}
	}
	return found, nil
}

// listRolePolicies lists the policies at exactly the scope, since Azure's are not inherited.
func listRolePolicies(show func(engine.EligibilityDetail) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		n, err := c.narrowing()
		if err != nil {
			return reply{}, err
		}
		found, err := c.policied(n)
		if err != nil {
			return reply{}, err
		}
		value := []any{}
		for _, d := range found {
			if d.Eligibility.Scope.Equal(n.at) {
				value = append(value, show(d))
			}
		}
		return ok(list{Value: value})
	}
}

func getRolePolicy(show func(engine.EligibilityDetail) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		scope, err := c.authorizationScope()
		if err != nil {
			return reply{}, err
		}
		id, _, _ := strings.Cut(c.vars["id"], "_")
		d, err := c.namedEligibility(id, scope)
		if err != nil {
			return reply{}, err
		}
		return ok(show(d))
	}
}
