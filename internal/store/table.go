package store

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/postern-dev/postern/internal/core/access"
)

// table describes how a type is kept: which columns a row has, and which field of the type is in which. What selects,
// inserts, updates and scans rows comes from it alone, so a column is named once. The statements are built when the
// program starts.
type table[T any] struct {
	noun    string // what an error calls a row, and a memo what was written
	name    string
	columns []column[T]
	read    []column[T] // those that a select gives

	selected string   // the columns as a select names them, in the order in which scan takes them
	outer    string   // the same of an outer join, which has no row sometimes: the zero value is read then
	names    []string // of the columns that are written, in the order of args
	insert   string
	update   string // compare-and-swap of the revision, which is its last argument
	upsert   string
}

// column is one column of a table.
type column[T any] struct {
	name  string
	zero  string // what stands for NULL where the row is of an outer join
	other string // what a select gives, where it is not the column itself
	once  bool   // it is written when the row is made, and never again by an upsert

	into func(*T) any          // what a scan writes to; nil: it is only written
	arg  func(*T) (any, error) // what a statement writes; nil: it is only read

	kind reflect.Type // of the field of T that it holds, with its place; nil: none
	at   func(*T) unsafe.Pointer
	form *form // of what is written as JSON
	rest *rest // of the column that holds every field without one of its own
}

// describe returns the table of a type. key names the columns by which a row is found, parted by commas.
func describe[T any](noun, name, alias, key string, columns ...column[T]) *table[T] {
	d := &table[T]{noun: noun, name: name, columns: columns}
	keys := strings.Split(key, ", ")
	var selected, outer, names, sets, swaps, found []string
	for i := range d.columns {
		c := &d.columns[i]
		if c.rest != nil {
			c.rest.build(d.places())
			c.form = &c.rest.form
		}
		if c.into != nil {
			d.read = append(d.read, *c)
			of := cmp.Or(c.other, alias+"."+c.name)
			selected, outer = append(selected, of), append(outer, "coalesce("+of+", "+c.zero+")")
		}
		if c.arg == nil {
			continue
		}
		names = append(names, c.name)
		mark := "$" + strconv.Itoa(len(names))
		switch {
		case slices.Contains(keys, c.name):
			found = append(found, c.name+" = "+mark)
		default:
			swaps = append(swaps, c.name+" = "+mark)
			if !c.once {
				sets = append(sets, c.name+" = excluded."+c.name)
			}
		}
	}
	d.selected = strings.Join(selected, ", ")
	d.outer = strings.Join(outer, ", ")
	d.names = names
	d.insert = d.insertWith()
	d.update = "update " + name + " set " + strings.Join(swaps, ", ") + " where " + strings.Join(found, " and ") +
		" and revision = $" + strconv.Itoa(len(names)+1)
	d.upsert = d.insert + " on conflict (" + key + ") do update set " + strings.Join(sets, ", ")
	return d
}

// insertWith returns the statement that inserts a row with more columns than the type has fields for, which come last.
func (d *table[T]) insertWith(more ...string) string {
	names := slices.Concat(d.names, more)
	return "insert into " + d.name + " (" + strings.Join(names, ", ") + ") values (" + marks(len(names)) + ")"
}

// place is where a field lies in a type.
type place struct {
	offset uintptr
	kind   reflect.Type
}

// places returns the fields that have columns of their own.
func (d *table[T]) places() map[place]bool {
	var v T
	own := map[place]bool{}
	for _, c := range d.columns {
		if c.kind != nil {
			own[place{uintptr(c.at(&v)) - uintptr(unsafe.Pointer(&v)), c.kind}] = true //nolint:gosec // never followed
		}
	}
	return own
}

// scan reads a row of a select that names the columns as selected does.
func (d *table[T]) scan(row scanner) (v T, err error) {
	err = row.Scan(d.into(&v)...)
	return v, err
}

// into returns what a scan of a row writes to.
func (d *table[T]) into(v *T) []any {
	into := make([]any, len(d.read), len(d.read)+4) // some statements give a few columns more
	for i := range d.read {
		into[i] = d.read[i].into(v)
	}
	return into
}

// args returns what a statement writes.
func (d *table[T]) args(v *T) ([]any, error) {
	args := make([]any, 0, len(d.columns)+1)
	for i := range d.columns {
		if d.columns[i].arg == nil {
			continue
		}
		arg, err := d.columns[i].arg(v)
		if err != nil {
			return nil, fmt.Errorf("write a %s: %w", d.noun, err)
		}
		args = append(args, arg)
	}
	return args, nil
}

// json returns what a statement writes to a column of JSON.
func (d *table[T]) json(name string, v *T) (string, error) {
	for i := range d.columns {
		if d.columns[i].name == name {
			arg, err := d.columns[i].arg(v)
			text, _ := arg.(string)
			return text, err
		}
	}
	return "", fmt.Errorf("a %s has no column %s", d.noun, name)
}

// put writes a row with a statement of its table.
func put[T any](ctx context.Context, t *tx, d *table[T], text string, v T) error {
	args, err := d.args(&v)
	if err != nil {
		return err
	}
	return t.exec(ctx, d.noun, nil, text, args...)
}

