package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// NewGlassCodes asks for codes that open a machine while the server is out of reach.
type NewGlassCodes struct {
	Count int `json:"count" minimum:"1" maximum:"20"`
}

// GlassCodes are such codes; they are shown once.
type GlassCodes struct {
	Machine string   `json:"machine"`
	Codes   []string `json:"codes" doc:"Each opens the machine once."`
}

// GlassCode is what is known of such a code, without the code itself.
type GlassCode struct {
	ID         string     `json:"id"`
	State      string     `json:"state" enum:"unused,used,over" doc:"over: it has expired or was revoked."`
	MaxSeconds int64      `json:"maxSeconds" doc:"The longest opening with it."`
	IssuedBy   string     `json:"issuedBy" doc:"Name."`
	IssuedAt   time.Time  `json:"issuedAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	UsedAt     *time.Time `json:"usedAt,omitempty" doc:"When the server heard of its use."`
}

// RevokedGlassCodes says how many codes were ended.
type RevokedGlassCodes struct {
	Revoked int `json:"revoked"`
}

// IssueGlassCodes makes codes for a machine.
func (c *Client) IssueGlassCodes(ctx context.Context, machine string, in NewGlassCodes) (GlassCodes, error) {
	return ask[GlassCodes](ctx, c,
		call{method: http.MethodPost, path: "/machines/" + url.PathEscape(machine) + "/break-glass-codes", body: in})
}

// GlassCodes lists what is known of the codes of a machine, the oldest first.
func (c *Client) GlassCodes(ctx context.Context, machine string) ([]GlassCode, error) {
	out, err := ask[Page[GlassCode]](ctx, c,
		call{method: http.MethodGet, path: "/machines/" + url.PathEscape(machine) + "/break-glass-codes"})
	return out.Items, err
}

// RevokeGlassCodes ends the unused codes of a machine, and gives how many there were.
func (c *Client) RevokeGlassCodes(ctx context.Context, machine string) (int, error) {
	out, err := ask[RevokedGlassCodes](ctx, c,
		call{method: http.MethodDelete, path: "/machines/" + url.PathEscape(machine) + "/break-glass-codes"})
	return out.Revoked, err
}
