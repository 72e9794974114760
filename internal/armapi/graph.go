package armapi

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// The few reads of Microsoft Graph that tell clients of Azure Resource Manager whom an id or a name means. Everything
// else of Graph is answered as Graph answers what it does not know.

const graphPage = 999 // as many as Graph gives at once

func graphRoutes() []route {
	var all []route
	for _, version := range []string{"/v1.0", "/beta"} {
		all = append(all,
			route{method: http.MethodPost, pattern: version + "/directoryObjects/getByIds", handle: graphByIDs},
			route{
				method: http.MethodGet, pattern: version + "/servicePrincipals",
				handle: graphList(access.ServicePrincipal, "servicePrincipalNames", "appId", "displayName"),
			},
			route{
				method: http.MethodGet, pattern: version + "/users",
				handle: graphList(access.User, "userPrincipalName", "displayName"),
			})
	}
	return all
}

// isGraph reports whether a path is one of Microsoft Graph's.
func isGraph(path string) bool {
	segments := split(path)
	return len(segments) > 0 && (strings.EqualFold(segments[0], "v1.0") || strings.EqualFold(segments[0], "beta"))
}

// graphByIDs gives the principals of those ids that the caller may see. Others are left out without a word, as Graph
// does.
func graphByIDs(c *call) (reply, error) {
	var body struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	found, err := c.engine().Directory.PrincipalsByID(c.Context(), c.caller, body.IDs)
	if err != nil {
		return reply{}, err
	}
	value := []any{}
	for _, p := range found {
		asked := len(body.Types) == 0 || containsFold(body.Types,
			"directoryObject") || containsFold(body.Types, string(p.Kind))
		if asked {
			value = append(value, graphObject(p))
		}
	}
	return ok(map[string]any{"@odata.context": c.base() + "/v1.0/$metadata#directoryObjects", "value": value})
}

// graphList gives the principals of a kind, or the one whose name or id a $filter asks for by one of these fields.
func graphList(kind access.PrincipalKind, fields ...string) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		out := map[string]any{"@odata.context": c.base() + "/v1.0/$metadata#" + string(kind) + "s"}
		value := []any{}
		text := c.query("$filter")
		if text == "" {
			listed, err := c.engine().Directory.Principals(c.Context(), c.caller, engine.PrincipalFilter{Kind: kind},
				c.page(graphPage))
			if err != nil {
				return reply{}, err
			}
			for _, p := range listed.Items {
				value = append(value, graphObject(p))
			}
			if listed.Next != "" {
				out["@odata.nextLink"] = c.base() + c.URL.Path + "?$skipToken=" + url.QueryEscape(listed.Next)
			}
			out["value"] = value
			return ok(out)
		}
		field, name, err := graphFilter(text)
		if err != nil {
			return reply{}, err
		}
		if !containsFold(fields, field) {
			return reply{}, unsupportedQuery(text, fields)
		}
		p, err := c.engine().Directory.Principal(c.Context(), c.caller, name)
		switch {
		case access.KindOf(err) == access.KindNotFound:
		case err != nil:
			return reply{}, err
		case p.Kind == kind && slices.ContainsFunc(graphNames(p, field),
			func(known string) bool { return strings.EqualFold(known, name) }):
			value = append(value, graphObject(p))
		}
		out["value"] = value
		return ok(out)
	}
}

// graphFilter reads the filters FIELD eq 'TEXT' and FIELD/any(X:X eq 'TEXT').
func graphFilter(text string) (field, value string, err error) {
	rest := strings.TrimSpace(text)
	if name, inside, several := strings.Cut(rest, "/any("); several {
		variable, condition, _ := strings.Cut(inside, ":")
		condition, closed := strings.CutSuffix(strings.TrimSpace(condition), ")")
		condition, same := strings.CutPrefix(strings.TrimSpace(condition), strings.TrimSpace(variable)+" ")
		if !closed || !same {
			return "", "", unsupportedQuery(text, nil)
		}
		rest = name + " " + condition
	}
	f, err := parseFilter(rest)
	if err != nil || len(f) != 1 || f[0].operator != "eq" {
		return "", "", unsupportedQuery(text, nil)
	}
	return f[0].field, f[0].value, nil
}

func unsupportedQuery(text string, fields []string) error {
	use := "FIELD eq 'TEXT' and FIELD/any(x:x eq 'TEXT')"
	if len(fields) > 0 {
		use = strings.Join(fields, ", ")
	}
	return access.Fault(access.KindInvalid, "Request_UnsupportedQuery", "the $filter %q is not supported here; use %s",
		clip(text), use)
}

// graphNames gives by what a principal is found.
func graphNames(p access.Principal, field string) []string {
	switch strings.ToLower(field) {
	case "serviceprincipalnames":
		return []string{string(p.ID), p.Name}
	case "appid":
		return []string{string(p.ID)}
	}
	return []string{p.Name}
}

// graphObject shows a principal. Clients tell its kind by which names it has.
func graphObject(p access.Principal) map[string]any {
	name := p.DisplayName
	if name == "" {
		name = p.Name
	}
	out := map[string]any{"@odata.type": "#microsoft.graph." + string(p.Kind), "id": p.ID, "displayName": name}
	switch p.Kind {
	case access.User:
		out["userPrincipalName"], out["accountEnabled"], out["mail"] = p.Name, !p.Disabled, nil
		if p.Email != "" {
			out["mail"] = p.Email
		}
	case access.ServicePrincipal:
		out["appId"], out["servicePrincipalNames"], out["accountEnabled"] = p.ID, []string{
			string(p.ID),
			p.Name,
		}, !p.Disabled
	case access.Group:
	}
	return out
}

// odata is the error body of Graph.
type odata struct {
	Error odataError `json:"error"`
}

type odataError struct {
	Code       string            `json:"code"`
	Message    string            `json:"message"`
	InnerError map[string]string `json:"innerError"`
}

// graphError puts an error into Graph's words.
func graphError(err error, request, client string, now time.Time) (int, odata) {
	status, body := translate(err)
	code := map[int]string{
		http.StatusBadRequest: "Request_BadRequest", http.StatusForbidden: "Authorization_RequestDenied",
		http.StatusNotFound: "Request_ResourceNotFound",
	}[status]
	if e, is := errors.AsType[*access.Error](err); is && e.Code == "Request_UnsupportedQuery" || code == "" {
		code = body.Error.Code
	}
	return status, odata{odataError{Code: code, Message: body.Error.Message, InnerError: map[string]string{
		"date": now.UTC().Format("2006-01-02T15:04:05"), "request-id": request, "client-request-id": client,
	}}}
}
