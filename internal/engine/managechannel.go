package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// maxChannels is how many channels a tenant may have, beside those of its application definitions: whoever may write definitions in
// one resource group must not keep the tenant from being told.
const maxChannels = 100

// ChannelInput is a channel as somebody wants it. In a change, nil fields stay.
type ChannelInput struct {
	Name         *string
	Kind         ChannelKind // of a new channel; it does not change
	Enabled      *bool       // a new channel is enabled
	URL          *string
	Mail         *MailInput
	CA           *string
	AllowPrivate *bool
	Secret       *string // in the clear, on its way to be sealed; empty takes it away
	SecretFile   *string // a name in the server's folder of secrets
	IfRevision   *int64  // of a change: refused where the channel has another
}

// MailInput is how to reach a mail server, as somebody wants it. In a change, nil fields stay.
type MailInput struct {
	Host, Username, From, FromName, Helo *string
	Port                                 *int
	TLS                                  *MailTLS
}

func (in ChannelInput) onto(c Channel) Channel {
	give(&c.Name, in.Name)
	give(&c.Enabled, in.Enabled)
	give(&c.URL, in.URL)
	if m := in.Mail; m != nil {
		give(&c.Mail.Host, m.Host)
		give(&c.Mail.Port, m.Port)
		give(&c.Mail.TLS, m.TLS)
		give(&c.Mail.Username, m.Username)
		give(&c.Mail.From, m.From)
		give(&c.Mail.FromName, m.FromName)
		give(&c.Mail.Helo, m.Helo)
	}
	give(&c.CA, in.CA)
	give(&c.AllowPrivate, in.AllowPrivate)
	return c
}

func give[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// sealInto puts the secret of the input into the channel. It happens before the transaction, which may be run again.
func (e *Engine) sealInto(c *Channel, in ChannelInput) error {
	switch {
	case in.Secret != nil && in.SecretFile != nil && *in.Secret != "" && *in.SecretFile != "":
		return access.Fault(access.KindInvalid, "secretTwice", "give the secret itself or the name of its file, not both")
	case in.Secret != nil && *in.Secret != "":
		if e.sealSecret == nil {
			return access.Fault(access.KindUnavailable, "noVault", "this server cannot keep secrets; put the secret into a file of its folder of secrets")
		}
		sealed, err := e.sealSecret(c.ID, c.Kind, *in.Secret)
		if err != nil {
			return err
		}
		c.Secret = sealed
	case in.SecretFile != nil && *in.SecretFile != "":
		c.Secret = ChannelSecret{File: *in.SecretFile}
	case in.Secret != nil || in.SecretFile != nil:
		c.Secret = ChannelSecret{}
	}
	return nil
}

// ofTheServer refuses a channel that uses what belongs to the server's host, the files of its folder of secrets and its
// place in an inner network, to every tenant but the one that runs the server. The right to write channels is a right in
// the caller's own tenant, and so is none to these.
func (c Channel) ofTheServer(ctx context.Context, r Reader) error {
	var reasons []access.Reason
	if c.Secret.File != "" {
		reasons = append(reasons, access.Reason{
			Code: "secretFileOfTheServer", Field: "secretFile",
			Message: "secret files belong to the tenant that runs the server: give the secret itself, which is kept sealed",
		})
	}
	if c.AllowPrivate {
		reasons = append(reasons, access.Reason{
			Code: "privateOfTheServer", Field: "allowPrivate",
			Message: "private addresses and plain HTTP are for the tenant that runs the server: give the receiver a public address with TLS",
		})
	}
	if len(reasons) == 0 {
		return nil
	}
	home, err := homeTenant(ctx, r)
	if err != nil {
		return fmt.Errorf("read tenants: %w", err)
	}
	if c.Tenant == home {
		return nil
	}
	e := access.Fault(access.KindForbidden, "channelOfTheServer", "the channel would use what belongs to the server's host: nothing was changed")
	e.Reasons = reasons
	return e
}

// CreateChannel adds a channel to the caller's tenant.
func (e *Engine) CreateChannel(ctx context.Context, c Caller, in ChannelInput) (channel Channel, err error) {
	name := ""
	give(&name, in.Name)
	a := attempt{action: rbac.ChannelsWrite, details: map[string]string{"name": name, "kind": string(in.Kind)}}
	err = e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.ChannelsWrite, access.Root)
		if err != nil {
			return err
		}
		channel = in.onto(Channel{ID: ChannelID(newID()), Tenant: c.Tenant, Kind: in.Kind, Enabled: true, CreatedAt: may.now, Revision: 1})
		if err := e.sealInto(&channel, in); err != nil {
			return err
		}
		if err := channel.Validate(); err != nil {
			return err
		}
		if err := channel.ofTheServer(ctx, tx); err != nil {
			return err
		}
		others, err := tx.Channels(ctx, ChannelFilter{Tenant: c.Tenant, Not: Lifecycle}, Page{Limit: maxChannels})
		if err != nil {
			return fmt.Errorf("read channels: %w", err)
		}
		if len(others.Items) == maxChannels {
			return access.Fault(access.KindConflict, "tooManyChannels", "there are %d channels, and no more are allowed: delete one that is not needed", maxChannels)
		}
		if _, err := findChannel(ctx, tx, c.Tenant, channel.Name); !isKind(err, access.KindNotFound) {
			return firstError(err, nameTaken(channel.Name))
		}
		if err := tx.SaveChannel(ctx, channel, 0); err != nil {
			return fmt.Errorf("save channel: %w", err)
		}
		return tx.Append(ctx, channel.event(access.ChannelWritten, c, may))
	})
	return channel, err
}

