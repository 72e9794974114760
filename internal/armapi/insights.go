package armapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func insightsRoutes() []route {
	const events = "/providers/Microsoft.Insights/eventtypes/management/values"
	get := func(pattern string, handle func(*call) (reply, error)) route {
		return route{
			method: http.MethodGet, pattern: pattern,
			versions: []string{"2015-04-01", "2014-04-01", "2017-03-01-preview"}, handle: handle,
		}
	}
	return []route{
		get(subscriptionPath+events, listEvents),
		get(events, listEvents),
		get("/providers/Microsoft.Insights/eventcategories", listCategories),
	}
}

// localized is a value and its text.
type localized struct {
	Value     string `json:"value"`
	Localized string `json:"localizedValue"`
}

func same(value string) localized { return localized{value, value} }

func listCategories(*call) (reply, error) {
	return ok(list{Value: []localized{same(administrative), same(security)}})
}

const (
	administrative = "Administrative"
	security       = "Security"
)

// eventPage is how many events one page has.
const eventPage = 200

func listEvents(c *call) (reply, error) {
	if err := c.known(); err != nil {
		return reply{}, err
	}
	f, keep, err := c.eventFilter()
	if err != nil {
		return reply{}, err
	}
	events, err := c.engine().Records.Events(c.Context(), c.caller, f, c.page(eventPage))
	if err != nil {
		return reply{}, err
	}
	if strings.EqualFold(c.query("$format"), "csv") {
		return c.csvOf(f, keep, events), nil
	}
	value := make([]map[string]any, 0, len(events.Items))
	for _, e := range events.Items {
		if shown := c.event(e); keep(shown) {
			value = append(value, shown)
		}
	}
	if fields := c.query("$select"); fields != "" {
		for i := range value {
			value[i] = project(value[i], fields)
		}
	}
	return ok(c.list(value, events.Next))
}

// project keeps the fields that are named, and those that clients rely on.
func project(event map[string]any, fields string) map[string]any {
	out := map[string]any{}
	for field := range strings.SplitSeq(fields, ",") {
		for name, value := range event {
			if strings.EqualFold(name, strings.TrimSpace(field)) {
				out[name] = value
			}
		}
	}
	return out
}

// eventFilter reads the $filter of the activity log: what the engine can narrow by, and a test for the rest.
func (c *call) eventFilter() (engine.EventFilter, func(map[string]any) bool, error) {
	var out engine.EventFilter
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("eventTimestamp", "eventChannels", "resourceGroupName", "resourceGroup", "resourceId",
			"resourceUri", "resourceProvider", "correlationId", "caller", "status", "category",
			"operations", "operationName", "levels")
	}
	if err != nil {
		return out, nil, err
	}
	if c.vars["subscription"] != "" {
		out.Scope = access.SubscriptionScope(c.subscriptionID())
	}
	_, byID := f.take("resourceid")
	_, byURI := f.take("resourceuri")
	scoped := byID || byURI // which is narrower than a group, wherever it stands
	var tests []func(map[string]any) bool
	test := func(want string, of func(map[string]any) string) {
		tests = append(tests, func(e map[string]any) bool { return strings.EqualFold(of(e), want) })
	}
	for _, one := range f {
		switch one.field {
		case "eventtimestamp":
			if err := narrow(&out, one); err != nil {
				return out, nil, err
			}
		case "resourcegroupname", "resourcegroup":
			test(one.value, func(e map[string]any) string { return fmt.Sprint(e["resourceGroupName"]) })
			if c.vars["subscription"] != "" && !scoped {
				out.Scope = access.ResourceGroupScope(c.subscriptionID(), one.value)
			}
		case "resourceid", "resourceuri":
			if out.Scope, err = access.ParseResourceID(one.value); err != nil {
				return out, nil, err
			}
			if c.vars["subscription"] != "" && !out.Scope.Within(access.SubscriptionScope(c.subscriptionID())) {
				return out, nil, access.Fault(access.KindInvalid, "InvalidFilter",
					"the resource %q is not in the subscription that is asked", clip(one.value))
			}
		case "resourceprovider":
			test(one.value, func(e map[string]any) string { return valueOf(e["resourceProviderName"]) })
		case "correlationid":
			test(one.value, func(e map[string]any) string { return fmt.Sprint(e["correlationId"]) })
		case "caller":
			test(one.value, func(e map[string]any) string { return fmt.Sprint(e["caller"]) })
		case "status":
			test(one.value, func(e map[string]any) string { return valueOf(e["status"]) })
		case "operations", "operationname":
			test(one.value, func(e map[string]any) string { return valueOf(e["operationName"]) })
		case "levels":
			test(one.value, func(e map[string]any) string { return fmt.Sprint(e["level"]) })
		case "category":
			test(one.value, func(e map[string]any) string { return valueOf(e["category"]) })
		}
	}
	if out.Since.IsZero() && c.vars["subscription"] != "" {
		return out, nil, access.Fault(access.KindInvalid, "BadRequest",
			"the $filter needs a beginning: write eventTimestamp ge '2030-01-02T15:04:05Z'")
	}
	return out, func(e map[string]any) bool {
		return !slices.ContainsFunc(tests, func(t func(map[string]any) bool) bool { return !t(e) })
	}, nil
}

func valueOf(v any) string {
	if l, is := v.(localized); is {
		return l.Value
	}
	return ""
}

