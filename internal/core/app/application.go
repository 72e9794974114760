package app

import (
	"maps"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Mode says who decides on an activation.
type Mode string

// The modes.
const (
	Automatic Mode = "automatic" // it is approved at once, and the approvers are told
	Manual    Mode = "manual"    // one of the approvers decides
)

// Settings are the customer's terms for the publisher's access. Without JIT the publisher's roles are permanent, and
// the other settings are empty.
type Settings struct {
	JIT       bool
	Mode      Mode
	Longest   time.Duration
	Approvers []Approver
}

// Approver is a person or a group of the customer's tenant.
type Approver struct {
	ID   access.PrincipalID
	Kind access.PrincipalKind // User or Group
	Name string               // as it was when it was set
}

// DefaultSettings gives what counts where a customer sets nothing: just in time where that is offered, approved at
// once, for eight hours at most.
func DefaultSettings(o Offer) Settings {
	if !o.Available {
		return Settings{}
	}
	return Settings{JIT: true, Mode: Automatic, Longest: min(DefaultLongest, o.ceiling())}
}

// Filled gives the settings with the defaults where they say nothing; without JIT the rest is dropped.
func (s Settings) Filled(o Offer) Settings {
	if !s.JIT {
		return Settings{}
	}
	usual := DefaultSettings(o)
	if s.Mode == "" {
		s.Mode = usual.Mode
	}
	if s.Longest == 0 {
		s.Longest = usual.Longest
	}
	return s
}

// Equal tells whether both are the same terms.
func (s Settings) Equal(other Settings) bool {
	same := func(a, b Approver) bool { return a.ID == b.ID && a.Kind == b.Kind }
	return s.JIT == other.JIT && s.Mode == other.Mode && s.Longest == other.Longest && slices.EqualFunc(s.Approvers,
		other.Approvers, same)
}

// Rule gives the approval rule of an activation: none in automatic mode, else one of the approvers.
func (s Settings) Rule() access.Rule {
	if s.Mode != Manual {
		return access.Rule{}
	}
	one := access.Quorum{Count: 1}
	for _, a := range s.Approvers {
		if a.Kind == access.Group {
			one.Groups = append(one.Groups, a.ID)
		} else {
			one.People = append(one.People, a.ID)
		}
	}
	return access.Rule{Cases: []access.Case{
		{Name: "the application's approvers", Stages: []access.Stage{{AllOf: []access.Quorum{one}}}},
	}}
}

// Application is what a customer deployed: a managed resource group in which the publisher's principals have what the
// definition says, on the customer's terms.
type Application struct {
	Resource   access.ResourceID // …/providers/Microsoft.Solutions/applications/{name}
	Tenant     access.TenantID   // the customer
	Publisher  access.TenantID
	Definition access.ResourceID
	Terms      Definition        // the revision of the definition that the customer deployed or accepted last
	Managed    access.ResourceID // the managed resource group
	Location   string
	Kind       string // ServiceCatalog, or what the customer's client sent
	Settings   Settings
	Parameters string // of the template, as JSON; kept and given back
	Tags       map[string]string
	CreatedBy  access.PrincipalID
	CreatedAt  time.Time
	UpdatedBy  access.PrincipalID
	UpdatedAt  time.Time
	Revision   int64
}

// Same tells whether two states of an application are the same terms.
func (a Application) Same(other Application) bool {
	return a.Settings.Equal(other.Settings) && a.Terms.Revision == other.Terms.Revision && a.Terms.CreatedAt.Equal(
		other.Terms.CreatedAt) &&
		a.Parameters == other.Parameters && maps.Equal(a.Tags, other.Tags)
}

// Name gives the last segment of the application's resource id.
func (a Application) Name() string { return a.Resource.Name() }

// Rights is what the publisher's principals have on the managed resource group. Eligible roles are activated; the
// others are held for ever.
type Rights struct {
	Permanent []Authorization
	Eligible  []Authorization // with the longest activation that counts
}

// Rights gives what the application gives to its publisher: read always, and the definition's roles either to activate
// or for ever.
func (a Application) Rights() Rights {
	var r Rights
	if a.Terms.Unmanaged {
		return r
	}
	reads := map[access.PrincipalID]bool{}
	for _, given := range a.Terms.Authorizations {
		if !reads[given.Principal] {
			reads[given.Principal] = true
			r.Permanent = append(r.Permanent, Authorization{Principal: given.Principal, Role: rbac.Reader})
		}
		switch {
		case given.Role == rbac.Reader:
		case a.Settings.JIT:
			given.Longest = min(a.Settings.Longest, a.Terms.JIT.Ceiling(given))
			r.Eligible = append(r.Eligible, given)
		default:
			r.Permanent = append(r.Permanent, Authorization{Principal: given.Principal, Role: given.Role})
		}
	}
	return r
}

// Principals gives the publisher's principals that the definition names, each once.
func (a Application) Principals() []access.PrincipalID {
	var list []access.PrincipalID
	for _, given := range a.Terms.Authorizations {
		if !slices.Contains(list, given.Principal) {
			list = append(list, given.Principal)
		}
	}
	return list
}
