//go:build linux

package nftables

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// chains gives all rules.
//
// A packet of a port that we do not protect leaves after a few rules. One of a protected port goes to in_cut or
// in_keep on its way to the service, and to out_cut or out_keep on its way back.
//
// What somebody else's rules send elsewhere is judged by where its sender sent it, before they do: in the chain
// arriving. That may be to a container that publishes the port, which nothing here would see in the hook input. New
// connections are judged there too, since nobody knows yet what becomes of them; all else waits for its usual hook.
// Answers are judged in the hooks forward and output, by what the kernel remembers of the connection's first packet.
func (s shape) chains() []Chain {
	chains := slices.Concat(s.opened("open", client{source}), s.opened("answer", client{destination}), s.translated(),
		[]Chain{
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
			// protected port number pass too, for TCP alone: UDP has nothing by which to tell them from a session that
			// a server began again.
			{Name: "in_cut", Rules: []Rule{
				rule(isProtocol(unix.IPPROTO_TCP), isEstablished(), isReply(), accept()),
				rule(leave("decide")),
			}},
			// A SYN needs an opening even where the kernel takes it for a part of an established session: after the
			// server reset one, it does so for ten seconds, and each attempt begins them again.
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
		return append(chains, s.gateway()...)
	}
	return append(chains, s.host()...)
}

// host gives the chains that guard the ports of the host itself.
func (s shape) host() []Chain {
	return []Chain{
		// What masquerading sends out under one of our addresses comes back as an answer to it. From a protected port
		// number it needs an opening, or a forgotten session of a container could be begun again by its server.
		{Name: "first", Rules: []Rule{
			rule(isFamily(four).unsaid(), learn(four, ownSet(four))),
			rule(isFamily(six).unsaid(), learn(six, ownSet(six))),
			rule(isSourceTranslated(), isReply(), leave("decide")),
		}},
		{Name: "first_cut", Rules: []Rule{
			rule(isLocal("!= local", expr.CmpOpNeq), accept()),
			rule(jump("first")),
			rule(leave("in_cut")),
		}},
		{Name: "first_keep", Rules: []Rule{
			rule(isLocal("!= local", expr.CmpOpNeq), accept()),
			rule(jump("first")),
			rule(leave("in_keep")),
		}},
		{Name: "arriving", Hook: "prerouting", Rules: slices.Concat([]Rule{
			rule(onLoopback("iif", unix.NFT_META_IIF), accept()),
			rule(goesOnAsSent(), accept()),
		}, s.protected(destination, "first"))},
		// What was let in by arriving is not judged, and not counted, once more.
		{Name: "last_cut", Rules: []Rule{
			rule(beginsAsSent(), isLocal("local", expr.CmpOpEq), accept()),
			rule(leave("in_cut")),
		}},
		{Name: "last_keep", Rules: []Rule{
			rule(beginsAsSent(), isLocal("local", expr.CmpOpEq), accept()),
			rule(leave("in_keep")),
		}},
		{Name: "input", Hook: "input", Rules: slices.Concat([]Rule{
			rule(onLoopback("iif", unix.NFT_META_IIF), accept()),
		}, s.protected(destination, "last"))},
		{Name: "forward", Hook: "forward", Rules: []Rule{
			rule(isDestinationTranslated(), isReply(), leave("translated")),
		}},
		{Name: "output", Hook: "output", Rules: slices.Concat([]Rule{
			rule(onLoopback("oif", unix.NFT_META_OIF), accept()),
		}, s.protected(source, "out"), []Rule{
			rule(isDestinationTranslated(), isReply(), leave("translated")),
		})},
	}
}

// either gives what build says for a set of protected ports and, where some are protected for a time, for theirs.
func (s shape) either(set string, build func(set string) Rule) []Rule {
	if !s.trying {
		return []Rule{build(set)}
	}
	return []Rule{build(set), build(endingSet(set))}
}

// protected sends what is for the protected ports of the host itself to the chain for their sessions.
func (s shape) protected(of side, chain string) (rules []Rule) {
	for _, sessions := range []access.SessionMode{access.SessionsCut, access.SessionsKeep} {
		rules = append(rules, s.either(protectedSet(s.mode, sessions, four), func(set string) Rule {
			return rule(newKey().protocol().port(of).in(set), leave(chain+"_"+string(sessions)))
		})...)
	}
	return rules
}

// gateway gives the chains that guard the ports of the machines behind it. In the hooks input and output it meets what
// a proxy on the gateway itself takes out of the way between client and machine.
func (s shape) gateway() []Chain {
	var chains []Chain
	for _, f := range []family{four, six} {
		at := func(of side, chain string) (rules []Rule) {
			for _, sessions := range []access.SessionMode{access.SessionsCut, access.SessionsKeep} {
				rules = append(rules, s.either(protectedSet(s.mode, sessions, f), func(set string) Rule {
					k := newKey().address(f, of, f.bytes()*8).protocol().port(of)
					return rule(isFamily(f).unsaid(), k.in(set), leave(chain+"_"+string(sessions)))
				})...)
			}
			return rules
		}
		chains = append(chains,
			Chain{Name: fmt.Sprintf("first%d", f), Rules: at(destination, "in")},
			Chain{Name: fmt.Sprintf("toward%d", f), Rules: at(destination, "last")},
			Chain{Name: fmt.Sprintf("from%d", f), Rules: at(source, "out")},
			Chain{
				Name:  fmt.Sprintf("through%d", f),
				Rules: slices.Concat(at(destination, "last"), at(source, "out")),
			})
	}
	each := func(name string) []Rule {
		return []Rule{rule(isFamily(four), leave(name+"4")), rule(isFamily(six), leave(name+"6"))}
	}
	answers := rule(isDestinationTranslated(), isReply(), leave("translated"))
	return append(chains,
		Chain{Name: "last_cut", Rules: []Rule{rule(beginsAsSent(), accept()), rule(leave("in_cut"))}},
		Chain{Name: "last_keep", Rules: []Rule{rule(beginsAsSent(), accept()), rule(leave("in_keep"))}},
		Chain{
			Name: "arriving", Hook: "prerouting",
			Rules: append([]Rule{rule(goesOnAsSent(), accept())}, each("first")...),
		},
		Chain{Name: "input", Hook: "input", Rules: each("toward")},
		Chain{Name: "forward", Hook: "forward", Rules: append(each("through"), answers)},
		Chain{Name: "output", Hook: "output", Rules: append(each("from"), answers)})
}

// translated gives the chains for answers to packets that somebody else's rules sent elsewhere. By now they come from
// where those went; what was asked for, the kernel remembers. Sessions that are kept go on, and so there is nothing to
// ask of them.
func (s shape) translated() []Chain {
	chains := s.opened("back", remembered{})
	for _, f := range []family{four, six} {
		rules := s.either(protectedSet(s.mode, access.SessionsCut, f), func(set string) Rule {
			k := newKey()
			r := []statement{isFamily(f).unsaid()}
			if s.mode == access.ModeGateway {
				k.asked(f)
			} else {
				r = append(r, newKey().asked(f).in(ownSet(f)))
			}
			return rule(append(r, k.protocol().askedPort().in(set), leave("back_cut"))...)
		})
		chains = append(chains, Chain{Name: fmt.Sprintf("translated%d", f), Rules: rules})
	}
	return append(chains,
		Chain{Name: "back_cut", Rules: []Rule{
			rule(isProtocol(unix.IPPROTO_TCP), resetsTCP(), accept()),
			rule(isFamily(four), jump("back4")),
			rule(isFamily(six), jump("back6")),
			rule(isProtocol(unix.IPPROTO_TCP), count(), reset()),
			rule(count(), drop()),
		}},
		Chain{Name: "translated", Rules: []Rule{
			rule(isFamily(four), jump("translated4")),
			rule(isFamily(six), jump("translated6")),
		}})
}

// end adds to a key of openings what tells them apart: the client's address within a prefix, the server's, the port.
type end interface {
	client(k *key, f family, bits int)
	server(k *key, f family)
	port(k *key)
}

// client reads all of it from the packet: it is the side where the client is.
type client struct{ side }

func (c client) other() side                       { return destination - c.side }
func (c client) client(k *key, f family, bits int) { k.address(f, c.side, bits) }
func (c client) server(k *key, f family)           { k.address(f, c.other(), f.bytes()*8) }
func (c client) port(k *key)                       { k.protocol().port(c.other()) }

// remembered reads from the connection what an answer does not say any more.
type remembered struct{}

func (remembered) client(k *key, f family, bits int) { k.address(f, destination, bits) }
func (remembered) server(k *key, f family)           { k.asked(f) }
func (remembered) port(k *key)                       { k.protocol().askedPort() }

// opened gives the chains that accept what an opening matches.
func (s shape) opened(name string, e end) []Chain {
	chains := make([]Chain, 0, 2)
	for _, f := range []family{four, six} {
		c := Chain{Name: fmt.Sprintf("%s%d", name, f)}
		for _, bits := range s.lengths[f] {
			k := newKey()
			e.client(k, f, bits)
			if s.mode == access.ModeGateway {
				e.server(k, f)
			}
			e.port(k)
			c.Rules = append(c.Rules, rule(isFamily(f).unsaid(), k.in(openSet(f, bits)), accept()))
		}
		chains = append(chains, c)
	}
	return chains
}
