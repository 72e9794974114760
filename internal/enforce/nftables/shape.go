//go:build linux

package nftables

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// shape is what decides on the sets and rules, apart from the elements.
type shape struct {
	table   string
	mode    access.Mode
	group   uint16
	lengths map[family][]int // prefix lengths in use, the longest first
}

// openSet is the set that holds the openings of one prefix length.
func openSet(f family, bits int) string { return fmt.Sprintf("n%d_%d", f, bits) }

// always are the prefix lengths whose sets are always there, since almost every opening is for one address.
func always() map[family][]int { return map[family][]int{four: {32}, six: {128}} }

// with gives the shape with such prefix lengths in use.
func (s shape) with(more map[family]map[int]bool) shape {
	s.lengths = always()
	for f, bits := range more {
		for n := range bits {
			if !slices.Contains(s.lengths[f], n) {
				s.lengths[f] = append(s.lengths[f], n)
			}
		}
		slices.SortFunc(s.lengths[f], func(a, b int) int { return b - a })
	}
	return s
}

// same tells whether two shapes of one mode have the same sets and rules.
func (s shape) same(other shape) bool {
	return slices.Equal(s.lengths[four], other.lengths[four]) && slices.Equal(s.lengths[six], other.lengths[six])
}

// sets gives the sets without elements.
func (s shape) sets() []Set {
	var sets []Set
	if s.mode == access.ModeGateway {
		for _, f := range []family{four, six} {
			fields := []Field{f.field(), FieldProtocol, FieldPort}
			sets = append(sets, Set{Name: protectedSet(s.mode, access.SessionsCut, f), Fields: fields},
				Set{Name: protectedSet(s.mode, access.SessionsKeep, f), Fields: fields})
		}
	} else {
		fields := []Field{FieldProtocol, FieldPort}
		sets = append(sets, Set{Name: "cut", Fields: fields}, Set{Name: "keep", Fields: fields})
	}
	for _, f := range []family{four, six} {
		fields := []Field{f.field(), FieldProtocol, FieldPort}
		if s.mode == access.ModeGateway {
			fields = []Field{f.field(), f.field(), FieldProtocol, FieldPort}
		}
		for _, bits := range s.lengths[f] {
			sets = append(sets, Set{Name: openSet(f, bits), Fields: fields, Timed: true})
		}
	}
	return sets
}

// protectedSet names the set of protected ports whose sessions end in that way: in host mode for both families.
func protectedSet(m access.Mode, sessions access.SessionMode, f family) string {
	if m == access.ModeGateway {
		return fmt.Sprintf("%s%d", sessions, f)
	}
	return string(sessions)
}

// chains gives all rules.
//
// A packet of a port that we do not protect leaves after a few rules. One of a protected port goes to in_cut or
// in_keep on its way to the service, and to out_cut or out_keep on its way back.
func (s shape) chains() []Chain {
	chains := slices.Concat(s.opened("open", source, destination), s.opened("answer", destination, source), []Chain{
		{Name: "refuse", Rules: []Rule{
			rule(logged(s.group)),
			rule(count(), drop()),
		}},
		// Without an opening. Only established sessions are reset: anything else gets no answer. A SYN is never
		// answered with a reset, or a forged one could end the session of somebody else.
		{Name: "decide", Rules: []Rule{
			rule(isFamily(four), jump("open4")),
			rule(isFamily(six), jump("open6")),
			rule(isProtocol(unix.IPPROTO_TCP), opensTCP(), leave("refuse")),
			rule(isProtocol(unix.IPPROTO_TCP), isEstablished(), count(), reset()),
			rule(isProtocol(unix.IPPROTO_UDP), isNew(), leave("refuse")),
			rule(count(), drop()),
		}},
		// Established sessions pass while an opening matches. Answers to connections that this side made from a
		// protected port number pass too, for TCP alone: UDP has nothing by which to tell them from a session that a
		// server began again.
		{Name: "in_cut", Rules: []Rule{
			rule(isProtocol(unix.IPPROTO_TCP), isEstablished(), isReply(), accept()),
			rule(leave("decide")),
		}},
		// A SYN needs an opening even where the kernel takes it for a part of an established session: after the server
		// reset one, it does so for ten seconds, and each attempt begins them again.
		{Name: "in_keep", Rules: []Rule{
			rule(isProtocol(unix.IPPROTO_TCP), opensTCP(), leave("decide")),
			rule(goesOn(), accept()),
			rule(leave("decide")),
		}},
		// Once a session is forgotten, a retransmission of the server would bring it back, the other way round; so
		// the server must not begin one without a SYN. Its own resets may leave, and so may ours.
		{Name: "out_cut", Rules: []Rule{
			rule(isProtocol(unix.IPPROTO_TCP), resetsTCP(), accept()),
			rule(isProtocol(unix.IPPROTO_TCP), isNew(), opensNoTCP(), count(), reset()),
			rule(isProtocol(unix.IPPROTO_TCP), isOriginal(), accept()),
			rule(isFamily(four), jump("answer4")),
			rule(isFamily(six), jump("answer6")),
			rule(isProtocol(unix.IPPROTO_TCP), count(), reset()),
			rule(count(), drop()),
		}},
		{Name: "out_keep", Rules: []Rule{
			rule(isProtocol(unix.IPPROTO_TCP), isNew(), opensNoTCP(), count(), drop()),
		}},
	})
	if s.mode == access.ModeGateway {
		return append(chains, s.forward(four), s.forward(six), Chain{Name: "forward", Hook: "forward", Rules: []Rule{
			rule(isFamily(four), leave("forward4")),
			rule(isFamily(six), leave("forward6")),
		}})
	}
	return append(chains,
		Chain{Name: "input", Hook: "input", Rules: []Rule{
			rule(onLoopback("iif", unix.NFT_META_IIF), accept()),
			rule(newKey().protocol().port(destination).in("cut"), leave("in_cut")),
			rule(newKey().protocol().port(destination).in("keep"), leave("in_keep")),
		}},
		Chain{Name: "output", Hook: "output", Rules: []Rule{
			rule(onLoopback("oif", unix.NFT_META_OIF), accept()),
			rule(newKey().protocol().port(source).in("cut"), leave("out_cut")),
			rule(newKey().protocol().port(source).in("keep"), leave("out_keep")),
		}})
}

// opened gives the chains that accept what an opening matches: client is the side of the packet where the client is.
func (s shape) opened(name string, client, server side) []Chain {
	chains := make([]Chain, 0, 2)
	for _, f := range []family{four, six} {
		c := Chain{Name: fmt.Sprintf("%s%d", name, f)}
		for _, bits := range s.lengths[f] {
			k := newKey().address(f, client, bits)
			if s.mode == access.ModeGateway {
				k.address(f, server, f.bytes()*8)
			}
			c.Rules = append(c.Rules, rule(isFamily(f).unsaid(), k.protocol().port(server).in(openSet(f, bits)), accept()))
		}
		chains = append(chains, c)
	}
	return chains
}

func (s shape) forward(f family) Chain {
	full := f.bytes() * 8
	to := func(sessions access.SessionMode, at side, chain string) Rule {
		return rule(isFamily(f).unsaid(), newKey().address(f, at, full).protocol().port(at).in(protectedSet(s.mode, sessions, f)), leave(chain))
	}
	return Chain{Name: fmt.Sprintf("forward%d", f), Rules: []Rule{
		to(access.SessionsCut, destination, "in_cut"),
		to(access.SessionsKeep, destination, "in_keep"),
		to(access.SessionsCut, source, "out_cut"),
		to(access.SessionsKeep, source, "out_keep"),
	}}
}
