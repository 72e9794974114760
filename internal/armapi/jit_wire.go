package armapi

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const jitType = "Microsoft.Security/locations/jitNetworkAccessPolicies"

// jitPolicy is a JIT network access policy as clients see it. The arrays are always there: some clients break on null.
type jitPolicy struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Type       string        `json:"type"`
	Kind       string        `json:"kind"`
	Location   string        `json:"location"`
	Properties jitProperties `json:"properties"`
}

type jitProperties struct {
	ProvisioningState string       `json:"provisioningState"`
	VirtualMachines   []jitMachine `json:"virtualMachines"`
	Requests          []jitRequest `json:"requests"`
}

type jitMachine struct {
	_     struct{}  `also:"publicIpAddress"`
	ID    string    `json:"id"`
	Ports []jitPort `json:"ports"`
}

type jitPort struct {
	Number      number   `json:"number"`
	Protocol    string   `json:"protocol"`
	Prefix      *string  `json:"allowedSourceAddressPrefix,omitempty"`
	Prefixes    []string `json:"allowedSourceAddressPrefixes,omitempty"`
	MaxDuration string   `json:"maxRequestAccessDuration"`
}

type jitRequest struct {
	VirtualMachines []jitRequestMachine `json:"virtualMachines"`
	StartTimeUTC    string              `json:"startTimeUtc"`
	Requestor       string              `json:"requestor"`
	Justification   string              `json:"justification,omitempty"`
}

type jitRequestMachine struct {
	ID    string           `json:"id"`
	Ports []jitRequestPort `json:"ports"`
}

type jitRequestPort struct {
	Number       number   `json:"number"`
	Prefix       *string  `json:"allowedSourceAddressPrefix,omitempty"`
	Prefixes     []string `json:"allowedSourceAddressPrefixes,omitempty"`
	EndTimeUTC   string   `json:"endTimeUtc"`
	Status       string   `json:"status"`
	StatusReason string   `json:"statusReason"`
}

// putPolicy is what a PUT may say; requests and whatever else the server owns are passed over.
type putPolicy struct {
	_          struct{} `also:"id name type location systemData tags etag"`
	Kind       string   `json:"kind"`
	Properties *struct {
		_               struct{}     `also:"requests provisioningState"`
		VirtualMachines []jitMachine `json:"virtualMachines"`
	} `json:"properties"`
}

// initiate is what a POST …/initiate may say.
type initiate struct {
	Justification   string `json:"justification"`
	VirtualMachines []struct {
		_     struct{} `also:"publicIpAddress"`
		ID    string   `json:"id"`
		Ports []struct {
			_          struct{} `also:"maxRequestAccessDuration status statusReason mappedPort"`
			Protocol   *string  `json:"protocol"`
			Number     number   `json:"number"`
			EndTimeUTC *string  `json:"endTimeUtc"`
			Duration   *string  `json:"duration"`
			Prefix     *string  `json:"allowedSourceAddressPrefix"`
			Prefixes   []string `json:"allowedSourceAddressPrefixes"`
		} `json:"ports"`
	} `json:"virtualMachines"`
}

// number is a port that may come as a JSON string, and always goes as a number.
type number uint16

// UnmarshalJSON reads 22 or "22".
func (n *number) UnmarshalJSON(data []byte) error {
	text := string(bytes.TrimSpace(data))
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return access.Fault(access.KindInvalid, "InvalidParameter", "a port number is malformed")
		}
	}
	value, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || value == 0 {
		return access.Fault(access.KindInvalid, "InvalidParameter", "the port number %s is not one of 1 to 65535",
			clip(text))
	}
	*n = number(value)
	return nil
}

// protocolFrom reads a protocol as Azure writes it.
func protocolFrom(text string) (access.Protocol, bool) {
	switch strings.ToUpper(text) {
	case "TCP":
		return access.TCP, true
	case "UDP":
		return access.UDP, true
	case "*", "ALL":
		return access.AnyProtocol, true
	}
	return "", false
}

func protocolTo(p access.Protocol) string {
	if p == access.AnyProtocol {
		return "*"
	}
	return strings.ToUpper(string(p))
}

// sourceFrom reads an address, a prefix, or one of the words for everywhere, which gives anywhere.
func sourceFrom(text string) (prefix netip.Prefix, anywhere, valid bool) {
	switch strings.ToLower(text) {
	case "*", "any", "internet", "0.0.0.0/0,::/0":
		return netip.Prefix{}, true, true
	}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), false, true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false, false
	}
	return prefix.Masked(), false, true
}

// sourceTo writes a prefix as Azure does: a single address without its length.
func sourceTo(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// sourcesTo gives the two source fields of which exactly one is set: a list where several were given, or one as a list.
func sourcesTo(prefixes []netip.Prefix, list bool, networks ...string) (one *string, many []string) {
	if len(prefixes)+len(networks) == 0 || access.Anywhere(prefixes) {
		prefixes, networks, many = nil, nil, []string{"*"}
	}
	for _, p := range prefixes {
		many = append(many, sourceTo(p))
	}
	many = append(many, networks...)
	if len(many) == 1 && !list {
		return &many[0], nil
	}
	return nil, many
}
