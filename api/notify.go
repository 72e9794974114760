package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Channel is a way to reach people. Callers who may not read how channels are set up see its id, name and kind alone.
type Channel struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind" enum:"smtp,slack,teams,webhook,pagerduty"`
	Enabled      bool      `json:"enabled"`
	URL          string    `json:"url,omitempty"`
	Mail         *Mail     `json:"mail,omitempty"`
	CA           string    `json:"ca,omitempty" doc:"PEM of the authorities to trust instead of the system's."`
	AllowPrivate bool      `json:"allowPrivate,omitempty" doc:"The receiver may have a private or loopback address."`
	HasSecret    bool      `json:"hasSecret" doc:"The secret itself is never shown."`
	SecretFile   string    `json:"secretFile,omitempty" doc:"Name of the file in the server's folder of secrets that holds it."`
	CreatedAt    time.Time `json:"createdAt"`
	Revision     int64     `json:"revision" doc:"Send it as If-Match to change what you saw."`
}

// Mail is how to reach a mail server.
type Mail struct {
	Host     string `json:"host" maxLength:"253"`
	Port     int    `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"Absent: 587 with starttls, 465 with tls, 25 with none."`
	TLS      string `json:"tls,omitempty" enum:"starttls,tls,none" doc:"starttls if absent; none needs allowPrivate and no user name."`
	Username string `json:"username,omitempty" maxLength:"256" doc:"The channel's secret is then the password."`
	From     string `json:"from" maxLength:"254"`
	FromName string `json:"fromName,omitempty" maxLength:"100"`
	Helo     string `json:"helo,omitempty" maxLength:"253" doc:"The name that the server gives itself at EHLO; absent: that of its public URL."`
}

// NewChannel adds a channel. The secret is SMTP's password, Slack's or Teams' URL, the webhook's signing key (whsec_…)
// or PagerDuty's routing key.
type NewChannel struct {
	Name         string `json:"name" maxLength:"100"`
	Kind         string `json:"kind" enum:"smtp,slack,teams,webhook,pagerduty"`
	Disabled     bool   `json:"disabled,omitempty"`
	URL          string `json:"url,omitempty" maxLength:"2048"`
	Mail         *Mail  `json:"mail,omitempty"`
	CA           string `json:"ca,omitempty" maxLength:"65536"`
	AllowPrivate bool   `json:"allowPrivate,omitempty"`
	Secret       string `json:"secret,omitempty" maxLength:"4096" doc:"Sealed when it arrives, and never shown again."`
	SecretFile   string `json:"secretFile,omitempty" maxLength:"255"`
}

// MailChange changes how to reach a mail server; what is absent stays.
type MailChange struct {
	Host     *string `json:"host,omitempty" maxLength:"253"`
	Port     *int    `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"0: the usual one."`
	TLS      *string `json:"tls,omitempty" enum:"starttls,tls,none"`
	Username *string `json:"username,omitempty" maxLength:"256" doc:"Empty: no sign-in."`
	From     *string `json:"from,omitempty" maxLength:"254"`
	FromName *string `json:"fromName,omitempty" maxLength:"100"`
	Helo     *string `json:"helo,omitempty" maxLength:"253" doc:"Empty: the server's own."`
}

// ChannelChange changes a channel; what is absent stays.
type ChannelChange struct {
	Name         *string     `json:"name,omitempty" maxLength:"100"`
	Enabled      *bool       `json:"enabled,omitempty"`
	URL          *string     `json:"url,omitempty" maxLength:"2048"`
	Mail         *MailChange `json:"mail,omitempty"`
	CA           *string     `json:"ca,omitempty" maxLength:"65536"`
	AllowPrivate *bool       `json:"allowPrivate,omitempty"`
	Secret       *string     `json:"secret,omitempty" maxLength:"4096" doc:"Empty takes it away."`
	SecretFile   *string     `json:"secretFile,omitempty" maxLength:"255"`
}

// ChannelTest asks for a test message.
type ChannelTest struct {
	To string `json:"to,omitempty" maxLength:"254" doc:"The address for a mail channel; absent: the caller's own."`
}

// ChannelTested says what the receiver answered.
type ChannelTested struct {
	Answer string `json:"answer"`
}

