package httpapi

import (
	"context"
	"net/http"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/notices"
)

func (a *API) channelRoutes() {
	const tag = "Notifications"
	register(a, operation{
		method: http.MethodGet, path: "/channels", id: "listChannels", tag: tag, entry: people,
		summary: "List channels by name",
	}, a.listChannels)
	register(a, operation{
		method: http.MethodPost, path: "/channels", id: "createChannel", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Add a channel",
	}, a.createChannel)
	register(a, operation{
		method: http.MethodGet, path: "/channels/{channel}", id: "getChannel", tag: tag, entry: people,
		summary: "Get one channel",
	}, a.getChannel)
	register(a, operation{
		method: http.MethodPatch, path: "/channels/{channel}", id: "changeChannel", tag: tag, entry: people,
		summary: "Change a channel; what is absent stays",
	}, a.changeChannel)
	register(a, operation{
		method: http.MethodDelete, path: "/channels/{channel}", id: "deleteChannel", tag: tag, entry: people,
		summary: "Delete a channel with its routes; what waits for it is dead",
	}, a.deleteChannel)
	register(a, operation{
		method: http.MethodPost, path: "/channels/{channel}/test", id: "testChannel", tag: tag, entry: people,
		summary: "Send one test message through a channel, and say what the receiver answered",
	}, a.testChannel)
}

func channelOut(c engine.Channel) api.Channel {
	out := api.Channel{
		ID: string(c.ID), Name: c.Name, Kind: string(c.Kind), Enabled: c.Enabled, URL: c.URL, CA: c.CA,
		AllowPrivate: c.AllowPrivate,
		HasSecret:    c.Secret.Set(), SecretFile: c.Secret.File, CreatedAt: c.CreatedAt.UTC(), Revision: c.Revision,
	}
	if c.Mail != (engine.Mail{}) {
		m := c.Mail
		out.Mail = &api.Mail{
			Host: m.Host, Port: m.Port, TLS: string(m.TLS), Username: m.Username, From: m.From,
			FromName: m.FromName, Helo: m.Helo,
		}
	}
	return out
}

func mailIn(m *api.Mail) *notices.MailInput {
	if m == nil {
		return nil
	}
	return &notices.MailInput{
		Host: &m.Host, Port: &m.Port, TLS: (*engine.MailTLS)(&m.TLS), Username: &m.Username,
		From: &m.From, FromName: &m.FromName, Helo: &m.Helo,
	}
}

func mailChange(m *api.MailChange) *notices.MailInput {
	if m == nil {
		return nil
	}
	return &notices.MailInput{
		Host: m.Host, Port: m.Port, TLS: (*engine.MailTLS)(m.TLS), Username: m.Username,
		From: m.From, FromName: m.FromName, Helo: m.Helo,
	}
}

func (a *API) listChannels(ctx context.Context, in *listInput) (*answer[api.Page[api.Channel]], error) {
	list, err := a.engine.Notices.Channels(ctx, in.caller, in.page())
	return &answer[api.Page[api.Channel]]{page(list, channelOut)}, err
}

type createChannelInput struct {
	calling

	Body api.NewChannel
}

func (a *API) createChannel(ctx context.Context, in *createChannelInput) (*answer[api.Channel], error) {
	b := in.Body
	enabled := !b.Disabled
	c, err := a.engine.Notices.CreateChannel(ctx, in.caller, notices.ChannelInput{
		Name: &b.Name, Kind: engine.ChannelKind(b.Kind), Enabled: &enabled, URL: &b.URL, Mail: mailIn(b.Mail),
		CA:           &b.CA,
		AllowPrivate: &b.AllowPrivate, Secret: &b.Secret, SecretFile: &b.SecretFile,
	})
	return &answer[api.Channel]{channelOut(c)}, err
}

type channelInput struct {
	calling

	Channel string `path:"channel" maxLength:"100" doc:"Name or id."`
}

func (a *API) getChannel(ctx context.Context, in *channelInput) (*answer[api.Channel], error) {
	c, err := a.engine.Notices.Channel(ctx, in.caller, in.Channel)
	return &answer[api.Channel]{channelOut(c)}, err
}

type changeChannelInput struct {
	calling

	Channel string `path:"channel" maxLength:"100" doc:"Name or id."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The revision that was seen, in quotes: with another one now, nothing changes and the answer is 409."`
	Body    api.ChannelChange
}

func (a *API) changeChannel(ctx context.Context, in *changeChannelInput) (*answer[api.Channel], error) {
	var wrong invalid
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	b := in.Body
	c, err := a.engine.Notices.UpdateChannel(ctx, in.caller, in.Channel, notices.ChannelInput{
		Name: b.Name, Enabled: b.Enabled, URL: b.URL, Mail: mailChange(b.Mail), CA: b.CA, AllowPrivate: b.AllowPrivate,
		Secret: b.Secret, SecretFile: b.SecretFile,
		IfRevision: revision,
	})
	return &answer[api.Channel]{channelOut(c)}, err
}

func (a *API) deleteChannel(ctx context.Context, in *channelInput) (*nothing, error) {
	return &nothing{}, a.engine.Notices.DeleteChannel(ctx, in.caller, in.Channel)
}

type testChannelInput struct {
	calling

	Channel string `path:"channel" maxLength:"100" doc:"Name or id."`
	Body    api.ChannelTest
}

func (a *API) testChannel(ctx context.Context, in *testChannelInput) (*answer[api.ChannelTested], error) {
	text, err := a.engine.Notices.TestChannel(ctx, in.caller, in.Channel, in.Body.To)
	return &answer[api.ChannelTested]{api.ChannelTested{Answer: text}}, err
}
