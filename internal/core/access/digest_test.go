package access_test

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// bound visits every exported field of v at any depth, with its path, through targets and into lists.
func bound(v reflect.Value, path string, visit func(path string, set func(reflect.Value), v reflect.Value)) {
	boundOf(v, path, v.Set, visit)
}

func boundOf(v reflect.Value, path string, set func(reflect.Value),
	visit func(path string, set func(reflect.Value), v reflect.Value),
) {
	switch v.Interface().(type) {
	case time.Time, netip.Prefix, netip.Addr:
		visit(path, set, v)
		return
	}
	switch v.Kind() { //nolint:exhaustive // the others have no fields
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			boundOf(v.Field(i), path+"."+field.Name, func(to reflect.Value) {
				whole := reflect.New(v.Type()).Elem()
				whole.Set(v)
				whole.Field(i).Set(to)
				set(whole)
			}, visit)
		}
	case reflect.Interface:
		boundOf(v.Elem(), path+"."+v.Elem().Type().Name(), set, visit)
	case reflect.Slice:
		visit(path, set, v)
		for i := range v.Len() {
			boundOf(v.Index(i), path, v.Index(i).Set, visit)
		}
	default:
		visit(path, set, v)
	}
}

// other returns a value that is not v.
func other(v reflect.Value) reflect.Value {
	to := reflect.New(v.Type()).Elem()
	switch x := v.Interface().(type) {
	case time.Time:
		to.Set(reflect.ValueOf(x.Add(time.Second)))
		return to
	case netip.Prefix:
		to.Set(reflect.ValueOf(netip.MustParsePrefix("198.51.100.0/29")))
		return to
	case netip.Addr:
		to.Set(reflect.ValueOf(netip.MustParseAddr("198.51.100.9")))
		return to
	}
	switch v.Kind() { //nolint:exhaustive // the others are refused below
	case reflect.String:
		to.SetString(v.String() + " and more")
	case reflect.Int, reflect.Int64:
		to.SetInt(v.Int() + 1_000_000)
	case reflect.Uint16:
		to.SetUint(v.Uint() + 1)
	case reflect.Bool:
		to.SetBool(!v.Bool())
	case reflect.Slice: // none, or one more
		if v.Len() == 0 {
			to.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
	case reflect.Map:
		to.Set(reflect.MakeMap(v.Type()))
		to.SetMapIndex(reflect.ValueOf("a").Convert(v.Type().Key()), reflect.ValueOf("b").Convert(v.Type().Elem()))
	default:
		panic("a " + v.Type().String() + ", which the test cannot change: teach it to")
	}
	return to
}

// notBound names the fields that a digest leaves out: an approver is shown them, or not, and agrees to nothing by them.
func notBound() map[string]string {
	why := map[string]string{
		".Resource": "a name", ".Released": "of that name", ".Tags": "they may change, and say nothing of access",
		".Tenant": "the machines and the scope are of it", ".RequesterName": "the id counts",
		".Address": "where they asked from, and not where they come from", ".Via": "likewise",
		".State": "it changes with the decision", ".Reason": "of the decision", ".CreatedAt": "it does not change",
		".PendingUntil": "how long deciding may take", ".StageUntil": "likewise", ".RemindAt": "likewise",
		".DecidedAt": "of the decision",
		".Digest":    "it is this", ".Revision": "it moves with each decision",
		".Items.Networks":               "the sources are what they stood for",
		".Items.SourceList":             "how sources were written",
		".Items.Target.RoleTarget.Name": "the id counts",
	}
	return why
}

// TestDigestCoversEveryField changes each field of a request, of its items, of both kinds of targets, and of the cases
// that it falls under: the digest is another one, or the field is on the list of what decisions are not bound to.
func TestDigestCoversEveryField(t *testing.T) {
	t.Parallel()
	digest := func(r access.Request) string {
		r, _ = access.NewRequest(r, access.Actor{}, 0, noon())
		return r.Digest
	}
	left := map[string]bool{}
	for _, make := range []func() access.Request{fullRequest, rolesRequest} {
		whole := make()
		before := digest(whole)
		bound(reflect.ValueOf(&whole).Elem(), "", func(path string, set func(reflect.Value), v reflect.Value) {
			was := reflect.New(v.Type()).Elem()
			was.Set(v)
			set(other(v))
			if digest(whole) == before {
				left[path] = true
			}
			set(was)
			if digest(whole) != before {
				t.Fatalf("%s was not put back", path)
			}
		})
	}
	if got, want := slices.Sorted(maps.Keys(left)), slices.Sorted(maps.Keys(notBound())); !slices.Equal(got, want) {
		t.Errorf("the digest leaves out %q, want %q: put a new field in, or on the list with the reason", got, want)
	}
}
