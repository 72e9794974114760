//go:build linux

package nftables

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/nettest"
)

// TestJudgeAgainstTheKernel loads random rules into a kernel, sends packets to them, and compares what became of them
// with what the survey says of the same packets. Nothing in these rules is said not to be understood.
func TestJudgeAgainstTheKernel(t *testing.T) {
	t.Parallel()
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed")
	}
	network, err := nettest.Pair()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { _ = network.Close() })
	load := func(rules string) error {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), nft, "-f", "-")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(rules), &out, &out
		if err := network.Machine.Start(cmd); err != nil {
			return err
		}
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s\n%s", err, out.String(), rules)
		}
		return nil
	}
	const watching = `table inet watch {
	chain before { type filter hook input priority -300; th dport 20-26 counter; }
	chain after { type filter hook input priority 300; th dport 20-26 counter; }
}
`
	if err := load(watching); err != nil {
		t.Fatal(err)
	}
	s, err := startSurvey(Config{NetNS: network.Machine.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	count := func(chain string) uint64 {
		table := &nftables.Table{Name: "watch", Family: nftables.TableFamilyINet}
		rules, err := s.conn.GetRules(table, &nftables.Chain{Name: chain, Table: table})
		if err != nil || len(rules) != 1 {
			t.Fatalf("%v, %d rules", err, len(rules))
		}
		i := slices.IndexFunc(rules[0].Exprs, func(e expr.Any) bool { _, ok := e.(*expr.Counter); return ok })
		return rules[0].Exprs[i].(*expr.Counter).Packets
	}
	rapid.Check(t, func(r *rapid.T) {
		rules := randomRules(r)
		if err := load("table inet x\ndelete table inet x\n" + rules); err != nil {
			if text := err.Error(); strings.Contains(text, "conflicting") || strings.Contains(text, "unreachable") {
				r.Skip() // nft sees by itself that nothing can match
			}
			r.Fatal(err)
		}
		s.tables = nil
		if err := s.read("watch"); err != nil {
			r.Fatal(err)
		}
		for range 6 {
			p := probe{
				family:   four,
				protocol: rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP}).Draw(r, "protocol"), local: true,
				arrives: "machine0",
			}
			p.port = uint16(rapid.IntRange(20, 26).Draw(r, "port"))
			i := rapid.IntRange(0, 3).Draw(r, "source")
			p.source, p.to = netip.PrefixFrom(network.ClientAddrs[i],
				network.ClientAddrs[i].BitLen()), network.MachineAddrs[i%2]
			if i%2 == 1 {
				p.family = six
			}
			j := judging{probe: p, table: s.tables[0]}
			accepts, drops := false, false
			for _, o := range j.through(s.tables[0].bases[0]) {
				accepts, drops = accepts || o.accepts, drops || !o.accepts
			}
			if accepts == drops {
				r.Fatalf("%+v is not decided:\n%s", p, rules)
			}
			before, after := count("before"), count("after")
			if err := knock(network.Client, p); err != nil {
				r.Fatal(err)
			}
			for limit := time.Now().Add(10 * time.Second); count("before") == before; {
				if time.Now().After(limit) {
					r.Fatal("the packet does not arrive")
				}
			}
			// The counter before and the one after are passed in one go, but another processor may look between them.
			passed := count("after") > after
			for limit := time.Now().Add(20 * time.Millisecond); !passed && time.Now().Before(limit); {
				passed = count("after") > after
			}
			if passed != accepts {
				r.Fatalf("the kernel lets %+v pass: %v; the survey says %v, of\n%s", p, passed, accepts, rules)
			}
		}
	})
}

