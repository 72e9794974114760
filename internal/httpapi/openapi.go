package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postern-dev/postern/api"
)

const schemaPrefix = "#/components/schemas/"

// Names of the two ways to say who calls.
const (
	bearerScheme      = "session"
	certificateScheme = "agentCertificate"
)

func (a *API) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "Postern",
				Version: "1",
				Description: "The native API of Postern. Instants are RFC 3339 in UTC. Lists are pages: pass next " +
					"back as cursor until it is absent. " +
					"Unknown fields and unknown query parameters are refused. Errors are problem details (RFC 9457) " +
					"with a stable code and every reason.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearerScheme: {
						Type: "http", Scheme: "bearer",
						Description: "The token of a session, from POST " + Prefix + "/sessions.",
					},
					certificateScheme: {
						Type:        "mutualTLS",
						Description: "The client certificate that an agent got when it enrolled.",
					},
				},
			},
		},
		Formats: map[string]huma.Format{
			"application/json": jsonFormat(),
			"json":             jsonFormat(),
		},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.transform},
	}
}

// jsonFormat is huma's own, made here so that nobody else can change it.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error { return huma.DefaultJSONFormat.Marshal(w, v) },
		// without the mark that Windows PowerShell puts before a file that it sends
		Unmarshal: func(data []byte, v any) error {
			return huma.DefaultJSONFormat.Unmarshal(bytes.TrimPrefix(data, []byte("\uFEFF")), v)
		},
	}
}

func security(who entry) []map[string][]string {
	switch who {
	case people:
		return []map[string][]string{{bearerScheme: {}}}
	case agents:
		return []map[string][]string{{certificateScheme: {}}}
	case anybody:
	}
	return []map[string][]string{}
}

func (a *API) schemaOf(v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return a.huma.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

func (a *API) problemResponse() *huma.Response {
	return &huma.Response{
		Description: "A problem; its code says which",
		Content:     map[string]*huma.MediaType{problemType: {Schema: a.schemaOf(api.Problem{})}},
	}
}

// describe finishes the OpenAPI document: arrays are never null, and huma's own form of an error is not ours.
func (a *API) describe() ([]byte, error) {
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	for _, s := range schemas {
		neverNull(s)
	}
	document, err := a.huma.OpenAPI().YAML()
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return document, nil
}

func neverNull(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	neverNull(s.Items)
	for _, property := range s.Properties {
		neverNull(property)
	}
}

func (a *API) serveDocument(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	if _, err := w.Write(a.document); err != nil {
		a.log.DebugContext(r.Context(), "the caller left", "path", r.URL.Path, "error", err)
	}
}
