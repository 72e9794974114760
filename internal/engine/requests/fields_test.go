package requests

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// These tests walk the fields of what is asked for, so that one which is added, and forgotten in any place that it has
// to pass, fails here. What a place leaves out stands in its list, with the reason.

// fill gives every exported field of v a value that is not zero.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
		return
	case *netip.Addr:
		*x = netip.MustParseAddr("192.0.2.1")
		return
	case *netip.Prefix:
		*x = netip.MustParsePrefix("192.0.2.0/24")
		return
	}
	switch v.Kind() { //nolint:exhaustive // the others are refused below
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(time.Hour))
	case reflect.Uint16, reflect.Uint64:
		v.SetUint(22)
	case reflect.String:
		v.SetString("text")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Interface: // of a target
		var port access.PortTarget
		fill(reflect.ValueOf(&port).Elem())
		v.Set(reflect.ValueOf(port))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	default:
		panic(fmt.Sprintf("a %s, which the test cannot fill: teach it to", v.Type()))
	}
}

func filled[T any]() T {
	var v T
	fill(reflect.ValueOf(&v).Elem())
	return v
}

// each calls visit for every field in v, with its path, at any depth.
func each(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	_, isTime := reflect.TypeAssert[time.Time](v)
	_, isPrefix := reflect.TypeAssert[netip.Prefix](v)
	switch {
	case isTime || isPrefix:
		visit(path, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				each(v.Field(i), strings.TrimPrefix(path+"."+f.Name, "."), visit)
			}
		}
	case v.Kind() == reflect.Slice && v.Len() > 0:
		each(v.Index(0), path, visit)
	default:
		visit(path, v)
	}
}

// unchanged returns the fields of a filled T whose loss leaves what of says as it is.
func unchanged[T any](of func(T) string) (paths []string) {
	whole := filled[T]()
	before := of(whole)
	each(reflect.ValueOf(&whole).Elem(), "", func(path string, v reflect.Value) {
		was := reflect.ValueOf(v.Interface())
		v.SetZero()
		if of(whole) == before {
			paths = append(paths, path)
		}
		v.Set(was)
	})
	return paths
}

func wantLeftOut(t *testing.T, where string, got []string, reasons map[string]string) {
	t.Helper()
	if want := slices.Sorted(maps.Keys(reasons)); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("%s leaves out %q, want %q: put a new field in, or on the list with the reason", where, got, want)
	}
}

// TestEveryFieldIsCompared holds that an idempotency key is compared with all that was sent.
func TestEveryFieldIsCompared(t *testing.T) {
	t.Parallel()
	wantLeftOut(t, "the digest of what is submitted", unchanged(func(in SubmitInput) string {
		in.Digest = "" // in the place of which it stands
		return in.digest()
	}), map[string]string{
		"IdempotencyKey":            "it is what the digest is kept under",
		"Digest":                    "of a façade, it stands in the place of this",
		"Items.Item.Target":         "the port and the words for machines are what it is made of",
		"Items.Item.PolicyRevision": "the engine reads it",
		"Items.Item.SourceList":     "it says how sources were written, and not which",
		"Items.Port.Machine":        "the engine finds it by the words for machines",
		"Items.Port.Policy":         "the engine reads it",
	})
	wantLeftOut(t, "the digest of an activation", unchanged(func(in ActivateInput) string {
		in.Digest = ""
		return in.digest()
	}), map[string]string{
		"IdempotencyKey": "it is what the digest is kept under",
		"Digest":         "of a façade, it stands in the place of this",
		"ID":             "who sends it has a key that is made of it",
		"Resource":       "the key is made of it",
		"Tags":           "they are set by themselves as well, and are not asked for",
	})
}