func nameTaken(name string) error {
	return access.Fault(access.KindConflict, "channelExists", "there is a channel %q already: choose another name", clip(name))
}

// UpdateChannel changes what is not nil in the input.
func (e *Engine) UpdateChannel(ctx context.Context, c Caller, ref string, in ChannelInput) (channel Channel, err error) {
	err = e.change(ctx, c, attempt{action: rbac.ChannelsWrite, details: map[string]string{"channel": ref}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.ChannelsWrite, access.Root)
		if err != nil {
			return err
		}
		was, err := findChannel(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		if in.IfRevision != nil && *in.IfRevision != was.Revision {
			return access.Fault(access.KindConflict, "staleRevision", "the channel has revision %d by now: read it again and repeat", was.Revision)
		}
		channel = in.onto(was)
		channel.Revision++
		if in.Secret == nil && in.SecretFile == nil && channel.takesSecretElsewhere(was) {
			return access.Fault(access.KindInvalid, "secretNeeded", "the channel would take its secret to another server than the one that it was given for: give the secret with the change")
		}
		if err := e.sealInto(&channel, in); err != nil {
			return err
		}
		if err := channel.Validate(); err != nil {
			return err
		}
		if err := channel.ofTheServer(ctx, tx); err != nil {
			return err
		}
		if !strings.EqualFold(channel.Name, was.Name) {
			if _, err := findChannel(ctx, tx, c.Tenant, channel.Name); !isKind(err, access.KindNotFound) {
				return firstError(err, nameTaken(channel.Name))
			}
		}
		if err := tx.SaveChannel(ctx, channel, was.Revision); err != nil {
			return fmt.Errorf("save channel: %w", err)
		}
		return tx.Append(ctx, channel.event(access.ChannelWritten, c, may))
	})
	return channel, err
}

// takesSecretElsewhere reports whether a changed channel would tell a kept secret to whom it was not given for. Secrets are
// never shown, so whoever may change a channel has no way to one by having it sent to a server of theirs. That of a webhook
// signs and is not sent, and that of Slack and Teams is the URL itself.
func (c Channel) takesSecretElsewhere(was Channel) bool {
	if len(was.Secret.Sealed) == 0 {
		return false
	}
	same := c.CA == was.CA
	switch c.Kind {
	case SMTP:
		return !same || !strings.EqualFold(c.Mail.Host, was.Mail.Host) || c.Mail.Port != was.Mail.Port || c.Mail.TLS != was.Mail.TLS
	case PagerDuty:
		return !same || c.URL != was.URL
	case Slack, Teams:
		return !same
	case Webhook, Lifecycle:
	}
	return false
}

// DeleteChannel deletes a channel with its routes; what waits for it is dead.
func (e *Engine) DeleteChannel(ctx context.Context, c Caller, ref string) error {
	return e.change(ctx, c, attempt{action: rbac.ChannelsWrite, details: map[string]string{"channel": ref}}, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.ChannelsWrite, access.Root)
		if err != nil {
			return err
		}
		channel, err := findChannel(ctx, tx, c.Tenant, ref)
		if err != nil {
			return err
		}
		if err := tx.DeleteChannel(ctx, channel.ID, channel.Revision, may.now); err != nil {
			return fmt.Errorf("delete channel: %w", err)
		}
		return tx.Append(ctx, channel.event(access.ChannelDeleted, c, may))
	})
}

// Channels lists the channels of the caller's tenant by name. Whoever may not read how they are set up gets their id, name
// and kind alone, which is what a route needs.
func (e *Engine) Channels(ctx context.Context, c Caller, p Page) (list Listed[Channel], err error) {
	err = e.look(ctx, c, attempt{action: rbac.ChannelsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if p, err = checkPage(p); err != nil {
			return err
		}
		if list, err = r.Channels(ctx, ChannelFilter{Tenant: c.Tenant}, p); err != nil {
			return err
		}
		for i := range list.Items {
			list.Items[i] = may.shown(list.Items[i])
		}
		return nil
	})
	return list, err
}

