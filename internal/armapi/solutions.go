package armapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

const solutionsPath = "/providers/Microsoft.Solutions"

// solutionsVersions are those that have requests for access; all have one shape here, that of 2021-07-01.
func solutionsVersions() []string {
	return []string{
		"2021-07-01", "2018-03-01", "2018-06-01", "2018-09-01-preview", "2019-07-01", "2020-08-21-preview",
		"2021-02-01-preview", "2023-12-01-preview",
	}
}

func solutionsRoutes() []route {
	on := func(method, pattern string, handle func(*call) (reply, error)) route {
		return route{method: method, pattern: pattern, versions: solutionsVersions(), handle: handle}
	}
	var routes []route
	for kind, do := range map[string]struct{ list, get, put, patch, remove func(*call) (reply, error) }{
		"applicationDefinitions": {listDefinitions, getDefinition, putDefinition, patchDefinition, deleteDefinition},
		"applications": {
			listApplications, getApplication, putApplication, patchApplication,
			deleteApplication,
		},
		"jitRequests": {listJITRequests, getJITRequest, putJITRequest, patchJITRequest, deleteJITRequest},
	} {
		one := groupPath + solutionsPath + "/" + kind + "/{name}"
		routes = append(routes,
			on(http.MethodGet, subscriptionPath+solutionsPath+"/"+kind, do.list),
			on(http.MethodGet, groupPath+solutionsPath+"/"+kind, do.list),
			on(http.MethodGet, one, do.get), on(http.MethodPut, one, do.put), on(http.MethodPatch, one, do.patch),
			on(http.MethodDelete, one, do.remove))
	}
	slices.SortFunc(routes, func(a, b route) int { return strings.Compare(a.pattern+a.method, b.pattern+b.method) })
	application := groupPath + solutionsPath + "/applications/{name}"
	return append(routes,
		on(http.MethodPost, application+"/updateAccess", updateAccess),
		on(http.MethodPost, application+"/refreshPermissions", refreshPermissions),
		on(http.MethodPost, application+"/listAllowedUpgradePlans", listUpgradePlans))
}

// solutionID gives the resource id that the path names, of the type in it.
func (c *call) solutionID(kind string) access.ResourceID {
	return c.scope() + access.ResourceID(solutionsPath+"/"+kind+"/"+c.vars["name"])
}

// missingSolution is the refusal of something that is not there, or that the caller may know nothing of.
func missingSolution(id access.ResourceID) error {
	return access.Fault(access.KindNotFound, "ResourceNotFound", "The Resource '%s' was not found.",
		strings.TrimPrefix(string(id), "/"))
}

// jsonText is a document that clients send as an object or as text; it is kept as text.
type jsonText string

func (t *jsonText) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*t = jsonText(text)
		return nil
	}
	*t = jsonText(data)
	return nil
}

// show gives a kept document as JSON: an object where it is one.
func (t jsonText) show() any {
	if t == "" {
		return nil
	}
	if raw := json.RawMessage(t); json.Valid(raw) {
		return raw
	}
	return string(t)
}

// flag is a truth value that old clients send as text.
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	truth, err := strconv.ParseBool(strings.ToLower(strings.Trim(string(data), `"`)))
	if err != nil {
		return access.Fault(access.KindInvalid, "InvalidRequestContent", "%q is not true or false", clip(string(data)))
	}
	*f = flag(truth)
	return nil
}

// authorizationBody gives a role to a principal. The role is a GUID or a whole id.
type authorizationBody struct {
	Principal string `json:"principalId"`
	Role      string `json:"roleDefinitionId"`
}

// role gives the GUID of the role.
func (b authorizationBody) role() string {
	return access.ResourceID("/" + strings.TrimPrefix(b.Role, "/")).Name()
}

// principal gives the id with its dashes: some clients send it without.
func (b authorizationBody) principal() string {
	p := strings.ToLower(b.Principal)
	if len(p) == 32 && !strings.ContainsFunc(p,
		func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) {
		return p[:8] + "-" + p[8:12] + "-" + p[12:16] + "-" + p[16:20] + "-" + p[20:]
	}
	return b.Principal
}

func showAuthorizations(list []app.Authorization) []authorizationBody {
	out := make([]authorizationBody, 0, len(list))
	for _, a := range list {
		out = append(out, authorizationBody{Principal: string(a.Principal), Role: string(a.Role)})
	}
	return out
}

// tagged gives tags as Azure shows them: an object always.
func tagged(tags map[string]string) map[string]string {
	if tags == nil {
		return map[string]string{}
	}
	return tags
}

// tagsBody is the body of a PATCH that changes tags alone.
type tagsBody struct {
	Tags map[string]string `json:"tags"`
}
