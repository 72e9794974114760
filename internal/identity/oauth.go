package identity

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// OAuth serves what clients of OAuth 2 and OpenID Connect ask for: discovery, keys, device codes and tokens. The pages
// for people are package portal's.
//
// There are two shapes of authority, as Azure's clients know them: /adfs, without a tenant, and /{tenant}.
type OAuth struct {
	identity *Identity
	log      *slog.Logger
}

// NewOAuth makes it.
func NewOAuth(i *Identity) *OAuth { return &OAuth{identity: i, log: i.log} }

// ServesOAuth tells whether a path is one of OAuth's.
func ServesOAuth(path string) bool {
	_, _, found := cutEndpoint(path)
	return found
}

// endpoint is what is asked of an authority.
type endpoint string

const (
	endpointDiscovery endpoint = "discovery"
	endpointKeys      endpoint = "keys"
	endpointDevice    endpoint = "device"
	endpointToken     endpoint = "token"
)

// cutEndpoint splits a path into the authority's and what is asked of it.
func cutEndpoint(path string) (authority string, what endpoint, found bool) {
	path = "/" + strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
	for _, e := range []struct {
		suffix string
		what   endpoint
	}{
		{"/v2.0/.well-known/openid-configuration", endpointDiscovery},
		{"/.well-known/openid-configuration", endpointDiscovery},
		{"/discovery/v2.0/keys", endpointKeys},
		{"/discovery/keys", endpointKeys},
		{"/oauth2/v2.0/devicecode", endpointDevice},
		{"/oauth2/devicecode", endpointDevice},
		{"/oauth2/v2.0/token", endpointToken},
		{"/oauth2/token", endpointToken},
	} {
		cut := len(path) - len(e.suffix)
		if cut > 0 && strings.EqualFold(path[cut:], e.suffix) {
			return path[:cut], e.what, strings.Count(path[:cut], "/") <= 2
		}
	}
	return "", "", false
}

// TenantRef gives the tenant that the path of an authority names; empty where it names none.
func TenantRef(authority string) string {
	ref := strings.Trim(authority, "/")
	if first, rest, _ := strings.Cut(ref, "/"); strings.EqualFold(first, "adfs") {
		ref = rest
	}
	switch strings.ToLower(ref) {
	case "adfs", "common", "organizations":
		return ""
	}
	return ref
}

// ServeHTTP answers one call.
func (o *OAuth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	answer, err := o.answer(w, r)
	status := http.StatusOK
	if err != nil {
		var refusal *refusal
		status, refusal = refuse(err, o.identity.now())
		if status == http.StatusInternalServerError {
			o.log.ErrorContext(r.Context(), "sign-in call failed", "path", r.URL.Path, "error", err)
		}
		if status == http.StatusTooManyRequests {
			header.Set("Retry-After", "10")
		}
		answer = refusal
	}
	o.log.InfoContext(r.Context(), "sign-in call", "method", r.Method, "path", r.URL.Path, "status", status, "remote",
		r.RemoteAddr)
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text) //nolint:errcheck,gosec // the client may be gone, and there is nobody else to tell
}

// ask is one call of an authority.
type ask struct {
	*http.Request

	host      string // the name under which the client knows us, with the port
	authority string // the path of the authority
	tenant    access.Tenant
	address   netip.Addr
}

const maxForm = 64 << 10

func (o *OAuth) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	authority, what, found := cutEndpoint(r.URL.Path)
	if !found {
		return nil, access.Fault(access.KindNotFound, "invalid_request", "nothing is served at this path")
	}
	address, _, err := o.identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		return nil, err
	}
	a := &ask{Request: r, host: o.identity.Host(r.Host), authority: authority, address: address}
	if a.tenant, err = o.identity.engine.Directory.FindTenant(r.Context(), TenantRef(authority)); err != nil {
		if access.KindOf(err) == access.KindNotFound {
			if err := o.identity.AllowAnonymous(address); err != nil {
				return nil, err
			}
			return nil, fail("invalid_tenant", 90002,
				"Tenant '%s' not found. Check that it is the id or the name of a tenant of this server, or use the "+
					"authority /adfs.",
				clip(TenantRef(authority)))
		}
		return nil, err
	}
	post := what == endpointDevice || what == endpointToken
	if post != (r.Method == http.MethodPost) {
		return nil, fail("invalid_request", 900561, "This endpoint takes another method than %s.", r.Method)
	}
	if post {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return nil, fail("invalid_request", 9000410, "The body is not a form of at most %d bytes.", maxForm)
		}
	}
	switch what {
	case endpointDiscovery:
		return a.discovery(), nil
	case endpointKeys:
		return o.identity.tokens.public(r.Context())
	case endpointDevice:
		return o.deviceCode(a) //nolint:contextcheck // a carries the call, and its context
	case endpointToken:
		return o.token(a) //nolint:contextcheck // likewise
	}
	return nil, access.Fault(access.KindNotFound, "invalid_request", "nothing is served at this path")
}

// adfs tells whether the authority is of the shape without a tenant.
func (a *ask) adfs() bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(a.authority, "/"), "/")
	return strings.EqualFold(first, "adfs")
}

func (a *ask) base() string { return "https://" + a.host + a.authority }

// issuer gives who issues tokens by this authority. Clients want its scheme, host and port to be the authority's.
func (a *ask) issuer() string {
	if a.adfs() {
		return "https://" + a.host + "/adfs"
	}
	return "https://" + a.host + "/" + string(a.tenant.ID) + "/v2.0"
}

func (a *ask) discovery() map[string]any {
	version := "/v2.0"
	if a.adfs() {
		version = ""
	}
	return map[string]any{
		"issuer":                                a.issuer(),
		"authorization_endpoint":                a.base() + "/oauth2" + version + "/authorize",
		"token_endpoint":                        a.base() + "/oauth2" + version + "/token",
		"device_authorization_endpoint":         a.base() + "/oauth2" + version + "/devicecode",
		"jwks_uri":                              a.base() + "/discovery" + version + "/keys",
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query", "form_post"},
		"grant_types_supported":                 []string{grantClient, grantCode, grantDevice, grantRefresh},
		"scopes_supported":                      []string{"openid", "profile", "offline_access"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{
			"client_secret_post", "client_secret_basic",
			"private_key_jwt", "none",
		},
		"claims_supported": []string{
			"sub", "iss", "aud", "exp", "iat", "oid", "tid", "upn",
			"preferred_username", "name", "nonce",
		},
	}
}

func (a *ask) audience() (string, error) {
	return Audience(a.host, a.PostFormValue("scope"), a.PostFormValue("resource"))
}

// refusal is an error as OAuth's clients read it. Some show the description alone.
type refusal struct {
	Name        string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes,omitempty"`
	Timestamp   string `json:"timestamp"`
}

// oauthError carries a refusal through the calls that find it.
type oauthError struct {
	name string
	code int
	text string
}

// Error gives the text.
func (e *oauthError) Error() string { return e.text }
