package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// FindSubscription gives the subscription of a tenant that ref names by name, GUID or resource id; empty is the default
// one.
func FindSubscription(ctx context.Context, r Reader, tenant access.TenantID, ref string) (access.Subscription, error) {
	if ref == "" {
		return SubscriptionByDefault(ctx, r, tenant)
	}
	id := ref
	if strings.HasPrefix(ref, "/") {
		scope, err := access.ParseResourceID(ref)
		if err != nil {
			return access.Subscription{}, err
		}
		id = scope.Segment("subscriptions")
	}
	all, err := r.Subscriptions(ctx)
	if err != nil {
		return access.Subscription{}, fmt.Errorf("read subscriptions: %w", err)
	}
	for _, s := range all {
		if s.Tenant == tenant && (strings.EqualFold(string(s.ID), id) || strings.EqualFold(s.Name, ref)) {
			return s, nil
		}
	}
	return access.Subscription{}, access.Fault(access.KindNotFound, "unknownSubscription",
		"there is no subscription %q", Clip(ref))
}

// PlacedGroup is a resource group with its subscription.
type PlacedGroup struct {
	Subscription access.Subscription
	Group        access.ResourceGroup
}

// Scope returns the resource id of the group.
func (p PlacedGroup) Scope() access.ResourceID {
	return access.ResourceGroupScope(p.Subscription.ID, p.Group.Name)
}

// FindGroup gives the resource group that ref names: by name, by resource id, or the default one where ref is empty. It
// is one of the caller's own tenant, or one in, above or at which they have a role as a guest; a name that several have
// is taken from the caller's own, and of those from the first by the names of their subscriptions.
func FindGroup(ctx context.Context, r Reader, may Rights, ref string) (PlacedGroup, error) {
	name, within := ref, access.SubscriptionID("")
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return PlacedGroup{}, err
		}
		name, within = id.Segment("resourceGroups"), access.SubscriptionID(id.Segment("subscriptions"))
	}
	if ref == "" {
		name = DefaultResourceGroup
	}
	subscriptions, err := r.Subscriptions(ctx)
	if err != nil {
		return PlacedGroup{}, fmt.Errorf("read subscriptions: %w", err)
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return PlacedGroup{}, fmt.Errorf("read resource groups: %w", err)
	}
	slices.SortStableFunc(subscriptions, func(a, b access.Subscription) int {
		switch home := may.IsHome(a.Tenant); {
		case home == may.IsHome(b.Tenant):
			return 0
		case home:
			return -1
		}
		return 1
	})
	places := may.Dir.Places(may.Caller.Principal, may.Now)
	for _, s := range subscriptions {
		if within != "" && !strings.EqualFold(string(within), string(s.ID)) {
			continue
		}
		for _, g := range groups {
			found := PlacedGroup{Subscription: s, Group: g}
			if g.Subscription == s.ID && strings.EqualFold(g.Name,
				name) && (may.IsHome(s.Tenant) || Touches(found.Scope(), places)) {
				return found, nil
			}
		}
	}
	return PlacedGroup{}, NoSuchGroup(cmp.Or(name, ref))
}

// SubscriptionByDefault gives the subscription of a tenant that is meant where none is named.
func SubscriptionByDefault(ctx context.Context, r Reader, tenant access.TenantID) (access.Subscription, error) {
	subscriptions, err := r.Subscriptions(ctx)
	if err != nil {
		return access.Subscription{}, fmt.Errorf("read subscriptions: %w", err)
	}
	for _, s := range subscriptions {
		if s.Tenant == tenant {
			return s, nil
		}
	}
	return access.Subscription{}, access.Fault(access.KindNotFound, "noSubscription", "the tenant has no subscription")
}

// MostStates is how many states are read at once.
const MostStates = 1000

// ToTheEnd reads on behind what was read last until there is no more: what is not found has ended, and its alert
// closes, so that a part would be taken for the whole.
func ToTheEnd[T any, ID ~string](id func(T) ID, read func(after ID) ([]T, error)) (all []T, err error) {
	for after := ID(""); ; {
		some, err := read(after)
		if all = append(all, some...); err != nil || len(some) < MostStates {
			return all, err
		}
		after = id(some[len(some)-1])
	}
}

// IDOfAgent returns the id of an agent.
func IDOfAgent(a access.Agent) access.AgentID { return a.ID }

