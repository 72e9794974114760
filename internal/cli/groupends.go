package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/api"
)

// restsOn says what of a principal's access may end when they lose a right: the server knows which of it rests on that
// right alone, and the principal what they would miss.
func (a *app) restsOn(ctx context.Context, cl *api.Client, ref string) ([]string, error) {
	p, err := cl.Principal(ctx, ref)
	if missing(err) {
		return []string{"  - ends access that rests on this alone, at once"}, nil // who may do it may not always look
	}
	if err != nil {
		return nil, err
	}
	if p.Kind == "group" {
		return []string{"  - ends its members' access that rests on this alone, at once"}, nil
	}
	held, err := api.All(cl.Grants(ctx, api.GrantQuery{States: live(), Principal: p.ID}))
	if err != nil && !missing(err) {
		return nil, err
	}
	if len(held) == 0 {
		return []string{"  - " + p.Name + " holds no access now"}, nil
	}
	return []string{fmt.Sprintf("  - ends at once what rests on this alone of what %s holds: %s", p.Name,
		some(held, a.held))}, nil
}

// held writes a grant that somebody holds.
func (a *app) held(g api.Grant) string {
	if isScheduled(g) {
		return whatOf(g) + ", " + a.style().clock(g.Start)
	}
	return whatOf(g)
}

// memberEnds says what follows where members leave a group.
func (a *app) memberEnds(ctx context.Context, cl *api.Client, group string, members []string) ([]string, error) {
	lines := []string{
		"Removing " + strings.Join(members, ", ") + " from " + group + ":",
		"  - takes the rights that the group has",
	}
	for _, member := range members {
		rest, err := a.restsOn(ctx, cl, member)
		if err != nil {
			return nil, err
		}
		lines = append(lines, rest...)
	}
	return lines, nil
}