// swap inserts a row where was is 0, and else updates the one that still has that revision.
func swap[T any](ctx context.Context, t *tx, d *table[T], v T, revision, was int64) error {
	if revision <= was {
		// It would make the next compare-and-swap blind.
		return access.Fault(access.KindInternal, "revision", "the %s is saved as revision %d over %d", d.noun, revision,
			was)
	}
	args, err := d.args(&v)
	if err != nil {
		return err
	}
	if was == 0 {
		return t.exec(ctx, d.noun, nil, d.insert, args...)
	}
	return t.exec(ctx, d.noun, changed(d.noun), d.update, append(args, was)...)
}

// field describes a column that holds a field.
func field[T, V any](name, zero string, of func(*T) *V, into func(*V) any, arg func(V) any) column[T] {
	return column[T]{
		name: name, zero: zero, kind: reflect.TypeFor[V](),
		at:   func(v *T) unsafe.Pointer { return unsafe.Pointer(of(v)) }, //nolint:gosec // see places
		into: func(v *T) any { return into(of(v)) },
		arg:  func(v *T) (any, error) { return arg(*of(v)), nil },
	}
}

func text[T any, V ~string](name string, of func(*T) *V) column[T] {
	return field(name, "''", of, func(p *V) any { return p }, func(v V) any { return string(v) })
}

// oneOf is text of which this version knows every value there is.
func oneOf[T any, V ~string](name string, of func(*T) *V, known ...V) column[T] {
	c := text(name, of)
	c.into = func(v *T) any { return knownColumn[V]{of(v), &known} }
	return c
}

// optional is text that is NULL where it is empty.
func optional[T any, V ~string](name string, of func(*T) *V) column[T] {
	return field(name, "''", of, func(p *V) any { return optionalColumn[V]{p} }, func(v V) any { return orNull(v) })
}

func number[T any, V integer](name string, of func(*T) *V) column[T] {
	return field(name, "0", of, func(p *V) any { return numberColumn[V]{p} }, func(v V) any { return int64(v) })
}

func when[T any](name string, of func(*T) *time.Time) column[T] {
	return field(name, "0", of, func(p *time.Time) any { return timeColumn{p} }, func(v time.Time) any { return micros(v) })
}

func truth[T any](name string, of func(*T) *bool) column[T] {
	return field(name, "0", of, func(p *bool) any { return flagColumn{p} }, func(v bool) any { return flag(v) })
}

func address[T any](name string, of func(*T) *netip.Addr) column[T] {
	return field(name, "''", of, func(p *netip.Addr) any { return addrColumn{p} }, func(v netip.Addr) any {
		return addrText(v)
	})
}

func blob[T any](name string, of func(*T) *[]byte) column[T] {
	return field(name, "''", of, func(p *[]byte) any { return blobColumn{p} }, func(v []byte) any {
		if v == nil {
			return []byte{}
		}
		return v
	})
}

// nested is a field as JSON.
func nested[T, V any](name string, of func(*T) *V) column[T] { return nestedBut(name, of, parts{}) }

// nestedBut is nested, with parts of it written otherwise.
func nestedBut[T, V any](name string, of func(*T) *V, p parts) column[T] {
	f := formOf(reflect.TypeFor[V](), p)
	c := field(name, "'null'", of, func(p *V) any { return formColumn{f, unsafe.Pointer(p)} }, nil) //nolint:gosec // as form says
	c.form = &f
	c.arg = func(v *T) (any, error) { return f.text(unsafe.Pointer(of(v))) } //nolint:gosec // likewise
	return c
}

// listOf is nested, where none is an empty list.
func listOf[T, V any](name string, of func(*T) *[]V) column[T] {
	c := nested(name, of)
	some := c.arg
	c.arg = func(v *T) (any, error) {
		if *of(v) == nil {
			return "[]", nil
		}
		return some(v)
	}
	return c
}

// derived is written for conditions and orders, and never read.
func derived[T any](name string, arg func(*T) any) column[T] {
	return column[T]{name: name, arg: func(v *T) (any, error) { return arg(v), nil }}
}

// joined is a column that is read from another table, and not written.
func joined[T any](other string, c column[T]) column[T] {
	c.other, c.arg = other, nil
	return c
}

// given is a column that the database fills.
func (c column[T]) given() column[T] {
	c.arg = nil
	return c
}

// as has a column written in another way than its field.
func (c column[T]) as(arg func(*T) any) column[T] {
	c.arg = func(v *T) (any, error) { return arg(v), nil }
	return c
}

// kept leaves a column as it is where an upsert finds a row.
func (c column[T]) kept() column[T] {
	c.once = true
	return c
}

// rest is every field of a type that has no column of its own, as JSON.
type rest struct {
	parts parts
	kind  reflect.Type
	form  form
}

func (r *rest) build(own map[place]bool) {
	r.parts.own = own
	r.form = formOf(r.kind, r.parts)
}

// others describes the column that holds every field without a column of its own. A field that is added to the type is
// there by itself.
func others[T any](name string, p parts) column[T] {
	r := &rest{parts: p, kind: reflect.TypeFor[T]()}
	return column[T]{
		name: name, zero: "'null'", rest: r,
		into: func(v *T) any { return formColumn{r.form, unsafe.Pointer(v)} },   //nolint:gosec // as form says
		arg:  func(v *T) (any, error) { return r.form.text(unsafe.Pointer(v)) }, //nolint:gosec // likewise
	}
}