// narrow applies a bound on the time; of several the tightest counts.
func narrow(out *engine.EventFilter, one condition) error {
	at, err := parseStamp(one.value)
	if err != nil {
		return err
	}
	switch one.operator {
	case "gt":
		at = at.Add(time.Microsecond) // the store's lower bound is inclusive
	case "le":
		at = at.Add(time.Microsecond) // and its upper one exclusive
	case "ge", "lt":
	default:
		return access.Fault(access.KindInvalid, "InvalidFilter", "eventTimestamp takes ge, gt, le and lt, not %s",
			one.operator)
	}
	switch {
	case one.operator[0] == 'g' && at.After(out.Since):
		out.Since = at
	case one.operator[0] == 'l' && (out.Before.IsZero() || at.Before(out.Before)):
		out.Before = at
	}
	return nil
}

// event shows one event as Azure does.
func (c *call) event(e access.Event) map[string]any {
	operation := operationOf(e)
	title := titleOf(e, operation)
	status, level := "Succeeded", "Informational"
	switch {
	case e.Outcome == access.Refused || e.Outcome == access.Failed:
		status, level = "Failed", "Error"
	case e.Kind == access.RequestSubmitted:
		status = "Started"
	}
	name := localized{"EndRequest", "End request"}
	if status == "Started" {
		name = localized{"BeginRequest", "Begin request"}
	}
	category := administrative
	if strings.HasPrefix(string(e.Kind), "session.") || strings.HasPrefix(string(e.Kind), "agent.") {
		category = security
	}
	resource := string(e.Scope)
	provider, kind := typeOf(e.Scope)
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte("event/"+strconv.FormatInt(e.Seq, 10))).String()
	correlation := string(e.Request)
	if correlation == "" {
		correlation = id
	}
	out := map[string]any{
		"id": resource + "/events/" + id + "/ticks/" + strconv.FormatInt(ticks(e.At), 10), "eventDataId": id,
		"correlationId": correlation, "operationId": correlation,
		"eventName": name, "category": same(category), "level": level, "status": same(status),
		"subStatus": subStatus(e), "channels": "Operation",
		"operationName": localized{operation, title}, "eventTimestamp": stamp(e.At), "submissionTimestamp": stamp(e.At),
		"caller": e.Actor.Name, "description": title, "resourceId": resource,
		"resourceGroupName":    e.Scope.Segment("resourceGroups"),
		"resourceProviderName": same(provider), "resourceType": same(kind),
		"subscriptionId": e.Scope.Segment("subscriptions"), "tenantId": e.Tenant,
		"authorization": map[string]any{"action": operation, "scope": resource},
		"claims":        claimsOf(e), "properties": propertiesOf(e),
		"httpRequest": map[string]any{
			"clientRequestId": correlation, "clientIpAddress": addressOf(e), "method": "",
			"uri": "",
		},
	}
	return out
}

// ticks counts as .NET does: hundreds of nanoseconds since the year 1.
func ticks(t time.Time) int64 {
	const epoch = 621355968000000000
	return epoch + t.UnixMicro()*10
}

// typeOf gives the provider and the type of a resource.
func typeOf(id access.ResourceID) (provider, kind string) {
	provider = id.Segment("providers")
	if provider == "" {
		return "Microsoft.Resources", "Microsoft.Resources/subscriptions"
	}
	segments := split(string(id))
	for !strings.EqualFold(segments[0], "providers") { // the names of pairs, of which one is that
		segments = segments[2:]
	}
	segments = segments[1:]
	kind = segments[0]
	for i := 1; i < len(segments); i += 2 {
		kind += "/" + segments[i]
	}
	return segments[0], kind
}

func addressOf(e access.Event) string {
	if !e.Actor.Address.IsValid() {
		return ""
	}
	return e.Actor.Address.String()
}

func claimsOf(e access.Event) map[string]string {
	out := map[string]string{"name": e.Actor.Name}
	if e.Actor.ID != "" {
		out["http://schemas.microsoft.com/identity/claims/objectidentifier"] = string(e.Actor.ID)
	}
	if address := addressOf(e); address != "" {
		out["ipaddr"] = address
	}
	return out
}

// subStatus gives Azure's word for the status of HTTP that answered.
func subStatus(e access.Event) localized {
	switch {
	case e.Outcome == access.Refused && e.Details["code"] == "forbidden":
		return localized{"Forbidden", "Forbidden (HTTP Status Code: 403)"}
	case e.Outcome == access.Refused:
		return localized{"BadRequest", "Bad Request (HTTP Status Code: 400)"}
	case e.Kind == access.RequestSubmitted || e.Kind == access.RequestWasApproved:
		return localized{"Accepted", "Accepted (HTTP Status Code: 202)"}
	}
	return localized{"OK", "OK (HTTP Status Code: 200)"}
}

// propertiesOf gives everything else that is known of an event: texts by name. eventProperties holds what scripts look
// for in Azure's own events of this kind.
func propertiesOf(e access.Event) map[string]string {
	out := map[string]string{"kind": string(e.Kind), "seq": strconv.FormatInt(e.Seq, 10), "via": e.Actor.Via}
	for name, value := range map[string]string{
		"request": string(e.Request), "grant": string(e.Grant), "machine": string(e.Machine), "agent": string(e.Agent),
		"clientIpAddress": addressOf(e),
	} {
		if value != "" {
			out[name] = value
		}
	}
	// which may have a name that the record has itself: a kind of principal, what somebody called a machine
	for name, value := range e.Details {
		if _, taken := out[name]; taken {
			name = "detail." + name
		}
		out[name] = value
	}
	if justification := e.Details["justification"]; justification != "" {
		if text, err := json.Marshal(map[string]string{
			"Justification": justification,
			"User":          e.Actor.Name,
		}); err == nil {
			out["eventProperties"] = string(text)
		}
	}
	return out
}