// knock sends one packet that begins a connection.
func knock(from *nettest.Namespace, p probe) error {
	return from.Do(func() error {
		domain, kind := unix.AF_INET, unix.SOCK_STREAM
		if p.family == six {
			domain = unix.AF_INET6
		}
		if p.protocol == access.UDP {
			kind = unix.SOCK_DGRAM
		}
		fd, err := unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd) //nolint:errcheck // nothing was written that could be lost
		at := func(a netip.Addr, port uint16) unix.Sockaddr {
			if a.Is6() {
				return &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
			}
			return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
		}
		if err := unix.Bind(fd, at(p.source.Addr(), 0)); err != nil {
			return err
		}
		if err := unix.Connect(fd, at(p.to, p.port)); err != nil &&
			err != unix.EINPROGRESS { //nolint:errorlint // as the kernel gives it
			return err
		}
		if p.protocol == access.UDP {
			_, err = unix.Write(fd, []byte("knock"))
		}
		return err
	})
}

// randomRules draws a table whose chains lead to later ones.
func randomRules(r *rapid.T) string {
	const chains = 3
	one := func(of ...string) string { return rapid.SampledFrom(of).Draw(r, "of") }
	port := func() string { return fmt.Sprint(rapid.IntRange(20, 26).Draw(r, "port")) }
	span := func() string {
		a, b := rapid.IntRange(19, 26).Draw(r, "from"), rapid.IntRange(1, 3).Draw(r, "more")
		return fmt.Sprintf("%d-%d", a, a+b)
	}
	th := func() string { return one("tcp", "udp", "th") }
	source := func() string { return one("10.77.0.1", "10.77.0.0/31", "10.77.0.2/31", "10.0.0.0/8", "192.0.2.0/24") }
	source6 := func() string { return one("fd77::1", "fd77::2/127", "fd00::/8", "2001:db8::/32") }
	verdict := func(from int) string {
		all := []string{"accept", "drop", "return", "reject", "continue"}
		for i := from + 1; i < chains; i++ {
			all = append(all, fmt.Sprintf("jump c%d", i), fmt.Sprintf("goto c%d", i))
		}
		return one(all...)
	}
	// evenly draws a number below 16: a range draws small ones far more often, and what comes last hardly ever.
	evenly := func(label string) (n int) {
		for bit := range 4 {
			if rapid.Bool().Draw(r, label) {
				n |= 1 << bit
			}
		}
		return n
	}
	condition := func() string {
		switch evenly("condition") {
		case 0:
			return th() + " dport " + port()
		case 1:
			return th() + " dport != " + port()
		case 2:
			return th() + " dport " + one("", "!= ") + span()
		case 3:
			return th() + " dport " + one("", "!= ") + "{ " + port() + ", 443 }"
		case 4:
			return th() + " dport " + one("@single", "@spans", "!= @spans")
		case 5:
			return "ip saddr " + one("", "!= ") + source()
		case 6:
			return "ip6 saddr " + one("", "!= ") + source6()
		case 7:
			return "ip saddr { 10.77.0.0/31, 192.0.2.7 }"
		case 8:
			return "ip saddr . " + one("tcp",
				"udp") + " dport " + one("", "!= ") + "{ 10.77.0.1 . " + port() + ", 10.77.0.3 . " + port() + " }"
		case 9:
			return "iifname " + one(`"machine0"`, `!= "machine0"`, `"lo"`, `{ "lo", "eth7" }`, `"mach*"`)
		case 10:
			return "ct state " + one("new", "established,related", "{ established, new }", "!= new")
		case 11:
			return "meta l4proto " + one("tcp", "udp", "{ tcp, icmp }", "!= tcp")
		case 12:
			return "meta nfproto " + one("ipv4", "ipv6")
		case 13:
			return "fib daddr type " + one("local", "!= local", "{ unicast, local }")
		case 14:
			return "ip saddr . meta l4proto . th dport { 10.77.0.0/24 . tcp . " + span() + " }"
		default:
			return th() + " dport " + one("<", ">=") + " " + port()
		}
	}
	vmap := func(from int) string {
		switch evenly("map") % 6 {
		case 0:
			return th() + " dport vmap { 20 : " + verdict(from) + ", 23 : " + verdict(from) + " }"
		case 1:
			return th() + " dport vmap { 20-22 : " + verdict(from) + ", 25-40 : " + verdict(from) + " }"
		case 2:
			return `iifname vmap { "lo" : ` + verdict(from) + `, "machine0" : ` + verdict(from) + " }"
		case 3:
			return "ct state vmap { established : accept, new : " + verdict(from) + " }"
		case 4:
			return "ip saddr vmap { 10.77.0.0/31 : " + verdict(from) + ", 10.77.0.2/31 : " + verdict(from) + " }"
		default:
			return "meta l4proto . th dport vmap { tcp . 22 : " + verdict(from) + ", udp . 24 : " + verdict(from) + " }"
		}
	}
	var b strings.Builder
	b.WriteString("table inet x {\nset single { type inet_service; elements = { 20, 23, 26 }; }\nset spans { type " +
		"inet_service; flags interval; elements = { 21-22, 25-30 }; }\n")
	for i := chains - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "chain c%d {\n", i)
		if i == 0 {
			b.WriteString("type filter hook input priority 0; policy " + one("accept", "drop") + ";\n")
		}
		for range rapid.IntRange(0, 5).Draw(r, "rules") {
			if rapid.IntRange(0, 3).Draw(r, "mapped") == 0 {
				b.WriteString(strings.ReplaceAll(vmap(i), "reject", "drop") + "\n")
				continue
			}
			for range rapid.IntRange(0, 2).Draw(r, "conditions") {
				b.WriteString(condition() + " ")
			}
			b.WriteString(verdict(i) + "\n")
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// TestFlowtablesAreReported uses rules that not every kernel has.
func TestFlowtablesAreReported(t *testing.T) {
	t.Parallel()
	hook := func(of *nftables.ChainHook, kind nftables.ChainType, rules ...*foreignRule) *foreignTable {
		table := &nftables.Table{Name: "f", Family: nftables.TableFamilyINet}
		chain := &nftables.Chain{
			Name: "c", Table: table, Hooknum: of, Type: kind,
			Priority: nftables.ChainPriorityFilter,
		}
		return &foreignTable{
			table: table, bases: []*nftables.Chain{chain},
			chains: map[string]*foreignChain{"c": {chain, rules}},
		}
	}
	flow := hook(nftables.ChainHookForward, nftables.ChainTypeFilter,
		&foreignRule{expressions: []expr.Any{&expr.FlowOffload{Name: "fast"}}})
	nat := hook(nftables.ChainHookPrerouting, nftables.ChainTypeNAT, &foreignRule{expressions: []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: []byte{0, 22}}, &expr.NAT{Type: expr.NATTypeDestNAT},
	}})
	d := access.DesiredState{Mode: access.ModeHost, Protected: []access.Protected{
		{Protocol: access.TCP, Ports: access.SinglePort(22)}, {Protocol: access.TCP, Ports: access.SinglePort(23)},
	}}
	for name, c := range map[string]struct {
		mode   access.Mode
		tables []*foreignTable
		want   []uint16
	}{
		"a host that publishes one":  {access.ModeHost, []*foreignTable{flow, nat}, []uint16{22}},
		"a host that publishes none": {access.ModeHost, []*foreignTable{flow}, nil},
		"a gateway":                  {access.ModeGateway, []*foreignTable{flow}, []uint16{22, 23}},
	} {
		s := &survey{tables: c.tables}
		d.Mode = c.mode
		s.survey(d)
		var got []uint16
		for _, f := range s.findings() {
			if f.Effect == access.ForeignBypasses {
				for n := f.Ports.First; n <= f.Ports.Last; n++ {
					got = append(got, n)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ports %v go past us, want %v", name, got, c.want)
		}
	}
}

// TestWhatIsNotLookedAtIsUnknown gives a look more to ask for than it asks, more rules than it follows, and more to
// find than it tells: each leaves a finding of its own, and what takes packets past us is never among what is left out.
func TestWhatIsNotLookedAtIsUnknown(t *testing.T) {
	t.Parallel()
	table := &nftables.Table{Name: "f", Family: nftables.TableFamilyINet}
	filter := &nftables.Chain{
		Name: "c", Table: table, Hooknum: nftables.ChainHookForward,
		Type: nftables.ChainTypeFilter, Priority: nftables.ChainPriorityFilter,
	}
	rules := func(n int, e ...expr.Any) (list []*foreignRule) {
		for range n {
			list = append(list, &foreignRule{expressions: e})
		}
		return list
	}
	machines := func(n, ports int) access.DesiredState {
		d := access.DesiredState{Mode: access.ModeGateway}
		for i := range n {
			id := access.MachineID(fmt.Sprint(i))
			d.Machines = append(d.Machines,
				access.Guarded{
					Machine:   id,
					Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})},
				})
			for p := range ports {
				d.Protected = append(d.Protected,
					access.Protected{Machine: id, Protocol: access.TCP, Ports: access.SinglePort(uint16(1000 + 2*p))})
			}
		}
		return d
	}
	opened := machines(1, 1)
	for i := range maxSources + 1 {
		opened.Openings = append(opened.Openings, access.Opening{OpeningKey: access.OpeningKey{
			Machine: "0", Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 32),
			Protocol: access.TCP, Ports: access.SinglePort(1000),
		}})
	}
	flow := &expr.FlowOffload{Name: "fast"}
	for name, c := range map[string]struct {
		d     access.DesiredState
		rules []*foreignRule
		text  string // of the finding that says so; empty where all was looked at
	}{
		"all of it":                    {machines(10, 2), rules(1, flow), ""},
		"more machines than are asked": {machines(maxProbes+1, 1), rules(1, flow), notAsked},
		"more openings than are asked": {opened, rules(1, flow), notAsked},
		"more rules than are followed": {
			machines(1000, 1),
			append(rules(1, flow), rules(maxWork/1000+1, &expr.Counter{})...), notJudged,
		},
		"more ports than are told": {machines(1, maxForeign+1), rules(1, flow), notTold},
	} {
		s := &survey{tables: []*foreignTable{
			{table: table, bases: []*nftables.Chain{filter}, chains: map[string]*foreignChain{"c": {filter, c.rules}}},
		}}
		s.survey(c.d)
		found := s.findings()
		if len(found) > maxForeign {
			t.Errorf("%s: %d findings", name, len(found))
		}
		says := slices.ContainsFunc(found,
			func(f access.ForeignRule) bool { return f.Effect == access.ForeignUnknown && f.Text == c.text })
		if says != (c.text != "") {
			t.Errorf("%s: that it was left out is said: %t; found %+v", name, says, found)
		}
		if len(found) == 0 || found[0].Effect != access.ForeignBypasses {
			t.Errorf("%s: the flowtable is not found: %+v", name, found)
		}
	}
}

