package engine_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// TestEveryUseCaseRefusesWhoHasNoRole finds every use case by reflection, so that a new one is called as well: as
// nobody at all, and as somebody without a role, with the name of a machine for each text and zero for the rest.
// Nothing may change, and whatever does not refuse both is in openUseCases with what bounds it.
func TestEveryUseCaseRefusesWhoHasNoRole(t *testing.T) {
	t.Parallel()
	w, _, _, _ := stage(t)
	nobody := w.user("nobody", "")
	before, open := w.picture(), openUseCases()
	caller := reflect.TypeFor[engine.Caller]()
	v, there := reflect.ValueOf(w.Services).Elem(), map[string]bool{}
	for i := range v.NumField() {
		service := v.Field(i)
		if service.Kind() != reflect.Pointer || !v.Type().Field(i).IsExported() {
			continue
		}
		for k := range service.NumMethod() {
			name := v.Type().Field(i).Name + "." + service.Type().Method(k).Name
			method := service.Method(k)
			if method.Type().NumIn() < 2 || method.Type().In(1) != caller {
				continue
			}
			there[name] = true
			if err := callWith(w.ctx, method, nobody); (err == nil) != (open[name] != "") {
				t.Errorf("%s called without a role gives %v (%s); openUseCases has %q", name, err, access.KindOf(err),
					open[name])
			}
			if err := callWith(w.ctx, method, engine.Caller{}); err == nil && !bare()[name] {
				t.Errorf("%s may be called by nobody at all", name)
			}
		}
	}
	if diff := cmp.Diff(before, w.picture(), comparers()...); diff != "" {
		t.Errorf("it changed something: %s", diff)
	}
	for name := range open {
		if !there[name] {
			t.Errorf("openUseCases names %s, which is no use case", name)
		}
	}
}

// callWith calls a use case, and returns its error.
func callWith(ctx context.Context, method reflect.Value, c engine.Caller) error {
	args := []reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(c)}
	for i := 2; i < method.Type().NumIn(); i++ {
		arg := reflect.New(method.Type().In(i)).Elem()
		if arg.Kind() == reflect.String {
			arg.SetString("web-1")
		}
		if action := []string{rbac.MachinesRead}; arg.Type() == reflect.TypeOf(action) && method.Type().IsVariadic() {
			arg.Set(reflect.ValueOf(action))
		}
		args = append(args, arg)
	}
	var out []reflect.Value
	if method.Type().IsVariadic() {
		out = method.CallSlice(args)
	} else {
		out = method.Call(args)
	}
	if len(out) == 0 {
		return nil
	}
	err, _ := reflect.TypeAssert[error](out[len(out)-1])
	return err
}

// bare are the use cases that look at nothing but what the caller gives: façades call them for callers that they have
// authenticated, or that failed at that.
func bare() map[string]bool {
	return map[string]bool{
		"Directory.Tenant": true, "Directory.UseSession": true, "Machines.Names": true, "Machines.SharedAddress": true,
		"Requests.RequestRefused": true,
	}
}

// openUseCases are the use cases that do not refuse somebody without a role, each with what bounds it.
func openUseCases() map[string]string {
	const own, seen, given = "what is the caller's own", "what the caller may see", "what the caller was given"
	return map[string]string{
		"Directory.APITokens": own, "Directory.Passkeys": own, "Directory.Self": own, "Directory.Tenant": own,
		"Directory.UseSession": own, "Machines.SharedAddress": own, "Requests.Reviews": own, "Inbox.List": own, "Inbox.Unread": own, "Inbox.Read": own, "Roles.Able": own,
		"Roles.EligibleRoles": own, "Roles.Permissions": own, "Roles.RunsServer": own, "Requests.RequestRefused": own,

		"Directory.PrincipalsByID": seen, "Directory.Subscriptions": seen, "Fleet.WithActivity": seen,
		"Records.NotClosed": seen, "Requests.Grants": seen, "Requests.Requests": seen, "Roles.RecordedChanges": seen,
		"Roles.RoleChanges": seen, "Reviews.AccessReviews": seen,

		"Directory.PrincipalKind": given, "Machines.Names": given, "Requests.PolicyView": given,

		"Notices.Channels": "names of channels, which anybody may have notices of their own sent to",
		"Records.Changes":  "which kinds of objects change, and nothing of them",
	}
}