// Route subscribes to notifications.
type Route struct {
	ID          string    `json:"id"`
	Channel     string    `json:"channel" doc:"Name."`
	ChannelID   string    `json:"channelId"`
	Principal   string    `json:"principal,omitempty" doc:"Name of the person it is for; absent: everybody."`
	PrincipalID string    `json:"principalId,omitempty"`
	Policy      string    `json:"policy,omitempty" doc:"Resource id of the policy it is about; absent: all."`
	Kinds       []string  `json:"kinds,omitempty" doc:"Absent: all."`
	Mute        bool      `json:"mute,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// NewRoute subscribes.
type NewRoute struct {
	Channel   string   `json:"channel" doc:"Name or id." maxLength:"100"`
	Principal string   `json:"principal,omitempty" doc:"Name or id of a person; absent: everybody." maxLength:"256"`
	Policy    string   `json:"policy,omitempty" doc:"Resource id; with a person, they watch it." maxLength:"2048"`
	Machine   string   `json:"machine,omitempty" doc:"Instead of policy: the policy that guards this machine." maxLength:"2048"`
	Kinds     []string `json:"kinds,omitempty" maxItems:"13" doc:"requested, needsDecision, reminder, decided, opened, willEnd, ended, failed, breakGlass, alert, application, account, accessReview; absent: all."`
	Mute      bool     `json:"mute,omitempty" doc:"Keep from the person what other routes of the channel would bring."`
}

// Delivery is one notification on its way through one channel.
type Delivery struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind"`
	Request     string     `json:"request,omitempty"`
	Channel     string     `json:"channel,omitempty" doc:"Name; absent where the channel was deleted."`
	ChannelID   string     `json:"channelId"`
	Recipient   string     `json:"recipient,omitempty"`
	State       string     `json:"state" enum:"pending,delivered,dead"`
	Attempts    int        `json:"attempts"`
	QueuedAt    time.Time  `json:"queuedAt"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	LastError   string     `json:"lastError,omitempty"`
	EndedAt     *time.Time `json:"endedAt,omitempty"`
}

// Channels lists the channels by name.
func (c *Client) Channels(ctx context.Context) iter.Seq2[Channel, error] {
	return pages[Channel](ctx, c, "/channels", nil)
}

// Channel gives one channel by name or id.
func (c *Client) Channel(ctx context.Context, ref string) (Channel, error) {
	return ask[Channel](ctx, c, call{method: http.MethodGet, path: channelPath(ref)})
}

// CreateChannel adds a channel.
func (c *Client) CreateChannel(ctx context.Context, in NewChannel) (Channel, error) {
	return ask[Channel](ctx, c, call{method: http.MethodPost, path: "/channels", body: in})
}

// ChangeChannel changes what the fields that are present say; ifRevision other than 0 refuses it where the channel has
// another revision.
func (c *Client) ChangeChannel(ctx context.Context, ref string, in ChannelChange, ifRevision int64) (Channel, error) {
	return ask[Channel](ctx, c,
		call{method: http.MethodPatch, path: channelPath(ref), header: ifMatch(ifRevision), body: in})
}

// DeleteChannel deletes a channel with its routes.
func (c *Client) DeleteChannel(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: channelPath(ref)})
}

// TestChannel sends one test message.
func (c *Client) TestChannel(ctx context.Context, ref string, in ChannelTest) (ChannelTested, error) {
	return ask[ChannelTested](ctx, c, call{method: http.MethodPost, path: channelPath(ref) + "/test", body: in})
}

func channelPath(ref string) string { return "/channels/" + url.PathEscape(ref) }

// Routes lists the caller's routes and, with the right to it, those of all; principal (name or id, or "me") those of
// one.
func (c *Client) Routes(ctx context.Context, principal string) iter.Seq2[Route, error] {
	return pages[Route](ctx, c, "/routes", query("principal", principal))
}

// CreateRoute subscribes.
func (c *Client) CreateRoute(ctx context.Context, in NewRoute) (Route, error) {
	return ask[Route](ctx, c, call{method: http.MethodPost, path: "/routes", body: in})
}

// DeleteRoute ends a subscription.
func (c *Client) DeleteRoute(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/routes/" + url.PathEscape(id)})
}

// DeliveryQuery narrows Deliveries; zero fields do not.
type DeliveryQuery struct {
	State   string
	Channel string // name or id
	Request string
}

// Deliveries lists deliveries, the newest first.
func (c *Client) Deliveries(ctx context.Context, q DeliveryQuery) iter.Seq2[Delivery, error] {
	return pages[Delivery](ctx, c, "/deliveries", query("state", q.State, "channel", q.Channel, "request", q.Request))
}

// RequeueDelivery gives a dead delivery its attempts anew.
func (c *Client) RequeueDelivery(ctx context.Context, id string) (Delivery, error) {
	return ask[Delivery](ctx, c, call{method: http.MethodPost, path: "/deliveries/" + url.PathEscape(id) + "/requeue"})
}
