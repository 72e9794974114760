package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// networkEnds says what follows where a network that policies name has other prefixes. It returns the revision of the
// network that it looked at, or 0 where there is none.
func (a *app) networkEnds(ctx context.Context, cl *api.Client, name string,
	prefixes []string,
) (lines []string, seen int64, err error) {
	all := map[string][]string{}
	for n, err := range cl.Networks(ctx) {
		if err != nil {
			return nil, 0, err
		}
		if strings.EqualFold(n.Name, name) {
			seen = n.Revision
		}
		all[strings.ToLower(n.Name)] = n.Prefixes
	}
	name = strings.ToLower(name)
	was, known := all[name]
	all[name] = prefixes
	gone, added := outside(was, prefixes), outside(prefixes, was)
	if !known || len(gone)+len(added) == 0 {
		return nil, seen, nil
	}
	var machines []string
	var ending []api.Grant
	for view, err := range cl.Policies(ctx) {
		if missing(err) {
			break // who may write networks may not always read policies
		}
		if err != nil {
			return nil, 0, err
		}
		named := rulesNaming(name, view.Ports)
		if len(named) == 0 {
			continue
		}
		machines = append(machines, view.Machine)
		if len(gone) == 0 {
			continue
		}
		held, err := liveOn(ctx, cl, view.Machine)
		if err != nil && !missing(err) {
			return nil, 0, err
		}
		for _, g := range held {
			if slices.ContainsFunc(named, func(r api.PortRule) bool {
				return meets(r, g.Ports, g.Protocol) && len(outside(g.Sources, resolved(r.Sources, all))) > 0
			}) {
				ending = append(ending, g)
			}
		}
	}
	var scopes []string
	for p, err := range cl.ScopePolicies(ctx) {
		if missing(err) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if len(rulesNaming(name, p.Ports)) > 0 {
			scopes = append(scopes, p.Name)
		}
	}
	itself := func(s string) string { return s }
	switch {
	case len(machines) > 0:
		lines = append(lines, fmt.Sprintf("Changing the network %s, which the policies of %s name: %s:", name,
			count(len(machines), "machine"), some(machines, itself)))
	case len(scopes) > 0:
		lines = append(lines, "Changing the network "+name+", which scope policies name:")
	default:
		return nil, seen, nil
	}
	if len(scopes) > 0 {
		lines = append(lines, "  - changes the scope policies "+some(scopes, itself)+
			" for every machine that they reach, and revokes open grants under them from addresses that the network loses")
	}
	if len(added) > 0 {
		lines = append(lines, "  - allows requests also from "+some(added, itself))
	}
	if len(gone) > 0 {
		lines = append(lines, "  - allows no requests any more from "+some(gone, itself),
			"  - denies pending requests from there")
	}
	return append(lines, a.ends(ending)...), seen, nil
}

// rulesNaming returns those of the rules that name a network.
func rulesNaming(network string, rules []api.PortRule) []api.PortRule {
	return slices.DeleteFunc(slices.Clone(rules), func(r api.PortRule) bool {
		return !slices.ContainsFunc(r.Sources, func(s string) bool { return strings.EqualFold(s, network) })
	})
}

// resolved gives the prefixes that sources stand for.
func resolved(sources []string, networks map[string][]string) (prefixes []string) {
	for _, s := range sources {
		if of, named := networks[strings.ToLower(s)]; named {
			prefixes = append(prefixes, of...)
		} else {
			prefixes = append(prefixes, s)
		}
	}
	return prefixes
}

// outside gives those prefixes that lie in none of the others. What cannot be read the server refuses.
func outside(prefixes, others []string) (rest []string) {
	for _, text := range prefixes {
		p, err := access.ParsePrefix(text)
		if err == nil && !slices.ContainsFunc(others, func(other string) bool {
			o, err := access.ParsePrefix(other)
			return err == nil && access.PrefixWithin(p, o)
		}) {
			rest = append(rest, text)
		}
	}
	return rest
}
