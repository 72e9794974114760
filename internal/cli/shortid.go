package cli

import (
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// shortID is how many characters of an id tables show: the last ones, which are random.
const shortID = 8

// searched is how many of the newest requests or grants a shortened id is looked for in.
const searched = 1000

// take gathers at most so many items of a list.
func take[T any](list iter.Seq2[T, error], most int) ([]T, error) {
	var items []T
	for item, err := range list {
		if err != nil {
			return nil, err
		}
		if len(items) == most {
			break
		}
		items = append(items, item)
	}
	return items, nil
}

// only gives the items of a list that keep says so of.
func only[T any](list iter.Seq2[T, error], keep func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range list {
			if (err != nil || keep(item)) && !yield(item, err) {
				return
			}
		}
	}
}

// shown gathers what a list shows, and says where there is more.
func shown[T any](a *app, list iter.Seq2[T, error], limit int) ([]T, error) {
	items, err := take(list, limit+1)
	if len(items) > limit {
		items = items[:limit]
		a.say("There are more than these %d; --limit shows more.", limit)
	}
	return items, err
}

// amount is a flag that says how many: a whole number from 1 on.
type amount struct{ to *int }

func (v amount) String() string {
	if v.to == nil {
		return ""
	}
	return strconv.Itoa(*v.to)
}

func (amount) Type() string { return "number" }

func (v amount) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errors.New("must be a whole number of at least 1")
	}
	*v.to = n
	return nil
}

// amountFlag adds a flag that says how many.
func amountFlag(c *cobra.Command, to *int, name string, usual int, usage string) {
	*to = usual
	c.Flags().Var(amount{to}, name, usage)
}

// whole tells whether ref is an id as it stands, so that nothing needs to be searched.
func whole(ref string) bool { return len(ref) > 20 || len(ref) < 4 }

// idOf returns the whole id that ref stands for: ref itself, or that of the one item whose id ends in it.
func idOf[T any](what, where, ref string, items iter.Seq2[T, error], id func(T) string) (string, error) {
	if whole(ref) {
		return ref, nil
	}
	all, err := api.All(items)
	if err != nil {
		return "", err
	}
	found, err := byTail(what, where, ref, all, id)
	if err != nil {
		return "", err
	}
	return id(found), nil
}

// byTail finds the one item whose id ends in ref; where is the command that lists them.
func byTail[T any](what, where, ref string, items []T, id func(T) string) (T, error) {
	var found []T
	for _, item := range items {
		if strings.HasSuffix(id(item), ref) {
			found = append(found, item)
		}
	}
	var none T
	switch len(found) {
	case 0:
		return none, fail(exitNotFound, "See: "+where, "there is no %s %q", what, ref)
	case 1:
		return found[0], nil
	default:
		return none, fail(exitConflict, "Use more of the id; -o json shows the whole id.", "%q matches %d %ss", ref,
			len(found), what)
	}
}
