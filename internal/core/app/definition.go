package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// LockLevel says what a customer's own principals may not do in the managed resource group.
type LockLevel string

// The lock levels, as Azure names them.
const (
	LockReadOnly     LockLevel = "ReadOnly"     // they read, and do the allowed actions
	LockCanNotDelete LockLevel = "CanNotDelete" // they delete nothing
	LockNone         LockLevel = "None"
)

// Definition is what a publisher offers: who of it gets which role on the managed resource group of each application,
// and on which terms. Each change makes a new revision, and the earlier ones are kept: an application goes by the
// revision that its customer deployed or accepted last.
type Definition struct {
	Resource       access.ResourceID // …/providers/Microsoft.Solutions/applicationDefinitions/{name}
	Tenant         access.TenantID   // the publisher
	Location       string
	DisplayName    string
	Description    string
	Version        string            // the publisher's own, such as 1.4.0; empty: it has none
	Disabled       bool              // nothing new is deployed from it
	Public         bool              // every tenant may deploy it
	Audience       []access.TenantID // else these may, beside the publisher
	Authorizations []Authorization
	JIT            Offer
	Lock           LockLevel
	Unmanaged      bool     // the publisher has no access at all; authorizations count for nothing
	Allowed        []string // actions that the lock leaves to the customer
	AllowedData    []string // likewise, data actions
	Endpoint       string   // where the publisher's program is told; empty: nowhere
	Form           string   // createUiDefinition, as JSON; empty: none
	Template       string   // mainTemplate, as JSON; Postern keeps it and deploys nothing
	Package        string   // URI of a package that holds both
	Tags           map[string]string
	CreatedBy      access.PrincipalID
	CreatedAt      time.Time
	UpdatedBy      access.PrincipalID
	UpdatedAt      time.Time
	Revision       int64
}

// OfferedTo tells whether a tenant may see the definition and deploy it.
func (d Definition) OfferedTo(tenant access.TenantID) bool {
	return d.Public || d.Tenant == tenant || slices.Contains(d.Audience, tenant)
}

// Same tells whether two definitions offer the same, whatever their revision.
func (d Definition) Same(other Definition) bool {
	bare := func(d Definition) Definition {
		d.Version, d.CreatedBy, d.CreatedAt, d.UpdatedBy, d.UpdatedAt, d.Revision = "", "", time.Time{}, "", time.Time{}, 0
		return d
	}
	return fmt.Sprintf("%#v", bare(d)) == fmt.Sprintf("%#v", bare(other))
}

// Digest returns what stands for the definition exactly as it is: whoever deploys or accepts it names what they were
// shown. A revision alone would not do: they begin anew when a definition is deleted and made again.
func (d Definition) Digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "postern application definition v1\n%q %d %d\n", d.Resource.Fold(),
		d.CreatedAt.UnixMicro(), d.Revision))
	return hex.EncodeToString(sum[:])
}

// NextVersion gives the version of a changed definition: what is asked for, which must be higher than was, or where
// nothing is asked for the next patch.
func NextVersion(was, asked string) (string, error) {
	old, ok := versionParts(was)
	switch next, okNext := versionParts(asked); {
	case asked == "" && was == "":
		return "1.0.0", nil
	case asked == "" && ok:
		return fmt.Sprintf("%d.%d.%d", old[0], old[1], old[2]+1), nil
	case okNext && ok && slices.Compare(next[:], old[:]) <= 0:
		return "", access.Fault(access.KindConflict, "versionNotRaised",
			"the definition has version %s already: a change needs a higher one, such as %d.%d.%d", was, old[0], old[1],
			old[2]+1)
	}
	return asked, nil
}

// versionParts reads three numbers with dots between them, without signs and leading zeros.
func versionParts(s string) (parts [3]int, ok bool) {
	texts := strings.Split(s, ".")
	if len(texts) != len(parts) {
		return parts, false
	}
	for i, text := range texts {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || strconv.Itoa(n) != text {
			return parts, false
		}
		parts[i] = n
	}
	return parts, true
}

// Name gives the last segment of the definition's resource id.
func (d Definition) Name() string { return d.Resource.Name() }

// Authorization gives a role on the managed resource group to a principal of the publisher: a group stands for each of
// its members.
type Authorization struct {
	Principal access.PrincipalID
	Role      rbac.DefinitionID
	Longest   time.Duration // of one activation; 0: as the offer says
}

// Offer says whether the publisher's access can be just in time, and how long one activation lasts at most.
type Offer struct {
	Available bool
	Required  bool          // there is no deployment with permanent access
	Longest   time.Duration // of one activation, whatever the customer sets; 0: MaxLongest
}

// Limits of definitions and applications.
const (
	MaxAuthorizations = 100
	MaxAllowed        = 1000    // allowed actions of each sort
	MaxDocument       = 1 << 20 // bytes of a form or a template
	MaxTags           = 50
	MinLongest        = 5 * time.Minute
	MaxLongest        = 24 * time.Hour
	DefaultLongest    = 8 * time.Hour
)

// Ceiling gives the longest activation that the offer has for an authorization.
func (o Offer) Ceiling(a Authorization) time.Duration {
	most := MaxLongest
	for _, bound := range []time.Duration{o.Longest, a.Longest} {
		if bound > 0 {
			most = min(most, bound)
		}
	}
	return most
}

// Longest gives the longest activation that a customer may set.
func (o Offer) ceiling() time.Duration { return o.Ceiling(Authorization{}) }