// Channel gives one channel by name or id, as Channels shows it.
func (e *Engine) Channel(ctx context.Context, c Caller, ref string) (channel Channel, err error) {
	err = e.look(ctx, c, attempt{action: rbac.ChannelsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if channel, err = findChannel(ctx, r, c.Tenant, ref); err != nil {
			return err
		}
		channel = may.shown(channel)
		return nil
	})
	return channel, err
}

// shown gives what the caller may know of a channel.
func (r rights) shown(c Channel) Channel {
	if r.may(rbac.ChannelsRead, access.Root) {
		return c
	}
	return Channel{ID: c.ID, Tenant: c.Tenant, Name: c.Name, Kind: c.Kind, Enabled: c.Enabled, CreatedAt: c.CreatedAt, Revision: c.Revision}
}

// TestChannel sends one test message through a channel, enabled or not, and says what the receiver answered. to is the
// address for a personal channel; empty takes the caller's own.
func (e *Engine) TestChannel(ctx context.Context, c Caller, ref, to string) (answer string, err error) {
	var channel Channel
	a := attempt{action: rbac.ChannelsWrite, details: map[string]string{"channel": ref}}
	err = e.look(ctx, c, a, func(r Reader) error {
		if _, err := e.authorize(ctx, r, c, rbac.ChannelsWrite, access.Root); err != nil {
			return err
		}
		if channel, err = findChannel(ctx, r, c.Tenant, ref); err != nil {
			return err
		}
		if channel.Kind.Personal() && to == "" {
			self, err := r.Principal(ctx, c.Principal)
			if err != nil {
				return fmt.Errorf("read principal: %w", err)
			}
			if to = self.Email; to == "" {
				return access.Fault(access.KindInvalid, "recipientMissing", "you have no e-mail address; say where the test is to go")
			}
		}
		if to != "" && (!channel.Kind.Personal() || !plainAddress(to)) {
			return access.Fault(access.KindInvalid, "recipientInvalid", "%q cannot get the test: give a plain e-mail address, and only for a mail channel", clip(to))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if e.testChannel == nil {
		return "", access.Fault(access.KindUnavailable, "noCourier", "this server sends no notifications")
	}
	answer, sendErr := e.testChannel(ctx, channel, to, c.Name)
	event := channel.event(access.ChannelTested, c, rights{now: e.now()})
	event.Details["answer"] = clip(answer)
	if sendErr != nil {
		event.Outcome, event.Details["answer"] = access.Failed, clip(sendErr.Error())
	}
	if err := e.record(ctx, event); err != nil {
		return "", fmt.Errorf("record the test: %w", err)
	}
	if sendErr != nil {
		return "", &access.Error{Kind: access.KindInvalid, Code: "testFailed", Message: "the test was not delivered: " + sendErr.Error(), Err: sendErr}
	}
	return answer, nil
}

// findChannel gives a channel of the tenant by name or id.
func findChannel(ctx context.Context, r OutboxReader, tenant access.TenantID, ref string) (Channel, error) {
	unknown := access.Fault(access.KindNotFound, "unknownChannel", "there is no channel %q", clip(ref))
	if uuid.Validate(ref) == nil {
		c, err := r.Channel(ctx, ChannelID(strings.ToLower(ref)))
		switch {
		case isKind(err, access.KindNotFound) || err == nil && c.Tenant != tenant:
			return Channel{}, unknown
		case err != nil:
			return Channel{}, fmt.Errorf("read channel: %w", err)
		}
		return c, nil
	}
	if ref == "" {
		return Channel{}, unknown
	}
	list, err := r.Channels(ctx, ChannelFilter{Tenant: tenant, Name: ref}, Page{Limit: 1})
	switch {
	case err != nil:
		return Channel{}, fmt.Errorf("read channels: %w", err)
	case len(list.Items) == 0:
		return Channel{}, unknown
	}
	return list.Items[0], nil
}

// event tells of a channel, and nothing of how it reaches its receiver.
func (c Channel) event(kind access.EventKind, by Caller, may rights) access.Event {
	return access.Event{
		At: may.now, Kind: kind, Outcome: access.Succeeded, Actor: by.Actor(), Tenant: c.Tenant, Action: rbac.ChannelsWrite,
		Details: map[string]string{
			"channel": string(c.ID), "name": clip(c.Name), "kind": string(c.Kind), "enabled": strconv.FormatBool(c.Enabled),
			"revision": strconv.FormatInt(c.Revision, 10),
		},
	}
}
