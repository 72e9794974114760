package store

import (
	"bytes"
	"cmp"
	"database/sql"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/postern-dev/postern/internal/core/access"
)

// micros gives an instant as the database holds it. The zero time is 0, which the beginning of 1970 must not be taken
// for: what ended then would end never.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return cmp.Or(access.Instant(t).UnixMicro(), 1)
}

// instant is the inverse of micros; what an earlier version let in that cannot be written comes out so that it can.
func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return access.Instant(time.UnixMicro(micros))
}

// timeColumn scans an instant.
type timeColumn struct{ to *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("an instant is a %T", value)
	}
	*c.to = instant(n)
	return nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// flagColumn scans a truth value.
type flagColumn struct{ to *bool }

// Scan implements sql.Scanner.
func (c flagColumn) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a truth value is a %T", value)
	}
	*c.to = n != 0
	return nil
}

// formColumn scans JSON text into what it points to, which is of the form's type.
type formColumn struct {
	form form
	to   unsafe.Pointer
}

// Scan implements sql.Scanner.
func (c formColumn) Scan(value any) error {
	switch v := value.(type) {
	case string:
		if v == "null" { // most nested values are empty; each is scanned into its zero value
			return nil
		}
		return c.form.read([]byte(v), c.to)
	case []byte:
		return c.form.read(v, c.to)
	default:
		return fmt.Errorf("a nested value is a %T", value)
	}
}

// knownColumn scans text that is one of those that are known.
type knownColumn[V ~string] struct {
	to    *V
	known *[]V
}

// Scan implements sql.Scanner.
func (c knownColumn[V]) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("text is a %T", value)
	}
	for _, v := range *c.known {
		if string(v) == text {
			*c.to = v
			return nil
		}
	}
	return newer("a row has the value %.40q", text)
}

// integer is a number of any size, or what is counted in one.
type integer interface {
	~int | ~int64 | ~uint16 | ~uint64
}

// numberColumn scans a number that fits.
type numberColumn[V integer] struct{ to *V }

// Scan implements sql.Scanner.
func (c numberColumn[V]) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a number is a %T", value)
	}
	if *c.to = V(n); int64(*c.to) != n {
		return fmt.Errorf("the number %d is too large", n)
	}
	return nil
}

// blobColumn scans bytes; none are nil.
type blobColumn struct{ to *[]byte }

// Scan implements sql.Scanner.
func (c blobColumn) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok {
		return fmt.Errorf("bytes are a %T", value)
	}
	*c.to = nil
	if len(b) > 0 {
		*c.to = bytes.Clone(b)
	}
	return nil
}

// addrColumn scans an address; empty text is the zero address.
type addrColumn struct{ to *netip.Addr }

// Scan implements sql.Scanner.
func (c addrColumn) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("an address is a %T", value)
	}
	*c.to = netip.Addr{}
	if text == "" {
		return nil
	}
	addr, err := netip.ParseAddr(text)
	*c.to = addr
	return err
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// orNull returns NULL for empty text.
func orNull[T ~string](s T) sql.NullString {
	return sql.NullString{String: string(s), Valid: s != ""}
}

// optionalColumn scans NULL as empty text.
type optionalColumn[T ~string] struct{ to *T }

// Scan implements sql.Scanner.
func (c optionalColumn[T]) Scan(value any) error {
	var n sql.NullString
	if err := n.Scan(value); err != nil {
		return err
	}
	*c.to = T(n.String)
	return nil
}

// fold gives the form of a name by which it is unique.
func fold[T ~string](name T) string { return strings.ToLower(string(name)) }
