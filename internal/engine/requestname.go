package engine

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
)

// A request that a client of Azure's makes has the resource id that it is called by, and its own id is derived from
// that. A name that was released is used again: the next request of it has the next id in the row, so that all stay on
// record.

// RequestCalled gives the id of the request that was made by a name for the nth time, counted from 0.
func RequestCalled(name access.ResourceID, n int) access.RequestID {
	text := name.Fold()
	if n > 0 {
		text += fmt.Sprintf("#%d", n)
	}
	return access.RequestID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(text)).String())
}

// maxTaken is how many ids in a row of a name others may have taken, who chose them for requests of another name, or of
// none.
const maxTaken = 1000

// CalledBy gives the number of the request that a name stands for now; where there is none, it is the number that is
// free. What has an id of the name without being called so is passed over: anybody may work out an id and choose it. It
// asks for as few as the logarithm of the number, and those that others took.
func CalledBy(ctx context.Context, r Reader, name access.ResourceID) (n int, err error) {
	taken := 0
	used := func(n int) (at int, used, held bool, err error) {
		for ; taken <= maxTaken; n++ {
			request, err := r.Request(ctx, RequestCalled(name, n))
			switch {
			case IsKind(err, access.KindNotFound):
				return n, false, false, nil
			case err != nil:
				return n, false, false, fmt.Errorf("read request: %w", err)
			case request.Resource.Equal(name):
				return n, true, !request.Released, nil
			}
			taken++
		}
		return n, false, false, access.Fault(access.KindConflict, "nameTaken",
			"more than %d ids that the name %q stands for are taken: choose another name", maxTaken,
			Clip(string(name)))
	}
	last, free := -1, 0 // last is used and released, as all before it are; free is the first that may be neither
	for {
		at, is, held, err := used(free)
		if err != nil || held {
			return at, err
		}
		free = at
		if !is {
			break
		}
		last, free = free, 2*free+1
	}
	for last+1 < free {
		middle := (last + free) / 2
		at, is, held, err := used(middle)
		switch {
		case err != nil || held:
			return at, err
		case is:
			last = at
		default:
			free = middle // what lies between it and the number that is free is taken
		}
	}
	at, _, _, err := used(free)
	return at, err
}
