package engine

import (
	"errors"

	"github.com/postern-dev/postern/internal/core/access"
)

// Limits of a list.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	maxRounds    = 20 // of reading on for rows that the caller may see
)

// CheckPage puts the default into a page without a limit, and refuses one beyond the bounds.
func CheckPage(p Page) (Page, error) {
	switch {
	case p.Limit == 0:
		p.Limit = DefaultLimit
	case p.Limit < 0 || p.Limit > MaxLimit:
		return p, access.Fault(access.KindInvalid, "limitOutOfRange", "the limit is %d; use 1 to %d", p.Limit, MaxLimit)
	}
	return p, nil
}

// Visible reads pages with fetch until p is full of rows that keep lets through, or there are no more. After maxRounds
// it gives what it has, and the cursor to go on with.
func Visible[T, U any](p Page, fetch func(Page) (Listed[T], error), keep func(T) (U, bool, error)) (Listed[U], error) {
	p, err := CheckPage(p)
	if err != nil {
		return Listed[U]{}, err
	}
	var out Listed[U]
	next := p
	for round := 1; ; round++ {
		next.Limit = p.Limit - len(out.Items)
		got, err := fetch(next)
		if err != nil {
			return Listed[U]{}, err
		}
		for _, row := range got.Items {
			item, ok, err := keep(row)
			if err != nil {
				return Listed[U]{}, err
			}
			if ok {
				out.Items = append(out.Items, item)
			}
		}
		out.Next = got.Next
		if out.Next == "" || len(out.Items) >= p.Limit || round == maxRounds {
			return out, nil
		}
		next.Cursor = out.Next
	}
}

// AsError finds one of our errors in the chain of err.
func AsError(err error, target **access.Error) bool {
	e, ok := errors.AsType[*access.Error](err)
	if ok {
		*target = e
	}
	return ok
}

// IsKind reports whether an error is of a kind.
func IsKind(err error, kind access.Kind) bool { return err != nil && access.KindOf(err) == kind }
