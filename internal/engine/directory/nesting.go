package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// membershipPath names the groups on the shortest way from inner up to outer, such as `"a" is in "b", "b" is in "c"`;
// empty where inner is not in outer. Disabled groups count too: they may be enabled again.
func membershipPath(ctx context.Context, r engine.Reader, data rbac.Data, inner,
	outer access.Principal,
) (string, error) {
	if inner.ID == outer.ID {
		return fmt.Sprintf("%q is itself", inner.Name), nil
	}
	from := map[access.PrincipalID]access.PrincipalID{inner.ID: ""}
	for queue := []access.PrincipalID{inner.ID}; len(queue) > 0; queue = queue[1:] {
		for _, m := range data.Memberships {
			if _, seen := from[m.Group]; m.Member != queue[0] || seen {
				continue
			}
			from[m.Group] = queue[0]
			queue = append(queue, m.Group)
		}
	}
	if _, found := from[outer.ID]; !found {
		return "", nil
	}
	var steps []string
	above := outer
	for above.ID != inner.ID {
		below, err := r.Principal(ctx, from[above.ID])
		if err != nil {
			return "", fmt.Errorf("read principal: %w", err)
		}
		steps = append(steps, fmt.Sprintf("%q is in %q", below.Name, above.Name))
		above = below
	}
	slices.Reverse(steps)
	const most = 10
	if len(steps) > most {
		steps = append(steps[:most], "…")
	}
	return strings.Join(steps, ", "), nil
}
