package api

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// ExternalIdentity is how a person signs in by the identity provider of their tenant, with what was read at the last
// sign-in.
type ExternalIdentity struct {
	Issuer     string      `json:"issuer"`
	Subject    string      `json:"subject" doc:"What the provider knows the person by."`
	CreatedAt  time.Time   `json:"createdAt"`
	SignedInAt *time.Time  `json:"signedInAt,omitempty" doc:"The last time. Absent before the first sign-in since Postern keeps it."`
	Claims     []ClaimRead `json:"claims"`
}

// ClaimRead is what was read of one claim.
type ClaimRead struct {
	Use     string   `json:"use" enum:"name,displayName,email,emailVerified,groups,userinfo" doc:"What it is for. userinfo: that endpoint, where it did not answer."`
	Claim   string   `json:"claim,omitempty" doc:"Its name."`
	From    string   `json:"from,omitempty" enum:"id token,userinfo" doc:"Where it was found; absent for nowhere."`
	Values  []string `json:"values"`
	Problem string   `json:"problem,omitempty" enum:"absent,overage,unreadable,failed" doc:"Why it says nothing. Groups of which nothing is said stay as they are."`
}

// ExternalIdentities lists how a person signs in by an identity provider.
func (c *Client) ExternalIdentities(ctx context.Context, principal string) iter.Seq2[ExternalIdentity, error] {
	return pages[ExternalIdentity](ctx, c, "/principals/"+url.PathEscape(principal)+"/external-identities", nil)
}
