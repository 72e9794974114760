package access

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Network is a name for prefixes: a policy or a request may say "office" where it would list them.
type Network struct {
	Tenant    TenantID
	Name      string // unique in the tenant without regard to case
	Prefixes  []netip.Prefix
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
	Loosened  []Loosening // who made it or widened it lately
}

// Remember returns n with what is remembered of was, the network that it replaces, and with how somebody widened it, if
// they did.
func (n Network) Remember(was Network, by PrincipalID, how []string, now time.Time) Network {
	n.Loosened = remember(was.Loosened, by, how, now)
	return n
}

// Limits of named networks.
const (
	MaxNetworks        = 500 // of one tenant
	MaxNetworkPrefixes = 100 // of one network
	MaxNetworkName     = 64  // bytes
)

// IsNetworkName tells whether s can be the name of a network: a letter, and then letters, digits, dots, dashes and
// underscores. So it is never an address or a prefix, and it is none of the words that stand for one.
func IsNetworkName(s string) bool {
	if s == "" || len(s) > MaxNetworkName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "me", "any", "all", "anywhere", "none":
		return false
	}
	return true
}

// CheckNetwork refuses a network with a name that cannot be one, or without prefixes, or with too many. It gives the
// prefixes masked, sorted, and each once.
func CheckNetwork(name string, prefixes []netip.Prefix) ([]netip.Prefix, error) {
	switch {
	case !IsNetworkName(name):
		return nil, Fault(KindInvalid, "malformedName",
			"%q cannot name a network: use a letter and then letters, digits, dots, dashes and underscores, at most "+
				"%d, and none of me, any, all, anywhere and none",
			clip(name), MaxNetworkName)
	case len(prefixes) == 0:
		return nil, Fault(KindInvalid, "prefixesMissing",
			"network %s needs at least one prefix, such as 203.0.113.0/24", name)
	case len(prefixes) > MaxNetworkPrefixes:
		return nil, Fault(KindInvalid, "tooManyPrefixes", "network %s has %d prefixes; %d are allowed", name,
			len(prefixes), MaxNetworkPrefixes)
	}
	clean := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
			return nil, Fault(KindInvalid, "malformedPrefix", "network %s has a prefix that is not one", name)
		}
		if why := NoSource(p.Masked()); why != "" {
			return nil, Fault(KindInvalid, "malformedPrefix", "network %s: %s", name, why)
		}
		clean = append(clean, p.Masked())
	}
	slices.SortFunc(clean, netip.Prefix.Compare)
	return slices.Compact(clean), nil
}
