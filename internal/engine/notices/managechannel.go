package notices

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// maxChannels is how many channels a tenant may have, beside those of its application definitions: whoever may write
// definitions in one resource group must not keep the tenant from being told.
const maxChannels = 100

// ChannelInput is a channel as somebody wants it. In a change, nil fields stay.
type ChannelInput struct {
	Name         *string
	Kind         engine.ChannelKind // of a new channel; it does not change
	Enabled      *bool              // a new channel is enabled
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
	TLS                                  *engine.MailTLS
}

func (in ChannelInput) onto(c engine.Channel) engine.Channel {
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
func (e *Service) sealInto(c *engine.Channel, in ChannelInput) error {
	switch {
	case in.Secret != nil && in.SecretFile != nil && *in.Secret != "" && *in.SecretFile != "":
		return access.Fault(access.KindInvalid, "secretTwice",
			"give the secret itself or the name of its file, not both")
	case in.Secret != nil && *in.Secret != "":
		if e.sealSecret == nil {
			return access.Fault(access.KindUnavailable, "noVault",
				"this server cannot store secrets; put the secret into a file in its secrets folder")
		}
		sealed, err := e.sealSecret(c.ID, c.Kind, *in.Secret)
		if err != nil {
			return err
		}
		c.Secret = sealed
	case in.SecretFile != nil && *in.SecretFile != "":
		c.Secret = engine.ChannelSecret{File: *in.SecretFile}
	case in.Secret != nil || in.SecretFile != nil:
		c.Secret = engine.ChannelSecret{}
	}
	return nil
}

// CreateChannel adds a channel to the caller's tenant.
func (e *Service) CreateChannel(ctx context.Context, c engine.Caller,
	in ChannelInput,
) (channel engine.Channel, err error) {
	name := ""
	give(&name, in.Name)
	a := engine.Attempt{Action: rbac.ChannelsWrite, Details: map[string]string{"name": name, "kind": string(in.Kind)}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if err := may.Require(rbac.ChannelsWrite, access.Root); err != nil {
			return err
		}
		channel = in.onto(engine.Channel{
			ID: engine.ChannelID(engine.NewID()), Tenant: c.Tenant, Kind: in.Kind,
			Enabled: true, CreatedAt: may.Now, Revision: 1,
		})
		if err := e.sealInto(&channel, in); err != nil {
			return err
		}
		if err := channel.Validate(); err != nil {
			return err
		}
		if err := channel.OfTheServer(ctx, tx); err != nil {
			return err
		}
		others, err := tx.Channels(ctx, engine.ChannelFilter{Tenant: c.Tenant, Not: engine.Lifecycle},
			engine.Page{Limit: maxChannels})
		if err != nil {
			return fmt.Errorf("read channels: %w", err)
		}
		if len(others.Items) == maxChannels {
			return access.Fault(access.KindConflict, "tooManyChannels",
				"there are %d channels, the most that are allowed: delete one first", maxChannels)
		}
		if _, err := findChannel(ctx, tx, c.Tenant, channel.Name); !engine.IsKind(err, access.KindNotFound) {
			return engine.FirstError(err, nameTaken(channel.Name))
		}
		if err := tx.SaveChannel(ctx, channel, 0); err != nil {
			return fmt.Errorf("save channel: %w", err)
		}
		return tx.Append(ctx, channel.Event(access.ChannelWritten, c, may))
	})
	return channel, err
}

func nameTaken(name string) error {
	return access.Fault(access.KindConflict, "channelExists", "there is a channel %q already: choose another name",
		engine.Clip(name))
}

// UpdateChannel changes what is not nil in the input.
func (e *Service) UpdateChannel(ctx context.Context, c engine.Caller, ref string,
	in ChannelInput,
) (channel engine.Channel, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.ChannelsWrite, Details: map[string]string{"channel": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.ChannelsWrite, access.Root); err != nil {
				return err
			}
			was, err := findChannel(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			if in.IfRevision != nil && *in.IfRevision != was.Revision {
				return access.Fault(access.KindConflict, "staleRevision",
					"the channel has changed since you read it (it has revision %d now): read it again", was.Revision)
			}
			channel = in.onto(was)
			channel.Revision++
			if in.Secret == nil && in.SecretFile == nil && channel.TakesSecretElsewhere(was) {
				return access.Fault(access.KindInvalid, "secretNeeded",
					"the channel would send its secret to a different server: give the secret again with this change")
			}
			if err := e.sealInto(&channel, in); err != nil {
				return err
			}
			if err := channel.Validate(); err != nil {
				return err
			}
			if err := channel.OfTheServer(ctx, tx); err != nil {
				return err
			}
			if !strings.EqualFold(channel.Name, was.Name) {
				if _, err := findChannel(ctx, tx, c.Tenant, channel.Name); !engine.IsKind(err, access.KindNotFound) {
					return engine.FirstError(err, nameTaken(channel.Name))
				}
			}
			if err := tx.SaveChannel(ctx, channel, was.Revision); err != nil {
				return fmt.Errorf("save channel: %w", err)
			}
			return tx.Append(ctx, channel.Event(access.ChannelWritten, c, may))
		})
	return channel, err
}

