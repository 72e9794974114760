package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// MachinesByID implements engine.ViewReader.
func (r *reader) MachinesByID(ctx context.Context, ids []access.MachineID) ([]access.Machine, error) {
	return grouped(ids, func(marks string, args []any) ([]access.Machine, error) {
		return all(ctx, r.q, machineTable.scan,
			"select "+machineTable.selected+" from machines m where m.id in ("+marks+") order by m.id limit 1000", args...)
	})
}

// FormerMachines implements engine.ViewReader.
func (r *reader) FormerMachines(ctx context.Context, scope access.ResourceID, since time.Time,
	limit int,
) ([]access.MachineID, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	key := scope.Fold()
	// Few machines have ever left a policy: SQLite takes the tables in this order, and looks the others up.
	return all(ctx, r.q, scanOne[access.MachineID], `select f.machine from former_entries f cross join machines m
where m.id = f.machine and (m.resource_key = $1 or m.resource_key >= $2 and m.resource_key < $3)
and exists (select 1 from request_machines x where x.machine = f.machine and x.created_at >= $4) order by f.machine limit $5`,
		key, key+"/", key+"0", micros(since), int64(limit))
}

// RequestsOfMachines implements engine.ViewReader.
func (r *reader) RequestsOfMachines(ctx context.Context, machines []access.MachineID, since time.Time,
	limit int,
) ([]access.Request, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	found, err := grouped(machines, func(marks string, args []any) ([]access.Request, error) {
		n := len(args)
		text := fmt.Sprintf(`select %s from requests r where r.id in
(select x.request from request_machines x where x.machine in (%s) and x.created_at >= $%d) order by r.created_at desc, r.id desc limit $%d`,
			requestTable.selected, marks, n+1, n+2)
		return all(ctx, r.q, scanRequest, text, append(args, micros(since), int64(limit))...)
	})
	if err != nil {
		return nil, err
	}
	// One that names machines of several groups was found several times.
	slices.SortFunc(found, func(a, b access.Request) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	found = slices.CompactFunc(found, func(a, b access.Request) bool { return a.ID == b.ID })
	return found[:min(len(found), limit)], nil
}

// GrantsOfRequests implements engine.ViewReader.
func (r *reader) GrantsOfRequests(ctx context.Context, ids []access.RequestID) ([]access.Grant, error) {
	return grouped(ids, func(marks string, args []any) ([]access.Grant, error) {
		return whole(ctx, r.q, scanGrant,
			"select "+grantTable.selected+" from grants g where g.request in ("+marks+") order by g.request, g.id"+everyRow,
			args...)
	})
}

// MachineUses implements engine.ViewReader.
func (r *reader) MachineUses(ctx context.Context, machines []access.MachineID,
	since time.Time,
) ([]engine.MachineUse, error) {
	return grouped(machines, func(marks string, args []any) ([]engine.MachineUse, error) {
		text := "select m.id, " + fmt.Sprintf(selectUses,
			len(args)+1) + " from machines m where m.id in (" + marks + ") order by m.id limit 1000"
		scan := func(row scanner) (u engine.MachineUse, err error) {
			err = row.Scan(&u.Machine, &u.Approved, &u.LastUser)
			return u, err
		}
		return all(ctx, r.q, scan, text, append(args, micros(since))...)
	})
}

// grouped asks for ids in groups, since a statement takes so many arguments only, and in two sizes of group, so that
// few statements are prepared: a group that is not full repeats its last id.
func grouped[T any, ID ~string](ids []ID, find func(marks string, args []any) ([]T, error)) ([]T, error) {
	var found []T
	for group := range slices.Chunk(ids, 100) {
		size := 10
		if len(group) > size {
			size = 100
		}
		args := make([]any, size)
		for i := range args {
			args[i] = string(group[min(i, len(group)-1)])
		}
		items, err := find(marks(size), args)
		if err != nil {
			return nil, err
		}
		found = append(found, items...)
	}
	return found, nil
}

// marks gives the first n parameters of a statement.
func marks(n int) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(texts, ", ")
}
