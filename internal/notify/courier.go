package notify

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Parcel is one notification for one receiver.
type Parcel struct {
	ID           engine.DeliveryID
	Channel      engine.Channel
	Notification engine.Notification
	Address      string // e-mail address of the recipient; empty where the channel is not personal
}

// Sender makes one attempt to deliver a parcel, within a bounded time. Its error is a *SendError.
type Sender interface {
	Send(ctx context.Context, p Parcel) (Receipt, error)
}

// Courier is the Sender that reaches the world.
type Courier struct {
	vault  *Vault
	public *url.URL
	home   func(context.Context) (access.TenantID, error)
	now    func() time.Time
}

// NewCourier makes a courier. public is the URL under which people reach the portal, such as
// https://postern.example.com; home gives the tenant that runs the server, to whose channels alone its secret files and
// private networks are open.
func NewCourier(vault *Vault, public string, home func(context.Context) (access.TenantID, error),
	now func() time.Time,
) (*Courier, error) {
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return nil, access.Fault(access.KindInvalid, "publicUrlInvalid",
			"the public URL must look like https://postern.example.com")
	}
	if vault == nil || home == nil || now == nil {
		return nil, errors.New("a courier needs a vault, the tenant that runs the server and a clock")
	}
	return &Courier{vault: vault, public: u, home: home, now: now}, nil
}

// confined gives the channel as its tenant may use it, whatever was kept: of another tenant than the one that runs the
// server it reaches no private address, and has no secret in the server's files.
func (c *Courier) confined(ctx context.Context, channel engine.Channel) (engine.Channel, error) {
	if !channel.AllowPrivate && channel.Secret.File == "" {
		return channel, nil
	}
	home, err := c.home(ctx)
	if err != nil {
		return channel, temporary("it cannot be told which tenant runs the server", err)
	}
	if channel.Tenant == home {
		return channel, nil
	}
	if channel.Secret.File != "" {
		return channel,
			temporary("secret files belong to the tenant that runs the server: give the channel the secret itself",
				nil)
	}
	channel.AllowPrivate = false
	return channel, nil
}

// Send makes one attempt.
func (c *Courier) Send(ctx context.Context, p Parcel) (Receipt, error) {
	var err error
	if p.Channel, err = c.confined(ctx, p.Channel); err != nil {
		return Receipt{}, err
	}
	secret, err := c.vault.open(p.Channel)
	if err != nil {
		// somebody will put it right
		return Receipt{}, temporary("the channel's secret cannot be used: "+err.Error(), err)
	}
	if p.Channel.Kind == engine.Lifecycle {
		return c.sendLifecycle(ctx, p, secret)
	}
	m, err := compose(p.Notification, c.public)
	if err != nil {
		return Receipt{}, permanent("the notification cannot be put into words: "+err.Error(), err)
	}
	switch p.Channel.Kind {
	case engine.SMTP:
		e := envelope{to: p.Address, id: string(p.ID), at: p.Notification.At}
		if p.Notification.Request != "" {
			e.thread = "request-" + string(p.Notification.Request)
		}
		return sendMail(ctx, p.Channel, m, e, secret, c.public.Hostname())
	case engine.Slack:
		body, err := slackBody(m)
		return c.postJSON(ctx, p.Channel, secret.text, body, err, secret)
	case engine.Teams:
		body, err := teamsBody(m)
		return c.postJSON(ctx, p.Channel, secret.text, body, err, secret)
	case engine.Webhook:
		return c.sendWebhook(ctx, p, m, secret)
	case engine.PagerDuty:
		return c.sendPager(ctx, p, m, secret)
	case engine.Lifecycle: // it has no words
	}
	return Receipt{}, permanent("channels of kind "+string(p.Channel.Kind)+" are not known", nil)
}

func (c *Courier) postJSON(ctx context.Context, channel engine.Channel, to string, body []byte, err error,
	secret opened,
) (Receipt, error) {
	if err != nil {
		return Receipt{}, permanent("the notification cannot be encoded", err)
	}
	return post(ctx, channel, to, http.Header{"Content-Type": {"application/json"}}, body, secret, c.now)
}

func (c *Courier) sendWebhook(ctx context.Context, p Parcel, m message, secret opened) (Receipt, error) {
	keys, err := signingKeys(secret.text)
	if err != nil {
		return Receipt{}, temporary("the channel's signing key cannot be used; set it again", err)
	}
	body, err := webhookBody(p.Notification, m, c.public)
	if err != nil {
		return Receipt{}, permanent("the notification cannot be encoded", err)
	}
	header := http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	sign(header, keys, "msg_"+string(p.ID), c.now(), body)
	return post(ctx, p.Channel, p.Channel.URL, header, body, secret, c.now)
}

// sendPager does what the notification means for incidents, one after the other; a failure in between repeats all,
// which changes nothing for those already done.
func (c *Courier) sendPager(ctx context.Context, p Parcel, m message, secret opened) (Receipt, error) {
	to := p.Channel.URL
	if to == "" {
		to = pagerDutyURL
	}
	receipt := Receipt{Text: "nothing to tell PagerDuty"}
	for _, s := range incidents(p.Notification) {
		body, err := pagerBody(p.Notification, m, s, c.public.Hostname(), secret)
		if receipt, err = c.postJSON(ctx, p.Channel, to, body, err, secret); err != nil {
			return Receipt{}, err
		}
	}
	return receipt, nil
}

// Test sends one test message through a channel, which need not be enabled, and says exactly what happened. to is the
// e-mail address where the channel is personal; by is who asked.
func (c *Courier) Test(ctx context.Context, channel engine.Channel, to, by string) (Receipt, error) {
	now := c.now()
	id := "test-" + now.UTC().Format("20060102T150405.000000000Z")
	return c.Send(ctx, Parcel{
		ID: engine.DeliveryID(id), Channel: channel, Address: to,
		Notification: engine.Notification{
			ID: engine.NotificationID(id), At: now, Kind: engine.NotifyTest,
			Tenant: channel.Tenant, Subject: engine.Subject{By: by},
		},
	})
}