// DeleteChannel deletes a channel with its routes; what waits for it is dead.
func (e *Service) DeleteChannel(ctx context.Context, c engine.Caller, ref string) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.ChannelsWrite, Details: map[string]string{"channel": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.ChannelsWrite, access.Root); err != nil {
				return err
			}
			channel, err := findChannel(ctx, tx, c.Tenant, ref)
			if err != nil {
				return err
			}
			if err := tx.DeleteChannel(ctx, channel.ID, channel.Revision, may.Now); err != nil {
				return fmt.Errorf("delete channel: %w", err)
			}
			return tx.Append(ctx, channel.Event(access.ChannelDeleted, c, may))
		})
}

// Channels lists the channels of the caller's tenant by name. Whoever may not read how they are set up gets their id,
// name and kind alone, which is what a route needs.
func (e *Service) Channels(ctx context.Context, c engine.Caller,
	p engine.Page,
) (list engine.Listed[engine.Channel], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ChannelsRead},
		func(r engine.Reader, may engine.Rights) error {
			if p, err = engine.CheckPage(p); err != nil {
				return err
			}
			if list, err = r.Channels(ctx, engine.ChannelFilter{Tenant: c.Tenant}, p); err != nil {
				return err
			}
			for i := range list.Items {
				list.Items[i] = shown(may, list.Items[i])
			}
			return nil
		})
	return list, err
}

// Channel gives one channel by name or id, as Channels shows it.
func (e *Service) Channel(ctx context.Context, c engine.Caller, ref string) (channel engine.Channel, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ChannelsRead},
		func(r engine.Reader, may engine.Rights) error {
			if channel, err = findChannel(ctx, r, c.Tenant, ref); err != nil {
				return err
			}
			channel = shown(may, channel)
			return nil
		})
	return channel, err
}

// shown gives what the caller may know of a channel.
func shown(r engine.Rights, c engine.Channel) engine.Channel {
	if r.May(rbac.ChannelsRead, access.Root) {
		return c
	}
	return engine.Channel{
		ID: c.ID, Tenant: c.Tenant, Name: c.Name, Kind: c.Kind, Enabled: c.Enabled,
		CreatedAt: c.CreatedAt, Revision: c.Revision,
	}
}

// TestChannel sends one test message through a channel, enabled or not, and says what the receiver answered. to is the
// address for a personal channel; empty takes the caller's own.
func (e *Service) TestChannel(ctx context.Context, c engine.Caller, ref, to string) (answer string, err error) {
	var channel engine.Channel
	a := engine.Attempt{Action: rbac.ChannelsWrite, Details: map[string]string{"channel": ref}}
	err = e.kernel.Look(ctx, c, a, func(r engine.Reader, may engine.Rights) error {
		if err := may.Require(rbac.ChannelsWrite, access.Root); err != nil {
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
				return access.Fault(access.KindInvalid, "recipientMissing",
					"you have no email address; say where to send the test")
			}
		}
		if to != "" && (!channel.Kind.Personal() || !engine.PlainAddress(to)) {
			return access.Fault(access.KindInvalid, "recipientInvalid",
				"the test cannot be sent to %q: give a plain email address, and only for a mail channel", engine.Clip(to))
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
	event := channel.Event(access.ChannelTested, c, engine.Rights{Now: e.kernel.Now()})
	event.Details["answer"] = engine.Clip(answer)
	if sendErr != nil {
		event.Outcome, event.Details["answer"] = access.Failed, engine.Clip(sendErr.Error())
	}
	if err := e.kernel.Record(ctx, event); err != nil {
		return "", fmt.Errorf("record the test: %w", err)
	}
	if sendErr != nil {
		return "", &access.Error{
			Kind: access.KindInvalid, Code: "testFailed",
			Message: "the test was not delivered: " + sendErr.Error(), Err: sendErr,
		}
	}
	return answer, nil
}

// findChannel gives a channel of the tenant by name or id.
func findChannel(ctx context.Context, r engine.OutboxReader, tenant access.TenantID,
	ref string,
) (engine.Channel, error) {
	unknown := access.Fault(access.KindNotFound, "unknownChannel", "there is no channel %q", engine.Clip(ref))
	if uuid.Validate(ref) == nil {
		c, err := r.Channel(ctx, engine.ChannelID(strings.ToLower(ref)))
		switch {
		case engine.IsKind(err, access.KindNotFound) || err == nil && c.Tenant != tenant:
			return engine.Channel{}, unknown
		case err != nil:
			return engine.Channel{}, fmt.Errorf("read channel: %w", err)
		}
		return c, nil
	}
	if ref == "" {
		return engine.Channel{}, unknown
	}
	list, err := r.Channels(ctx, engine.ChannelFilter{Tenant: tenant, Name: ref}, engine.Page{Limit: 1})
	switch {
	case err != nil:
		return engine.Channel{}, fmt.Errorf("read channels: %w", err)
	case len(list.Items) == 0:
		return engine.Channel{}, unknown
	}
	return list.Items[0], nil
}
