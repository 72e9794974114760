package identity

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// Names are the names under which the server is known. They decide for whom tokens and assertions count and where links
// lead, so that the header Host, which whoever calls writes, only chooses among them.
type Names struct {
	hosts map[string]bool // names and addresses, in lower case
	ports map[string]bool
	// host, with the port where it is not 443: what the server calls itself where it was called by another name
	public string
}

// NewNames gives the names of a server that people reach at public, a URL, and that has these host names and addresses
// at these ports besides; 443 is always one of them.
func NewNames(public string, hosts []string, ports ...string) (Names, error) {
	u, err := url.Parse(public)
	if err != nil || u.Hostname() == "" {
		return Names{}, errors.New("the server's names need the URL under which people reach it")
	}
	n := Names{hosts: map[string]bool{}, ports: map[string]bool{"443": true}, public: strings.ToLower(u.Host)}
	for _, host := range append([]string{u.Hostname()}, hosts...) {
		n.hosts[strings.ToLower(host)] = true
	}
	for _, port := range append([]string{u.Port()}, ports...) {
		if port != "" {
			n.ports[port] = true
		}
	}
	n.public = strings.TrimSuffix(n.public, ":443")
	return n, nil
}

// host returns the name, in lower case and with the port as given, where it is one of the server's, else the public
// one.
func (n Names) host(asked string) string {
	asked = strings.ToLower(asked)
	name, port, err := net.SplitHostPort(asked)
	if err != nil {
		name, port = strings.Trim(asked, "[]"), "443"
	}
	if n.hosts[strings.TrimSuffix(name, ".")] && n.ports[port] {
		return asked
	}
	return n.public
}

// Host returns the name under which a call reached the server: that of its Host header where it is one of the server's
// own, else the one under which people reach it.
func (i *Identity) Host(asked string) string { return i.own.host(asked) }

// aliases are audiences that stand for this server besides its own names: Azure Resource Manager's, which many programs
// have written into them. A token that was asked for under one of them is good here alone, as every token is.
func aliases() []string {
	return []string{"https://management.azure.com", "https://management.core.windows.net"}
}
