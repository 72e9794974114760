//go:build linux

package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables/expr"

	"github.com/postern-dev/postern/internal/core/access"
)

// Ruleset is what the table should hold: a value without any connection to a kernel.
type Ruleset struct {
	Table  string
	Mode   access.Mode
	Sets   []Set
	Chains []Chain
}

// Set is one hash set.
type Set struct {
	Name     string
	Fields   []Field   // what a key is made of
	Timed    bool      // its elements end, and count packets
	Ending   bool      // its elements end, and count nothing
	Learned  bool      // the kernel itself puts in what it sees
	Elements []Element // sorted by key
}

// Field is one part of the key of a set.
type Field uint8

// The parts of keys, with the numbers that nft gives to its data types.
const (
	FieldAddress4 Field = 7  // ipv4_addr
	FieldAddress6 Field = 8  // ipv6_addr
	FieldProtocol Field = 12 // inet_proto
	FieldPort     Field = 13 // inet_service
)

// Element is a member of a set. Until and Comment mean nothing where the set is not timed, and Comment where it is
// ending.
type Element struct {
	Key     Key
	Until   time.Time
	Comment string // the first grant behind it
}

// Key is the bytes of a key: each field in network order, padded to four bytes.
type Key string

// Chain is a list of rules. Hook is empty for one that only others jump to.
type Chain struct {
	Name  string
	Hook  string // "prerouting", "input", "output" or "forward"
	Rules []Rule
}

// Rule is one rule, as text and as the kernel takes it.
type Rule struct {
	Text        string
	expressions []expr.Any
}

// Priorities put our chains a little before those of the host's own firewall, and before any translation of
// destinations: whoever translates does it at -100, whatever priority a chain of type nat gives itself.
const (
	priority         = -10
	beforeTranslated = -110
)

// priority is when the chain sees a packet among others of its hook.
func (c Chain) priority() int32 {
	if c.Hook == "prerouting" {
		return beforeTranslated
	}
	return priority
}

// when is the priority as nft writes it.
func (c Chain) when() string {
	if c.Hook == "prerouting" {
		return "dstnat - 10"
	}
	return "filter - 10"
}

func (f Field) length() int {
	if f == FieldAddress6 {
		return 16
	}
	return 4
}

func (f Field) name() string {
	switch f {
	case FieldAddress4:
		return "ipv4_addr"
	case FieldAddress6:
		return "ipv6_addr"
	case FieldProtocol:
		return "inet_proto"
	case FieldPort:
		return "inet_service"
	}
	return "unknown"
}

// keyLength is how many bytes a key of s has.
func (s Set) keyLength() int {
	n := 0
	for _, f := range s.Fields {
		n += f.length()
	}
	return n
}

// keyType is the number that lets nft show the keys of s.
func (s Set) keyType() uint32 {
	var n uint32
	for _, f := range s.Fields {
		n = n<<6 | uint32(f)
	}
	return n
}

// text renders a key of s as nft does.
func (s Set) text(k Key) string {
	if len(k) != s.keyLength() {
		return fmt.Sprintf("%x", string(k))
	}
	parts := make([]string, 0, len(s.Fields))
	at := 0
	for _, f := range s.Fields {
		b := []byte(k[at : at+f.length()])
		at += f.length()
		switch f {
		case FieldAddress4, FieldAddress6:
			addr, _ := netip.AddrFromSlice(b)
			parts = append(parts, addr.String())
		case FieldProtocol:
			parts = append(parts, protocolName(b[0]))
		case FieldPort:
			parts = append(parts, fmt.Sprint(uint16(b[0])<<8|uint16(b[1])))
		}
	}
	return strings.Join(parts, " . ")
}

// Text renders the ruleset like `nft list table` does, with what remains of each element at now.
func (r Ruleset) Text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", r.Table)
	for _, s := range r.Sets {
		names := make([]string, len(s.Fields))
		for i, f := range s.Fields {
			names[i] = f.name()
		}
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n", s.Name, strings.Join(names, " . "))
		if s.Timed {
			b.WriteString("\t\tflags timeout\n\t\tcounter\n")
		}
		if s.Ending {
			b.WriteString("\t\tflags timeout\n")
		}
		if s.Learned {
			b.WriteString("\t\tflags dynamic\n")
		}
		for _, e := range s.Elements {
			fmt.Fprintf(&b, "\t\t%s", s.text(e.Key))
			if s.Timed {
				fmt.Fprintf(&b, " timeout %s comment %q", e.Until.Sub(now), e.Comment)
			}
			if s.Ending {
				fmt.Fprintf(&b, " timeout %s", e.Until.Sub(now))
			}
			b.WriteString("\n")
		}
		b.WriteString("\t}\n")
	}
	for _, c := range r.Chains {
		fmt.Fprintf(&b, "\n\tchain %s {\n", c.Name)
		if c.Hook != "" {
			fmt.Fprintf(&b, "\t\ttype filter hook %s priority %s; policy accept;\n", c.Hook, c.when())
		}
		for _, rule := range c.Rules {
			fmt.Fprintf(&b, "\t\t%s\n", rule.Text)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// same tells whether two chains say the same.
func (c Chain) same(other Chain) bool {
	return c.Name == other.Name && c.Hook == other.Hook && slices.EqualFunc(c.Rules, other.Rules,
		func(a, b Rule) bool { return a.Text == b.Text })
}
