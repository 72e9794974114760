package store

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

var (
	listSceneAgents   = "select " + agentTable.selected + " from agents a"
	listSceneMachines = "select " + machineTable.selected + " from machines m"
	listSceneEntries  = "select m.agent, " + entryTable.selected +
		" from machines m join policy_machines x on x.machine = m.id"
	listSceneGrants = "select m.agent, " + grantTable.selected +
		" from machines m join grants g on g.machine = m.id where g.closed_at = 0"
)

// of is a row together with the agent that it concerns.
type of[T any] struct {
	agent access.AgentID
	item  T
}

// prefixed scans a first column and leaves the others to scan.
type prefixed struct {
	row   scanner
	first any
}

func (p prefixed) Scan(into ...any) error { return p.row.Scan(append([]any{p.first}, into...)...) }

func scanOf[T any](scan func(scanner) (T, error)) func(scanner) (of[T], error) {
	return func(row scanner) (o of[T], err error) {
		o.item, err = scan(prefixed{row, &o.agent})
		return o, err
	}
}

// Scenes implements engine.Reader.
func (r *reader) Scenes(ctx context.Context, agents []access.AgentID) (map[access.AgentID]access.Scene, error) {
	scenes := make(map[access.AgentID]access.Scene, len(agents))
	for group := range groups(agents) {
		if err := r.scenes(ctx, group, scenes); err != nil {
			return nil, err
		}
	}
	return scenes, nil
}

// groups divides agents, since a statement takes so many arguments only.
func groups(agents []access.AgentID) iter.Seq[[]access.AgentID] {
	return slices.Chunk(agents, mostInGroup)
}

const mostInGroup = 100

// filled gives the arguments that a group is asked for with. It comes in few sizes, so that few statements are
// prepared; the last agent stands for those that are missing.
func filled[T ~string](group []T) []any {
	args := texts(group)
	size := mostInGroup
	for _, smaller := range []int{10, 1} {
		if len(args) <= smaller {
			size = smaller
		}
	}
	for len(args) < size {
		args = append(args, args[len(args)-1])
	}
	return args
}

func (r *reader) scenes(ctx context.Context, agents []access.AgentID, scenes map[access.AgentID]access.Scene) error {
	args := filled(agents)
	found, err := whole(ctx, r.q, agentTable.scan, sceneText(listSceneAgents, "a.id", len(args)), args...)
	if err != nil {
		return err
	}
	machines, err := whole(ctx, r.q, machineTable.scan, sceneText(listSceneMachines, "m.agent", len(args)), args...)
	if err != nil {
		return err
	}
	entries, err := whole(ctx, r.q, scanOf(entryTable.scan), sceneText(listSceneEntries, "m.agent", len(args)), args...)
	if err != nil {
		return err
	}
	grants, err := whole(ctx, r.q, scanOf(scanGrant), sceneText(listSceneGrants, "m.agent", len(args)), args...)
	if err != nil {
		return err
	}
	at := make(map[access.AgentID]*access.Scene, len(found))
	for _, a := range found {
		at[a.ID] = &access.Scene{Agent: a}
	}
	scopes := map[access.TenantID][]access.ScopePolicy{}
	for _, m := range machines {
		scene := at[m.Agent]
		scene.Machines = append(scene.Machines, m)
		if _, read := scopes[m.Tenant]; !read {
			if scopes[m.Tenant], err = r.ScopePolicies(ctx, m.Tenant); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(scene.Scopes, func(p access.ScopePolicy) bool { return p.Tenant == m.Tenant }) {
			scene.Scopes = append(scene.Scopes, scopes[m.Tenant]...)
		}
	}
	for _, e := range entries {
		at[e.agent].Policies = append(at[e.agent].Policies, e.item)
	}
	for _, g := range grants {
		at[g.agent].Grants = append(at[g.agent].Grants, g.item)
	}
	for id, scene := range at {
		scenes[id] = *scene
	}
	return nil
}

func sceneText(text, column string, agents int) string {
	l := from(text)
	l.where(column+" in ("+strings.TrimSuffix(strings.Repeat("?, ", agents), ", ")+")", make([]any, agents)...)
	l.text.WriteString(everyRow)
	return l.text.String()
}
