package armapi

import "net/http"

func metadataRoutes() []route {
	return []route{{method: http.MethodGet, pattern: "/metadata/endpoints", open: true, handle: cloudMetadata}}
}

// cloudName is what clients call this cloud.
const cloudName = "Postern"

// cloudMetadata tells clients where to sign in. It has three shapes, by api-version.
func cloudMetadata(c *call) (reply, error) {
	base := c.base()
	login := base + "/adfs"
	switch c.query("api-version") {
	case "2015-01-01":
		return ok(map[string]any{
			"galleryEndpoint": base, "graphEndpoint": base + "/", "graphAudience": base + "/", "portalEndpoint": base,
			"authentication": map[string]any{"loginEndpoint": login, "audiences": []string{base}},
		})
	case "2019-05-01", "2018-05-01":
		return ok([]any{c.cloud(login)})
	default:
		return ok(c.cloud(login))
	}
}

func (c *call) cloud(login string) map[string]any {
	base := c.base()
	return map[string]any{
		"name": cloudName, "portal": base, "gallery": base, "resourceManager": base, "graph": base + "/",
		"graphAudience":            base + "/",
		"microsoftGraphResourceId": base + "/", "activeDirectoryDataLake": "", "batch": "", "media": "",
		"sqlManagement": "", "vmImageAliasDoc": "",
		"authentication": map[string]any{
			"loginEndpoint": login, "audiences": []string{base}, "tenant": "adfs",
			"identityProvider": "ADFS",
		},
		"suffixes": map[string]any{},
	}
}
