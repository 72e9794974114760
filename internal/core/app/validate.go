package app

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Known is what a definition or settings are checked against: the principals and the roles that they name, as far as
// they exist in the tenant that gives them.
type Known struct {
	Principals map[access.PrincipalID]access.Principal
	Roles      map[rbac.DefinitionID]rbac.Definition
}

type reasons []access.Reason

func (r *reasons) add(code, field, format string, args ...any) {
	*r = append(*r, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

// Bounds of the texts of a definition.
const (
	maxDisplayName = 60
	maxText        = 2048
	maxEndpoint    = 2048
	minName        = 3
	maxName        = 64
)

// CheckName refuses what cannot name a definition or an application.
func CheckName(what, name string) error {
	if len(name) < minName || len(name) > maxName {
		return access.Fault(access.KindInvalid, "malformedName", "the name of %s has %d to %d characters, not %d", what,
			minName, maxName, len(name))
	}
	return access.CheckName(what, name)
}

// Validate gives every reason for which d cannot be a definition; none where it can.
func (d Definition) Validate(known Known) []access.Reason {
	var r reasons
	if err := CheckName("an application definition", d.Name()); err != nil {
		r.add("malformedName", "name", "%v", err)
	}
	for _, text := range []struct {
		field, text string
		most        int
	}{
		{"displayName", d.DisplayName, maxDisplayName},
		{"description", d.Description, maxText},
		{"packageFileUri", d.Package, maxText},
	} {
		if len(text.text) > text.most || hasControl(text.text) {
			r.add("malformedText", text.field, "the text has at most %d bytes and no control characters", text.most)
		}
	}
	if _, ok := versionParts(d.Version); d.Version != "" && !ok {
		r.add("malformedVersion", "version", "a version is three numbers, such as 1.4.0; not %q", clip(d.Version))
	}
	r.authorizations(d, known)
	r.offer(d)
	r.lock(d)
	r.endpoint(d.Endpoint)
	r.documents(d)
	r.tags(d.Tags)
	return r
}

func (r *reasons) authorizations(d Definition, known Known) {
	if n := len(d.Authorizations); n > MaxAuthorizations {
		r.add("tooManyAuthorizations", "authorizations",
			"the definition has %d authorizations; %d are allowed: authorize a group", n, MaxAuthorizations)
		return
	}
	if len(d.Authorizations) == 0 && !d.Unmanaged {
		r.add("authorizationsMissing", "authorizations",
			"name at least one principal and its role, or offer the application unmanaged")
	}
	for i, a := range d.Authorizations {
		field := fmt.Sprintf("authorizations[%d]", i)
		if _, ok := known.Principals[a.Principal]; !ok {
			r.add("unknownPrincipal", field+".principalId", "there is no principal %q in the publisher's tenant",
				clip(string(a.Principal)))
		}
		role, ok := known.Roles[a.Role]
		switch {
		case !ok:
			r.add("unknownRole", field+".roleDefinitionId", "there is no role %q", clip(string(a.Role)))
		case !role.BuiltIn:
			r.add("customRole", field+".roleDefinitionId",
				"role %q is a role of the publisher's own; authorize a built-in role, which every tenant has",
				clip(role.Name))
		case role.ID == rbac.UserAccessAdministrator:
			r.add("roleGivesRoles", field+".roleDefinitionId",
				"role %q is for giving roles, which a publisher's principals never do in a customer's group", role.Name)
		}
		if slices.ContainsFunc(d.Authorizations[:i],
			func(b Authorization) bool { return b.Principal == a.Principal && b.Role == a.Role }) {
			r.add("duplicateAuthorization", field, "this principal has this role already")
		}
		r.longest(field+".maximumDuration", a.Longest)
	}
}

// longest refuses a longest activation that is none; 0 says nothing.
func (r *reasons) longest(field string, d time.Duration) {
	if d != 0 && (d < MinLongest || d > MaxLongest) {
		r.add("durationOutOfRange", field, "an activation can last %s to %s, not %s",
			access.FormatISODuration(MinLongest), access.FormatISODuration(MaxLongest), access.FormatISODuration(d))
	}
}

func (r *reasons) offer(d Definition) {
	r.longest("jit.maximumDuration", d.JIT.Longest)
	switch {
	case d.JIT.Required && !d.JIT.Available:
		r.add("jitNotAvailable", "jit.required", "just-in-time access cannot be required where it is not available")
	case d.JIT.Available && d.Unmanaged:
		r.add("unmanaged", "jit.available", "there is nothing to activate where the publisher has no access")
	}
}

func (r *reasons) lock(d Definition) {
	if !slices.Contains([]LockLevel{LockReadOnly, LockCanNotDelete, LockNone}, d.Lock) {
		r.add("unknownLockLevel", "lockLevel", "lock level %q is not known; use ReadOnly, CanNotDelete or None",
			clip(string(d.Lock)))
	}
	for _, list := range []struct {
		field    string
		patterns []string
	}{{"allowedActions", d.Allowed}, {"allowedDataActions", d.AllowedData}} {
		if len(list.patterns) > MaxAllowed {
			r.add("tooManyActions", list.field, "%d actions are allowed to the customer at most", MaxAllowed)
			continue
		}
		for i, text := range list.patterns {
			if why := rbac.MalformedPattern(text); why != "" {
				r.add("malformedAction", fmt.Sprintf("%s[%d]", list.field, i), "action %q %s; write one such as %s",
					clip(text), why, rbac.MachinesRead)
			}
		}
	}
}

func (r *reasons) endpoint(text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxEndpoint || hasControl(
		text) || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		r.add("malformedEndpoint", "notificationEndpoint",
			"the notification endpoint is a URL that begins with https://, without user name and fragment")
	}
}

func (r *reasons) documents(d Definition) {
	for _, doc := range []struct{ field, text string }{{"createUiDefinition", d.Form}, {"mainTemplate", d.Template}} {
		if len(doc.text) > MaxDocument {
			r.add("documentTooLong", doc.field, "the document has %d bytes; %d are allowed", len(doc.text), MaxDocument)
			return
		}
	}
	if d.Template != "" {
		if _, err := decodeObject(d.Template); err != nil {
			r.add("malformedTemplate", "mainTemplate", "%v", err)
		}
	}
	if d.Form == "" {
		return
	}
	form, findings := ParseForm(d.Form)
	*r = append(*r, findings...)
	if len(findings) == 0 && form.HasJIT() && !d.JIT.Available {
		r.add("jitNotAvailable", "createUiDefinition",
			"the form has a %s, but just-in-time access is not available: make it available, or take the step out",
			JITElement)
	}
}

func (r *reasons) tags(tags map[string]string) {
	if len(tags) > MaxTags {
		r.add("tooManyTags", "tags", "there are %d tags; %d are allowed", len(tags), MaxTags)
	}
	for name, value := range tags {
		if name == "" || len(name) > 512 || len(value) > 256 || hasControl(name) || hasControl(value) {
			r.add("malformedTag", "tags",
				"a tag has a name of 1 to 512 bytes and a value of at most 256, without control characters")
			return
		}
	}
}

// Validate gives every reason for which s cannot be the terms of an application on offer o; none where they can.
// s must be Filled.
func (s Settings) Validate(o Offer, known Known) []access.Reason {
	var r reasons
	switch {
	case s.JIT && !o.Available:
		r.add("jitNotAvailable", "jitAccessPolicy.jitAccessEnabled",
			"the definition does not offer just-in-time access: the publisher's roles can only be permanent")
		return r
	case !s.JIT && o.Required:
		r.add("jitRequired", "jitAccessPolicy.jitAccessEnabled",
			"the definition is offered with just-in-time access alone")
		return r
	case !s.JIT:
		return nil
	}
	switch {
	case s.Mode != Automatic && s.Mode != Manual:
		r.add("unknownMode", "jitAccessPolicy.jitApprovalMode",
			"approval mode %q is not known; use automatic or manual", clip(string(s.Mode)))
	case s.Mode == Manual && len(s.Approvers) == 0:
		r.add("approversMissing", "jitAccessPolicy.jitApprovers",
			"manual approval needs at least one approver: without any, nobody could ever approve")
	}
	if most := o.ceiling(); s.Longest < MinLongest || s.Longest > most {
		r.add("durationOutOfRange", "jitAccessPolicy.maximumJitAccessDuration",
			"the longest activation is %s to %s here, not %s",
			access.FormatISODuration(MinLongest), access.FormatISODuration(most), access.FormatISODuration(s.Longest))
	}
	if len(s.Approvers) > MaxApprovers {
		r.add("tooManyApprovers", "jitAccessPolicy.jitApprovers",
			"there are %d approvers; %d are allowed: name a group", len(s.Approvers), MaxApprovers)
		return r
	}
	for i, a := range s.Approvers {
		field := fmt.Sprintf("jitAccessPolicy.jitApprovers[%d]", i)
		p, ok := known.Principals[a.ID]
		switch {
		case !ok:
			r.add("unknownApprover", field,
				"there is no person or group %q in the customer's tenant: the customer's own people decide",
				clip(string(a.ID)))
		case p.Kind == access.ServicePrincipal:
			r.add("approverNotAPerson", field, "%q is a service principal: people approve, programs do not", p.Name)
		case p.Kind != a.Kind:
			r.add("approverKind", field, "%q is a %s, not a %s", p.Name, p.Kind, a.Kind)
		case slices.ContainsFunc(s.Approvers[:i], func(b Approver) bool { return b.ID == a.ID }):
			r.add("duplicateApprover", field, "%q is named twice", p.Name)
		}
	}
	return r
}

// MaxApprovers is how many people and groups may be named to approve.
const MaxApprovers = 100

// CheckMove refuses a change of the settings that an application does not allow: who chose just-in-time access keeps
// it. To turn it on later takes permanent roles away and is always allowed; to turn it off would make access permanent
// that was agreed to be temporary, and needs a new application.
func (s Settings) CheckMove(next Settings) error {
	if s.JIT && !next.JIT {
		return access.Fault(access.KindConflict, "jitCannotBeTurnedOff",
			"this application was created with just-in-time access, which cannot be disabled later: to give the publisher "+
				"permanent access, delete it and create one without")
	}
	return nil
}

// ValidateTags gives every reason for which tags cannot be kept.
func ValidateTags(tags map[string]string) []access.Reason {
	var r reasons
	r.tags(tags)
	return r
}

func hasControl(s string) bool {
	return strings.ToValidUTF8(s,
		"") != s || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f })
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
