package access

import (
	"fmt"
	"strings"
)

// ResourceID is an Azure Resource Manager resource id, such as
// /subscriptions/{guid}/resourceGroups/{name}/providers/Microsoft.Compute/virtualMachines/{name}.
// It is kept as first written and compared without regard to case; "/" is the root. A scope is a ResourceID too.
type ResourceID string

// Root is the scope that contains every other.
const Root ResourceID = "/"

const maxResourceID = 2048

// ParseResourceID checks the form of s: a leading slash, no empty, "." or ".." segment, printable ASCII without
// backslash, '?', '#' and '%', at most 2,048 bytes. One trailing slash is dropped.
//
// Nothing but ASCII, because names are (CheckName), and because case folding beyond it has pairs on which Go, SQLite
// and PostgreSQL disagree: two ids would be equal here and different there.
func ParseResourceID(s string) (ResourceID, error) {
	bad := func(why string) (ResourceID, error) {
		return "", Fault(KindInvalid, "malformedResourceId", "resource id %q %s", clip(s), why)
	}
	if s == "/" {
		return Root, nil
	}
	id := strings.TrimSuffix(s, "/")
	switch {
	case id == "" || id[0] != '/':
		return bad("does not begin with a slash")
	case len(id) > maxResourceID:
		return bad(fmt.Sprintf("has %d bytes; %d are allowed", len(id), maxResourceID))
	}
	for i := range len(id) {
		if c := id[i]; c < ' ' || c >= 0x7f || strings.IndexByte(`\?#%`, c) >= 0 {
			return bad(fmt.Sprintf("has the byte %q, which is not allowed", c))
		}
	}
	for segment := range strings.SplitSeq(id[1:], "/") {
		switch segment {
		case "":
			return bad("has an empty segment")
		case ".", "..":
			return bad("has a segment of dots alone")
		}
	}
	return ResourceID(id), nil
}

// Fold gives the form to compare and to index by: lower case.
func (id ResourceID) Fold() string { return strings.ToLower(string(id)) }

// Equal tells whether both name the same thing, without regard to case.
func (id ResourceID) Equal(other ResourceID) bool {
	return strings.EqualFold(string(id), string(other))
}

// Within tells whether id is scope or lies below it, at a segment boundary and without regard to case. An empty id
// lies nowhere, and nothing lies in an empty scope.
func (id ResourceID) Within(scope ResourceID) bool {
	switch {
	case id == "" || scope == "":
		return false
	case scope == Root:
		return true
	}
	if len(id) < len(scope) || !strings.EqualFold(string(id[:len(scope)]), string(scope)) {
		return false
	}
	return len(id) == len(scope) || id[len(scope)] == '/'
}

// Name gives the last segment.
func (id ResourceID) Name() string {
	return string(id[strings.LastIndexByte(string(id), '/')+1:])
}

// Segment gives what stands behind key, such as Segment("resourceGroups"); empty if nothing does. Ids are pairs of key
// and value, and a value that happens to spell like a key is none: a resource group may be called virtualMachines.
func (id ResourceID) Segment(key string) string {
	rest := strings.TrimPrefix(string(id), "/")
	for rest != "" {
		var name, value string
		name, rest, _ = strings.Cut(rest, "/")
		value, rest, _ = strings.Cut(rest, "/")
		if strings.EqualFold(name, key) {
			return value
		}
	}
	return ""
}

// InSubscription gives the subscription that id is or lies in; empty where it lies in none.
func (id ResourceID) InSubscription() SubscriptionID {
	const prefix = "/subscriptions/"
	if len(id) <= len(prefix) || !strings.EqualFold(string(id[:len(prefix)]), prefix) {
		return ""
	}
	name, _, _ := strings.Cut(string(id[len(prefix):]), "/")
	return SubscriptionID(name)
}

// SubscriptionScope gives the id of a subscription.
func SubscriptionScope(sub SubscriptionID) ResourceID {
	return ResourceID("/subscriptions/" + string(sub))
}

// ResourceGroupScope gives the id of a resource group.
func ResourceGroupScope(sub SubscriptionID, group string) ResourceID {
	return SubscriptionScope(sub) + ResourceID("/resourceGroups/"+group)
}

// MachineResource gives the id of a machine.
func MachineResource(sub SubscriptionID, group, name string) ResourceID {
	return ResourceGroupScope(sub, group) + ResourceID("/providers/Microsoft.Compute/virtualMachines/"+name)
}

// PolicyResource gives the id of a policy.
func PolicyResource(sub SubscriptionID, group, location, name string) ResourceID {
	return ResourceGroupScope(sub, group) +
		ResourceID("/providers/Microsoft.Security/locations/"+location+"/jitNetworkAccessPolicies/"+name)
}

// ApplicationDefinitionResource gives the id of a definition of managed applications.
func ApplicationDefinitionResource(sub SubscriptionID, group, name string) ResourceID {
	return ResourceGroupScope(sub, group) + ResourceID("/providers/Microsoft.Solutions/applicationDefinitions/"+name)
}

// ApplicationResource gives the id of a managed application.
func ApplicationResource(sub SubscriptionID, group, name string) ResourceID {
	return ResourceGroupScope(sub, group) + ResourceID("/providers/Microsoft.Solutions/applications/"+name)
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
