//go:build linux

package nftables

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// complete checks that the kernel holds every set, chain and rule.
func complete(structure []object, k *known) error {
	wanted := 1 + len(k.sets) + len(k.chains)
	for _, c := range k.chains {
		wanted += len(c.Rules)
	}
	if len(structure) != wanted {
		return fmt.Errorf("the kernel holds %d sets, chains and rules instead of %d", len(structure), wanted)
	}
	return nil
}

// find looks for our table; nil if there is none.
func (c *conn) find() (*object, error) {
	answers, err := c.ask(message(unix.NFT_MSG_GETTABLE, 0,
		header(unix.NFPROTO_INET, 0).text(unix.NFTA_TABLE_NAME, c.table)))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // no table is an answer, not an error
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table: %w", err)
	}
	for _, a := range answers {
		o, err := parseObject(a)
		if err != nil {
			return nil, err
		}
		if o.name == c.table {
			return &o, nil
		}
	}
	return nil, errors.New("look for the table: the kernel answered with something else")
}

// structure lists the table, its chains, rules and sets, in a fixed order except that rules keep theirs.
func (c *conn) structure() ([]object, error) {
	t, err := c.find()
	if err != nil || t == nil {
		return nil, err
	}
	all := []object{*t}
	for _, kind := range []int{unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETSET, unix.NFT_MSG_GETRULE} {
		body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_CHAIN_TABLE, c.table) // the same attribute for all three
		answers, err := c.ask(message(kind, netlink.Dump, body))
		if err != nil {
			return nil, fmt.Errorf("list the table: %w", err)
		}
		var some []object
		for _, a := range answers {
			o, err := parseObject(a)
			if err != nil {
				return nil, err
			}
			if o.table == c.table {
				some = append(some, o)
			}
		}
		slices.SortStableFunc(some, func(a, b object) int { return cmp.Compare(a.name, b.name) })
		all = append(all, some...)
	}
	return all, nil
}

// generation is the number of the kernel's rules: it grows with each transaction, whoever made it.
func (c *conn) generation() (uint32, error) {
	answers, err := c.ask(message(unix.NFT_MSG_GETGEN, 0, header(unix.AF_UNSPEC, 0)))
	if err != nil {
		return 0, fmt.Errorf("ask for the generation: %w", err)
	}
	for _, a := range answers {
		if g, ok := parseGeneration(a); ok {
			return g.id, nil
		}
	}
	return 0, errors.New("ask for the generation: no answer")
}