// GuardedWithin gives the first machines of an agent, by name, that covered says to lie within the scopes.
func GuardedWithin(ctx context.Context, r Reader, agent access.AgentID, scopes []access.ResourceID,
	limit int,
) ([]access.Machine, error) {
	within := inSubscriptions(scopes)
	if len(within) == 0 {
		return nil, nil // which as a filter would not bound anything
	}
	machines, err := r.Machines(ctx, MachineFilter{Agent: agent, Scopes: within}, Page{Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("read machines: %w", err)
	}
	return machines.Items, nil
}

// OnlyMachine gives the machine of an agent that guards one alone, or the zero Machine.
func OnlyMachine(ctx context.Context, r Reader, agent access.AgentID) (access.Machine, error) {
	machines, err := r.Machines(ctx, MachineFilter{Agent: agent}, Page{Limit: 2})
	switch {
	case err != nil:
		return access.Machine{}, fmt.Errorf("read machines: %w", err)
	case len(machines.Items) != 1:
		return access.Machine{}, nil
	}
	return machines.Items[0], nil
}

// The names that the first start gives, and the location of everything that is not in a cloud.
const (
	DefaultTenant        = "default"
	DefaultSubscription  = "default"
	DefaultResourceGroup = "default"
	LocalLocation        = "local"
	DefaultPolicy        = "default"
)

// NamedIn gives the groups and people that a stage names.
func NamedIn(s access.Stage) []access.PrincipalID {
	var ids []access.PrincipalID
	for _, q := range append(slices.Clone(s.AllOf), s.AnyOf...) {
		ids = append(ids, q.Groups...)
		ids = append(ids, q.People...)
	}
	return ids
}

// Narrow makes the filter one for the machines on which the caller may do one of the actions, and gives the scopes in
// which those lie.
func (f *MachineFilter) Narrow(ctx context.Context, r Reader, may Rights,
	actions ...string,
) ([]access.ResourceID, error) {
	scopes, err := may.Anywhere(actions...)
	if err != nil {
		return nil, err
	}
	f.Tenant, f.Beside = may.Caller.Tenant, may.Beside()
	if len(f.Beside) > 0 || !Covered(access.Root, scopes) {
		if f.Scopes = inSubscriptions(scopes); len(f.Scopes) == 0 {
			f.Scopes = []access.ResourceID{nowhere} // as a filter none would not bound anything
		}
	}
	if f.Labels, err = ParseSelector(f.Selector, "labels"); err != nil {
		return nil, err
	}
	f.readSearch()
	if f.Group != "" {
		group, err := FindGroup(ctx, r, may, f.Group)
		if err != nil {
			return nil, err
		}
		f.Scope = group.Scope()
	}
	return scopes, nil
}

// inSubscriptions gives those of the scopes that machines may lie in: they lie in subscriptions, and what lies above
// those reaches none.
func inSubscriptions(scopes []access.ResourceID) []access.ResourceID {
	return slices.DeleteFunc(slices.Clone(scopes), func(s access.ResourceID) bool { return s.InSubscription() == "" })
}

// nowhere is a scope in which no machine lies.
const nowhere access.ResourceID = "/nowhere"

// NamedInPolicy gives the groups and people that an entry names.
func NamedInPolicy(entry access.MachinePolicy) []access.PrincipalID {
	var ids []access.PrincipalID
	for _, c := range entry.Approval.Cases {
		for _, s := range c.Stages {
			ids = append(ids, NamedIn(s)...)
		}
	}
	if entry.BreakGlass != nil {
		ids = append(append(ids, entry.BreakGlass.Groups...), entry.BreakGlass.People...)
	}
	return ids
}

// FirstError returns the first error that is not nil.
func FirstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// AuthorizeHome is authorize at the root, for callers of the tenant that runs the server alone: what concerns all
// tenants is no business of anybody else.
func (e *Kernel) AuthorizeHome(ctx context.Context, r Reader, c Caller, action string) (Rights, error) {
	may, err := e.Authorize(ctx, r, c, action, access.Root)
	if err != nil {
		return Rights{}, err
	}
	home, err := HomeTenant(ctx, r)
	if err != nil {
		return Rights{}, fmt.Errorf("read tenants: %w", err)
	}
	if c.Tenant != home {
		return Rights{}, Forbidden(action, access.Root,
			"it concerns all tenants, and is for the one that runs the server")
	}
	return may, nil
}

// KeepAgent saves an agent.
func KeepAgent(ctx context.Context, tx Tx, a access.Agent) error {
	if err := tx.SaveAgent(ctx, a); err != nil {
		return fmt.Errorf("save agent: %w", err)
	}
	return nil
}

// Limits on what is said of a machine.
const (
	MaxAddresses = 64
	MaxLabels    = 50
)

// FindMachine gives the machine that ref names among those on which the caller may do one of the actions, the first of
// which the call is about. Where the caller may not know of a machine it is not found, whether it exists or not. A name
// means one of the caller's own tenant before it means one of a tenant where they are a guest.
func FindMachine(ctx context.Context, r Reader, may Rights, ref string, actions ...string) (access.Machine, error) {
	scopes, err := may.Anywhere(append(actions, rbac.MachinesRead)...)
	if err != nil {
		return access.Machine{}, err
	}
	candidates, err := machinesNamed(ctx, r, may, ref, scopes)
	if err != nil {
		return access.Machine{}, err
	}
	switch len(candidates) {
	case 0:
		return access.Machine{}, access.Fault(access.KindNotFound, "unknownMachine",
			"there is no machine %q that you may see", Clip(ref))
	case 1:
	default:
		e := access.Fault(access.KindInvalid, "ambiguousMachine",
			"there are %d machines %q: name one by its id or resource id", len(candidates), Clip(ref))
		for _, m := range candidates[:min(len(candidates), 10)] {
			e.Reasons = append(e.Reasons, access.Reason{Code: "candidate", Message: string(m.Resource)})
		}
		return access.Machine{}, e
	}
	m := candidates[0]
	for _, action := range actions {
		if may.May(action, m.Resource) {
			return m, nil
		}
	}
	return access.Machine{}, may.Require(actions[0], m.Resource)
}

// machinesNamed gives the machines within the scopes that ref may mean. One by its name is looked for in the caller's
// own tenant, and then in those where they are a guest: what the machines of other tenants are called hides none.
func machinesNamed(ctx context.Context, r Reader, may Rights, ref string,
	scopes []access.ResourceID,
) ([]access.Machine, error) {
	within := func(list []access.Machine) []access.Machine {
		return slices.DeleteFunc(list, func(m access.Machine) bool { return !Covered(m.Resource, scopes) })
	}
	one := func(m access.Machine, err error) ([]access.Machine, error) {
		switch {
		case IsKind(err, access.KindNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read machine: %w", err)
		}
		return within([]access.Machine{m}), nil
	}
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return nil, err
		}
		return one(r.MachineByResource(ctx, id))
	}
	if err := access.CheckName("machine", ref); err != nil {
		return nil, err
	}
	if uuid.Validate(ref) == nil {
		if found, err := one(r.Machine(ctx, access.MachineID(strings.ToLower(ref)))); err != nil || len(found) > 0 {
			return found, err
		}
	}
	machines, err := r.MachinesByName(ctx, may.Caller.Tenant, ref)
	if machines = within(machines); err == nil && len(machines) == 0 {
		for _, tenant := range may.Beside() {
			var some []access.Machine
			if some, err = r.MachinesByName(ctx, tenant, ref); err != nil {
				break
			}
			machines = append(machines, within(some)...)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read machines by name: %w", err)
	}
	return machines, nil
}

// SelectorFault returns the refusal of a selector, with the field that it came in.
func SelectorFault(code, field, format string, args ...any) error {
	e := access.Fault(access.KindInvalid, code, format, args...)
	e.Reasons = []access.Reason{{Code: code, Field: field, Message: e.Message}}
	return e
}

// ParseSelector reads "env=prod,role=web".
func ParseSelector(text, field string) (map[string]string, error) {
	labels := map[string]string{}
	if text == "" {
		return labels, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, "=")
		if _, twice := labels[name]; !ok || name == "" || twice || len(labels) >= MaxLabels {
			return nil, SelectorFault("malformedSelector", field,
				"%q is not a selector; write labels such as env=prod,role=web, each once", Clip(text))
		}
		labels[name] = value
	}
	return labels, nil
}

// readSearch takes the words that speak of labels out of what is searched for: env=prod, env!=prod, and env= for
// whatever value. Commas part words as spaces do, so that a selector can be searched for.
func (f *MachineFilter) readSearch() {
	var words []string
	for _, word := range strings.FieldsFunc(f.Search, func(r rune) bool { return unicode.IsSpace(r) || r == ',' }) {
		name, value, ok := strings.Cut(word, "=")
		not := strings.HasSuffix(name, "!")
		if name = strings.TrimSuffix(name, "!"); !ok || name == "" {
			words = append(words, word)
			continue
		}
		f.Tests = append(f.Tests, LabelTest{Name: name, Value: value, Any: value == "", Not: not})
	}
	f.Search = strings.Join(words, " ")
}

// Touches tells whether id lies within one of the scopes, or one of them within id.
func Touches(id access.ResourceID, scopes []access.ResourceID) bool {
	return Covered(id, scopes) || slices.ContainsFunc(scopes, func(s access.ResourceID) bool { return s.Within(id) })
}
