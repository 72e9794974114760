//go:build linux

package nftables

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// Look lists what our table holds, as openings of one port each, and tells whether it is there. It changes nothing and
// may be used while another process owns the table. d says which machines there are.
func Look(c Config, d access.DesiredState, now time.Time) (held []enforce.Held, present bool, err error) {
	if c.Table == "" {
		c.Table = defaultTable
	}
	socket, err := dial(c.NetNS, c.Table)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, socket.close()) }()
	e := &Enforcer{table: c.Table, conn: socket}
	e.aim(d)
	objects, err := socket.structure()
	if err != nil {
		return nil, false, fmt.Errorf("look at table inet %s: %w", c.Table, err)
	}
	for _, o := range objects {
		var f family
		var bits int
		if n, err := fmt.Sscanf(o.name, "n%d_%d", &f,
			&bits); n != 2 || err != nil || o.kind != unix.NFT_MSG_NEWSET || o.name != openSet(f, bits) {
			continue
		}
		members, err := socket.members(o.name, nil)
		if err != nil {
			return nil, true, err
		}
		for _, m := range members {
			held = append(held, enforce.Held{Key: e.keyOf(place{family: f, bits: uint8(bits), key: m.key}), //nolint:gosec // at most 128
				Until: now.Add(m.left), Packets: m.packets, Bytes: m.bytes})
		}
	}
	return held, len(objects) > 0, nil
}
