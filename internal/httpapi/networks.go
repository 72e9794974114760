package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func (a *API) networkRoutes() {
	const tag = "Networks"
	register(a, operation{
		method: http.MethodGet, path: "/networks", id: "listNetworks", tag: tag, entry: people,
		summary: "List named networks by name; there is one page",
	}, a.listNetworks)
	register(a, operation{
		method: http.MethodPut, path: "/networks/{network}", id: "setNetwork", tag: tag, entry: people,
		summary: "Make a named network, or give it other prefixes",
	}, a.setNetwork)
	register(a, operation{
		method: http.MethodDelete, path: "/networks/{network}", id: "deleteNetwork", tag: tag, entry: people,
		summary: "Delete a named network that no policy names",
	}, a.deleteNetwork)
}

func (a *API) listNetworks(ctx context.Context, in *callInput) (*answer[api.Page[api.Network]], error) {
	list, err := a.engine.Machines.Networks(ctx, in.caller)
	return &answer[api.Page[api.Network]]{page(engine.Listed[access.Network]{Items: list}, networkOut)}, err
}

type networkInput struct {
	calling

	Network string `path:"network" maxLength:"256" doc:"Name."`
}

type setNetworkInput struct {
	calling

	Network     string `path:"network" maxLength:"256" doc:"Name."`
	IfMatch     string `header:"If-Match" maxLength:"64" doc:"The revision that was seen, in quotes: with another one now, nothing changes and the answer is 409."`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"With *, only a new network is made: where there is one of that name, nothing changes and the answer is 409."`
	Body        api.NetworkInput
}

func (a *API) setNetwork(ctx context.Context, in *setNetworkInput) (*answer[api.Network], error) {
	var wrong invalid
	prefixes := make([]netip.Prefix, 0, len(in.Body.Prefixes))
	for i, text := range in.Body.Prefixes {
		prefixes = append(prefixes, wrong.prefix(fmt.Sprintf("prefixes[%d]", i), text))
	}
	was := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	if in.IfNoneMatch != "" {
		was = new(int64) // none
	}
	n, err := a.engine.Machines.SetNetwork(ctx, in.caller, in.Network, prefixes, was)
	return &answer[api.Network]{networkOut(n)}, err
}

func (a *API) deleteNetwork(ctx context.Context, in *networkInput) (*nothing, error) {
	return &nothing{}, a.engine.Machines.DeleteNetwork(ctx, in.caller, in.Network)
}

func networkOut(n access.Network) api.Network {
	return api.Network{
		Name: n.Name, Prefixes: texts(n.Prefixes), CreatedAt: n.CreatedAt.UTC(),
		UpdatedAt: n.UpdatedAt.UTC(), Revision: n.Revision,
	}
}

// source reads one source: a prefix, an address, or the name of a network, which goes into names.
func (in *invalid) source(field, text string, prefixes *[]netip.Prefix, names *[]string) {
	if access.IsNetworkName(text) {
		*names = append(*names, text)
		return
	}
	*prefixes = append(*prefixes, in.prefix(field, text))
}

// sources reads a list as somebody asks it, in which "me" is their own address.
func (in *invalid) sources(field string, texts []string, own netip.Addr, prefixes *[]netip.Prefix, names *[]string) {
	for i, text := range texts {
		if text == "me" {
			*prefixes = append(*prefixes, access.SingleAddress(own))
			continue
		}
		in.source(fmt.Sprintf("%s[%d]", field, i), text, prefixes, names)
	}
}

// sourcesOut gives prefixes and names of networks as one list.
func sourcesOut(prefixes []netip.Prefix, names []string) []string {
	return append(texts(prefixes), names...)
}