// TestEveryFieldIsAsked holds that what was sent is judged, whichever way it came.
func TestEveryFieldIsAsked(t *testing.T) {
	t.Parallel()
	of := func(in policy.Input) string { return fmt.Sprintf("%+v", in) }
	wantLeftOut(t, "what is judged of a request", unchanged(func(in SubmitInput) string { return of(in.asked()) }),
		map[string]string{
			"Items.Item.Target": "items are judged once their machines are found", "Items.Item.PolicyRevision": "",
			"Items.Item.Networks": "", "Items.Item.Duration": "", "Items.Item.Until": "", "Items.Item.SourceList": "",
			"Items.Port.Machine": "", "Items.Port.Policy": "", "Items.Port.Ports.First": "", "Items.Port.Ports.Last": "",
			"Items.Port.Protocol": "", "Items.Port.Sources": "", "Items.Machine": "", "Items.Selector": "",
			"Items.Group": "", "IdempotencyKey": "it is not asked for", "Digest": "likewise",
			"Repeat": "its windows are", "Zone": "likewise", "BreakGlass": "it has limits of its own",
			"Policy": "it says which policy may judge",
		})
	wantLeftOut(t, "what is judged of an activation", unchanged(func(in ActivateInput) string { return of(in.asked()) }),
		map[string]string{
			"ID": "a name, which is not asked for", "Resource": "likewise", "Tags": "likewise",
			"IdempotencyKey": "likewise", "Digest": "likewise", "Roles.Eligibility": "items are judged once their roles are found",
			"Roles.Role": "", "Roles.Scope": "", "Roles.Principal": "", "Duration": "it is of each item",
			"Until": "likewise",
		})
}

// TestEveryFieldIsRequested holds that a request has all that was asked for, and that what asks for more time on its
// grant, or is looked at again, asks the same.
func TestEveryFieldIsRequested(t *testing.T) {
	t.Parallel()
	may := engine.Rights{Dir: rbac.Compile(rbac.Data{}), Caller: filled[engine.Caller]()}
	verdict := func(in policy.Input) (v policy.Verdict) {
		for _, item := range in.Items {
			v.Items = append(v.Items, policy.Judged{Item: item.Item})
		}
		return v
	}
	request := func(in policy.Input) access.Request { return newRequest(may, "tenant", in, verdict(in)) }
	wantLeftOut(t, "a request", unchanged(func(in policy.Input) string { return fmt.Sprintf("%+v", request(in)) }),
		leftOutOf("Items.Name", "Items.Policy", "Items.Eligibility", "Items.Disabled", "Items.Since"))
	wantLeftOut(t, "what is asked again",
		unchanged(func(in policy.Input) string { return fmt.Sprintf("%+v", askedAgain(request(in))) }),
		leftOutOf("Start", "Items.Item.Target", "Items.Item.PolicyRevision", "Items.Item.Networks",
			"Items.Item.Duration", "Items.Item.Until", "Items.Item.SourceList", "Items.Name", "Items.Policy",
			"Items.Eligibility", "Items.Disabled", "Items.Since"))

	whole := reflect.ValueOf(request(filled[policy.Input]()))
	for i := range whole.NumField() {
		name := whole.Type().Field(i).Name
		_, later := filledLater()[name]
		if later != whole.Field(i).IsZero() {
			t.Errorf("%s of a new request is %v: newRequest fills it, or it is on the list of what is filled later", name,
				whole.Field(i))
		}
	}
}

// leftOutOf are fields that an item is judged by, and that it is read for anew.
func leftOutOf(paths ...string) map[string]string {
	out := map[string]string{}
	for _, p := range paths {
		out[p] = "it is read anew"
	}
	return out
}

// filledLater names the fields of a request that newRequest does not fill, and says what does.
func filledLater() map[string]string {
	return map[string]string{
		"ID": "each way of asking", "Resource": "activations of Azure's clients", "Tags": "likewise",
		"Released": "Release", "Windows": "a series", "Extends": "an extension", "Moves": "a move", "BreakGlass": "Submit",
		"Approvals": "file", "State": "access.NewRequest", "Reason": "who denies or cancels",
		"CreatedAt": "access.NewRequest", "PendingUntil": "access.NewRequest", "StageUntil": "Staged", "RemindAt": "Staged",
		"DecidedAt": "the decision", "Digest": "access.NewRequest", "Revision": "access.NewRequest",
	}
}
