package httpapi

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// fault adds what a parser of the core found wrong.
func (in *invalid) fault(field string, err error) {
	if err == nil {
		return
	}
	message := err.Error()
	if e, ok := errors.AsType[*access.Error](err); ok {
		message = e.Message
	}
	in.add(access.CodeOf(err), field, "%s", message)
}

// portRange reads "22" or "8000-8010".
func (in *invalid) portRange(field, text string) access.PortRange {
	r, err := access.ParsePorts(text)
	in.fault(field, err)
	return r
}

// prefix reads a prefix or an address.
func (in *invalid) prefix(field, text string) netip.Prefix {
	p, err := access.ParsePrefix(text)
	in.fault(field, err)
	return p
}

func (in *invalid) address(field, text string) netip.Addr {
	addr, err := access.ParseAddress(text)
	in.fault(field, err)
	return addr
}

func (in *invalid) scope(field, text string) access.ResourceID {
	if text == "" {
		return ""
	}
	id, err := access.ParseResourceID(text)
	in.fault(field, err)
	return id
}

// seconds reads a duration on the wire; what would overflow becomes longer than anything that is allowed.
func seconds(n int64) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
