package app

import (
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// The approval modes as Azure names them.
const (
	autoApprove   = "AutoApprove"
	manualApprove = "ManualApprove"
)

// Control gives the value that the element for just-in-time access has for settings. It has the names of both
// generations of packages: the first builds the policy from parts, the second takes the whole value as the policy.
func (s Settings) Control() map[string]any {
	mode := autoApprove
	if s.Mode == Manual {
		mode = manualApprove
	}
	approvers := make([]any, len(s.Approvers))
	for i, a := range s.Approvers {
		approvers[i] = map[string]any{"id": string(a.ID), "type": string(a.Kind), "displayName": a.Name}
	}
	longest := ""
	if s.Longest > 0 {
		longest = access.FormatISODuration(s.Longest)
	}
	return map[string]any{
		"jitEnabled": s.JIT, "maxAccessDuration": longest, "approvers": approvers,
		"jitAccessEnabled": s.JIT, "jitApprovalMode": mode, "jitApprovers": approvers,
		"maximumJitAccessDuration": longest,
	}
}

// ReadPolicy reads settings from the policy that a form puts out or a client sends. Names that it does not know count
// for nothing; case does not count.
func ReadPolicy(v any) (Settings, []access.Reason) {
	var r reasons
	const at = "jitAccessPolicy"
	if s, ok := v.(string); ok { // packages of the first generation may put out the policy as text
		parsed, err := decode(s)
		if err != nil {
			r.add("malformedPolicy", at, "%v", err)
			return Settings{}, r
		}
		v = parsed
	}
	if _, ok := objectOf(v); !ok {
		r.add("malformedPolicy", at, "the policy is an object")
		return Settings{}, r
	}
	var s Settings
	var ok bool
	if s.JIT, ok = member(v, "jitAccessEnabled").(bool); !ok {
		r.add("jitAccessEnabledMissing", at+".jitAccessEnabled", "jitAccessEnabled is true or false")
	}
	mode, _ := member(v, "jitApprovalMode").(string)
	switch strings.ToLower(mode) {
	case "", "notspecified":
	case strings.ToLower(autoApprove):
		s.Mode = Automatic
	case strings.ToLower(manualApprove):
		s.Mode = Manual
	default:
		r.add("unknownMode", at+".jitApprovalMode", "approval mode %q is not known; use AutoApprove or ManualApprove",
			clip(mode))
	}
	if longest, _ := member(v, "maximumJitAccessDuration").(string); longest != "" {
		d, err := access.ParseISODuration(longest)
		if err != nil || d <= 0 {
			r.add("malformedDuration", at+".maximumJitAccessDuration", "%q is not a duration such as PT8H",
				clip(longest))
		}
		s.Longest = d
	}
	r.approvers(&s, member(v, "jitApprovers"), at+".jitApprovers")
	return s, r
}

func (r *reasons) approvers(s *Settings, v any, field string) {
	switch list := v.(type) {
	case nil, Undefined:
	case []any:
		for _, item := range list {
			id, _ := member(item, "id").(string)
			kind, _ := member(item, "type").(string)
			name, _ := member(item, "displayName").(string)
			a := Approver{ID: access.PrincipalID(id), Kind: access.User, Name: name}
			switch strings.ToLower(kind) {
			case "", "user":
			case "group":
				a.Kind = access.Group
			default:
				r.add("approverKind", field, "an approver is a user or a group, not %q", clip(kind))
			}
			if id == "" {
				r.add("approverMissing", field, "an approver has an id")
			}
			s.Approvers = append(s.Approvers, a)
		}
	default:
		r.add("malformedApprovers", field, "approvers are an array")
	}
}

// Answers are what was filled in: by element for the basics, by step and element for the rest.
type Answers struct {
	Basics map[string]any
	Steps  map[string]map[string]any
}

// Filled is what a form makes of its answers.
type Filled struct {
	Settings   *Settings      // nil where the form has no say in it
	Name       string         // of the application; empty: the form does not say
	Managed    string         // id of the managed resource group; likewise
	Location   string         // likewise
	Parameters map[string]any // of the template: everything else
}

// readOutputs tells the outputs that mean something to the application itself from the template's parameters.
func readOutputs(outputs any, r *reasons) Filled {
	filled := Filled{Parameters: map[string]any{}}
	object, _ := objectOf(outputs)
	for _, name := range object.names {
		v := object.of[name]
		text, _ := v.(string)
		switch strings.ToLower(name) {
		case "jitaccesspolicy":
			s, reasons := ReadPolicy(v)
			*r = append(*r, reasons...)
			filled.Settings = &s
		case "applicationresourcename":
			filled.Name = text
		case "managedresourcegroupid":
			filled.Managed = text
		case "location":
			filled.Location = text
		case "managedidentity": // there are none here
		default:
			filled.Parameters[name] = map[string]any{"value": v}
		}
	}
	return filled
}

// EncodeParameters writes the template's parameters as they are kept.
func (f Filled) EncodeParameters() string { return encode(f.Parameters) }
