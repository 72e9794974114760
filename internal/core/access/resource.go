package access

import (
	"strings"
)

// ResourceID is an Azure Resource Manager resource id, such as
// /subscriptions/{guid}/resourceGroups/{name}/providers/Microsoft.Compute/virtualMachines/{name}.
// It is kept as first written and compared without regard to case; "/" is the root. A scope is a ResourceID too.
type ResourceID string

// Root is the scope that contains every other.
const Root ResourceID = "/"

const maxResourceID = 2048

// ParseResourceID checks the form of s: a leading slash, no empty segment, no control character or backslash, at
// most 2,048 bytes. A trailing slash is dropped.
func ParseResourceID(s string) (ResourceID, error) {
	if s == "/" {
		return Root, nil
	}
	s = strings.TrimSuffix(s, "/")
	switch {
	case s == "" || s[0] != '/':
		return "", Fault(KindInvalid, "malformedResourceId", "resource id %q does not begin with a slash", clip(s))
	case len(s) > maxResourceID:
		return "", Fault(KindInvalid, "malformedResourceId", "resource id has %d bytes; %d are allowed", len(s), maxResourceID)
	case strings.Contains(s, "//"):
		return "", Fault(KindInvalid, "malformedResourceId", "resource id %q has an empty segment", clip(s))
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\\' || r == '?' || r == '#' || r == '\uFFFD' {
			return "", Fault(KindInvalid, "malformedResourceId", "resource id %q has the character %q, which is not allowed", clip(s), r)
		}
	}
	return ResourceID(s), nil
}

// Fold gives the form to compare and to index by: lower case.
func (id ResourceID) Fold() string { return strings.ToLower(string(id)) }

// Equal tells whether both name the same thing, without regard to case.
func (id ResourceID) Equal(other ResourceID) bool {
	return strings.EqualFold(string(id), string(other))
}

// Within tells whether id is scope or lies below it, at a segment boundary and without regard to case.
func (id ResourceID) Within(scope ResourceID) bool {
	if scope == Root {
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

// Segment gives the segment that follows the first one called key, such as Segment("resourceGroups"); empty if none does.
func (id ResourceID) Segment(key string) string {
	rest := string(id)
	for rest != "" {
		var segment string
		segment, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		if strings.EqualFold(segment, key) {
			value, _, _ := strings.Cut(rest, "/")
			return value
		}
	}
	return ""
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

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