// FuzzJudge makes rules of any bytes: whatever they are, a packet comes to an end, and nothing is taken from outside of
// a value.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{1, 1, 2, 2, 0, 22, 3, 9, 9, 4, 1, 0}, uint16(22), "10.0.0.0/8")
	f.Add([]byte("multiport rules of iptables, which are bytes in an order of their own"), uint16(443), "")
	f.Fuzz(func(t *testing.T, raw []byte, port uint16, source string) {
		from, _ := netip.ParsePrefix(source)
		table := &nftables.Table{Name: "f", Family: nftables.TableFamilyINet}
		chain := &nftables.Chain{Name: "c", Table: table}
		ft := &foreignTable{table: table, chains: map[string]*foreignChain{}, sets: map[string]*foreignSet{}}
		next := func(n int) []byte {
			n = min(n, len(raw))
			b := raw[:n]
			raw = raw[n:]
			return b
		}
		number := func() uint32 {
			if b := next(1); len(b) == 1 {
				return uint32(b[0])
			}
			return 0
		}
		set := &nftables.Set{
			Name: "s", KeyType: nftables.TypeInetService, Interval: number()%2 == 1,
			IsMap: number()%2 == 1, DataType: nftables.TypeVerdict,
		}
		var elements []nftables.SetElement
		for range number() % 4 {
			elements = append(elements,
				nftables.SetElement{
					Key: next(int(number() % 4)), Val: next(int(number() % 12)),
					IntervalEnd: number()%2 == 1,
				})
		}
		fs := &foreignSet{set: set, parts: parts(set), read: true}
		fs.members, fs.whole = membersOfSet(set, elements), true
		ft.sets["s"] = fs
		var rules []*foreignRule
		for len(raw) > 0 && len(rules) < 20 {
			var list []expr.Any
			for range number()%4 + 1 {
				r, n := number()%30, number()%40
				switch number() % 12 {
				case 0:
					list = append(list,
						&expr.Payload{DestRegister: r, Base: expr.PayloadBase(number() % 4), Offset: number(), Len: n})
				case 1:
					list = append(list, &expr.Cmp{Register: r, Op: expr.CmpOp(number() % 6), Data: next(int(n))})
				case 2:
					list = append(list,
						&expr.Range{Register: r, FromData: next(int(n)), ToData: next(int(number() % 40))})
				case 3:
					list = append(list,
						&expr.Bitwise{
							SourceRegister: r, DestRegister: number() % 30, Len: n, Mask: next(int(n)),
							Xor: next(int(n)),
						})
				case 4:
					list = append(list,
						&expr.Byteorder{SourceRegister: r, DestRegister: number() % 30, Len: n, Size: number() % 9})
				case 5:
					list = append(list,
						&expr.Lookup{
							SourceRegister: r, SetName: "s", IsDestRegSet: n%2 == 0,
							DestRegister: number() % 30, Invert: n%3 == 0,
						})
				case 6:
					info := xt.Unknown(next(int(n) + 20))
					list = append(list,
						&expr.Match{Name: []string{"multiport", "state", "other"}[n%3], Rev: r % 2, Info: &info})
				case 7:
					list = append(list, &expr.Verdict{Kind: expr.VerdictKind(int(n)%12 - 6), Chain: "c"})
				case 8:
					list = append(list, &expr.Meta{Register: r, Key: expr.MetaKey(n)})
				case 9:
					list = append(list, &expr.Ct{Register: r, Key: expr.CtKey(n)})
				case 10:
					list = append(list, &expr.Immediate{Register: r, Data: next(int(n))})
				default:
					list = append(list, &expr.Exthdr{DestRegister: r})
				}
			}
			rules = append(rules, &foreignRule{expressions: list})
		}
		ft.chains["c"] = &foreignChain{chain, rules}
		j := judging{probe: probe{family: four, protocol: access.TCP, port: port, source: from, local: true}, table: ft}
		if outcomes := j.through(chain); len(outcomes) == 0 {
			t.Error("the packet comes to no end")
		}
		for _, r := range rules {
			for _, e := range r.expressions {
				portsIn(e, func([]byte) {})
			}
		}
	})
}

// FuzzLeftOutOf reads rules as the kernel might write them.
func FuzzLeftOutOf(f *testing.F) {
	order := &expr.Byteorder{SourceRegister: 9, DestRegister: 10, Op: expr.ByteorderHton, Len: 2, Size: 2}
	parts := attributes{}
	for _, e := range []expr.Any{&expr.Notrack{}, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 9}, order} {
		raw, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			f.Fatal(err)
		}
		parts = parts.bytes(unix.NFTA_LIST_ELEM, raw)
	}
	rule := append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attributes{}.bytes(unix.NFTA_RULE_EXPRESSIONS, parts)...)
	id, left, err := leftOutOf(rule)
	if err != nil || id.family != unix.NFPROTO_INET || len(left.strange) > 0 || len(left.orders) != 1 ||
		left.orders[0].before != 2 || *left.orders[0].expr != *order {
		f.Fatalf("read %+v, %+v, %v", id, left, err)
	}
	f.Add(rule)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, left, _ := leftOutOf(raw) // it must not panic, whatever it says
		left.into([]expr.Any{&expr.Notrack{}})
	})
}
