package armapi

import (
	"strings"
	"unicode"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// operationOf gives the name of what an event records: the permission that was asked for, or one in the same form.
func operationOf(e access.Event) string {
	switch e.Kind { //nolint:exhaustive // the others are named after their kind
	case access.RequestSubmitted, access.RequestRefused, access.RequestWasApproved, access.GrantCreated:
		return rbac.PoliciesInitiate
	case access.PolicyWritten:
		return rbac.PoliciesWrite
	case access.PolicyDeleted:
		return rbac.PoliciesDelete
	case access.MachineAdded, access.MachineLabelled:
		return rbac.MachinesWrite
	case access.MachineDeleted:
		return rbac.MachinesDelete
	case access.RoleAssigned:
		return rbac.RoleAssignmentsWrite
	case access.RoleUnassigned:
		return rbac.RoleAssignmentsDelete
	case access.RoleDefined:
		return rbac.RoleDefinitionsWrite
	case access.RoleDeleted:
		return rbac.RoleDefinitionsDelete
	}
	if e.Kind == access.AccessRefused && e.Action != "" {
		return e.Action
	}
	subject, verb, _ := strings.Cut(string(e.Kind), ".")
	return "Postern.Access/" + subject + "s/" + verb + "/action"
}

// titleOf gives the text that is shown for an event's operation: Azure's own, or what the kind says, in words.
func titleOf(e access.Event, operation string) string {
	if title := operationTitle(operation); title != operation {
		return title
	}
	var b strings.Builder
	for i, r := range string(e.Kind) {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		case r == '.':
			b.WriteByte(' ')
		case unicode.IsUpper(r):
			b.WriteByte(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// operationTitle gives the text that Azure shows for an operation, or the name itself.
func operationTitle(name string) string {
	switch name {
	case rbac.PoliciesInitiate:
		return "Initiate JIT Network Access Policy"
	case rbac.PoliciesWrite:
		return "Update JIT Network Access Policy"
	case rbac.PoliciesDelete:
		return "Delete JIT Network Access Policy"
	case rbac.PoliciesRead:
		return "Get JIT Network Access Policy"
	case rbac.MachinesRead:
		return "Get Virtual Machine"
	case rbac.MachinesWrite:
		return "Create or Update Virtual Machine"
	case rbac.MachinesDelete:
		return "Delete Virtual Machine"
	case rbac.RoleAssignmentsRead:
		return "Get role assignment"
	case rbac.RoleAssignmentsWrite:
		return "Create role assignment"
	case rbac.RoleAssignmentsDelete:
		return "Delete role assignment"
	case rbac.RoleDefinitionsRead:
		return "Get role definition"
	case rbac.RoleDefinitionsWrite:
		return "Create or update custom role definition"
	case rbac.RoleDefinitionsDelete:
		return "Delete custom role definition"
	case rbac.ActivityLogRead:
		return "Get Activity Log events"
	case rbac.SubscriptionsRead:
		return "Get Subscription"
	case rbac.ResourceGroupsRead:
		return "Get Resource Group"
	case rbac.ResourceGroupsWrite:
		return "Update Resource Group"
	}
	return name
}

// operationNames gives every permission that is checked.
func operationNames() []string { return rbac.Actions() }
