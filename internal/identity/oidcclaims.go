package identity

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// ClaimNames are the names of the claims that are read. A name that no claim has is taken as a way into objects, such
// as realm_access.roles. Empty ones have the usual names.
type ClaimNames struct {
	Name        string // what a new user is called: preferred_username
	DisplayName string // name
	Email       string // email
	Groups      string // groups
}

func (n ClaimNames) complete() ClaimNames {
	return ClaimNames{
		Name: cmp.Or(n.Name, "preferred_username"), DisplayName: cmp.Or(n.DisplayName, "name"),
		Email: cmp.Or(n.Email, "email"), Groups: cmp.Or(n.Groups, "groups"),
	}
}

// UserInfo says when the provider's userinfo endpoint is asked for claims beside those of the id token.
type UserInfo string

// The ways.
const (
	UserInfoNeeded UserInfo = "needed" // where the id token lacks a claim that is needed
	UserInfoAlways UserInfo = "always"
	UserInfoNever  UserInfo = "never"
)

const emailVerified = "email_verified"

// claims are what a provider says of a person, in its id token and, where that was asked, at its userinfo endpoint. The
// id token leads.
type oidcClaims struct {
	token  map[string]any
	info   map[string]any // nil where it was not asked, or did not answer
	failed error          // why it did not answer
}

// claim is one that was looked for.
type oidcClaim struct {
	value any
	from  string // where it was found; empty for nowhere
}

const (
	fromToken = "id token"
	fromInfo  = "userinfo"
)

func (c oidcClaims) find(name string) oidcClaim {
	if value, found := lookUp(c.token, name); found {
		return oidcClaim{value, fromToken}
	}
	if value, found := lookUp(c.info, name); found {
		return oidcClaim{value, fromInfo}
	}
	return oidcClaim{}
}

// lookUp finds a claim by its name, or by the way to it. One that is null is not there.
func lookUp(claims map[string]any, name string) (any, bool) {
	if value := claims[name]; value != nil {
		return value, true
	}
	first, rest, deeper := strings.Cut(name, ".")
	inside, is := claims[first].(map[string]any)
	if !deeper || !is {
		return nil, false
	}
	return lookUp(inside, rest)
}

// text gives the claim where it is a text.
func (c oidcClaim) text() string {
	text, _ := c.value.(string)
	return text
}

// texts gives the claim where it is a text or a list of them, of which an empty one is no text.
func (c oidcClaim) texts() (texts []string, ok bool) {
	switch v := c.value.(type) {
	case string:
		if v != "" {
			texts = []string{v}
		}
		return texts, true
	case []any:
		for _, item := range v {
			text, is := item.(string)
			if !is {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	}
	return nil, false
}

// What is wrong with a claim of groups that says nothing. Whoever is not said to be in a group is not said to be in
// none.
const (
	claimAbsent     = "absent"     // it is not there
	claimOverage    = "overage"    // it is elsewhere, since there are more than fit
	claimUnreadable = "unreadable" // it is neither a text nor a list of texts
)

// groups gives the groups that the provider says the person is in, or why it says nothing of them.
func (l *oidcLogin) groups(c oidcClaims) (groups []string, from, unknown string) {
	name := l.config.Claims.Groups
	claim := c.find(name)
	if claim.from == "" {
		for _, claims := range []map[string]any{c.token, c.info} {
			names, _ := claims["_claim_names"].(map[string]any) // of what is distributed (OpenID Connect Core, 5.6.2)
			if _, elsewhere := names[name]; elsewhere || claims["hasgroups"] == true || claims["hasgroups"] == "true" {
				return nil, "", claimOverage
			}
		}
		return nil, "", claimAbsent
	}
	groups, ok := claim.texts()
	if !ok {
		return nil, claim.from, claimUnreadable
	}
	return groups, claim.from, ""
}

// claims gives what the provider says, with that of its userinfo endpoint where it is to be asked.
func (l *oidcLogin) claims(ctx context.Context, provider *oidc.Provider, id *oidc.IDToken,
	tokens *oauth2.Token,
) (c oidcClaims, err error) {
	unreadable := access.Fault(access.KindUnauthenticated, "idTokenInvalid",
		"the identity provider's token has claims that cannot be read")
	if id.Claims(&c.token) != nil || id.Subject == "" || len(id.Subject) > 255 {
		return c, unreadable
	}
	if !l.asksMore(c) || provider.UserInfoEndpoint() == "" {
		return c, nil
	}
	client := context.WithoutCancel(oidc.ClientContext(ctx, l.config.Client))
	bounded, cancel := context.WithTimeout(client, oidcTimeout)
	defer cancel()
	info, err := provider.UserInfo(bounded, oauth2.StaticTokenSource(tokens))
	if err == nil && info.Subject != id.Subject {
		return c, access.Fault(access.KindUnauthenticated, "userinfoInvalid",
			"the identity provider's userinfo is about somebody else")
	}
	if err == nil {
		err = info.Claims(&c.info)
	}
	c.failed = err // what the endpoint would have said stays unknown
	return c, nil
}

// asksMore tells whether the userinfo endpoint is to be asked.
func (l *oidcLogin) asksMore(c oidcClaims) bool {
	switch l.config.UserInfo {
	case UserInfoAlways:
		return true
	case UserInfoNever:
		return false
	case UserInfoNeeded:
	}
	_, _, unknown := l.groups(c)
	names := l.config.Claims
	return len(l.config.Groups) > 0 && unknown == claimAbsent ||
		len(l.config.Domains) > 0 && (c.find(names.Email).from == "" || c.find(emailVerified).from == "") ||
		c.find(names.Name).from == "" && c.find(names.Email).from == ""
}

// verified tells whether the provider vouches for the mail address: in the place where the address stands, or in the
// other where that has the same address.
func (c oidcClaims) verified(name, address string) bool {
	for _, claims := range []map[string]any{c.token, c.info} {
		if there, _ := lookUp(claims, name); there != address {
			continue
		}
		if said := claims[emailVerified]; said != nil {
			return said == true || said == "true" // some providers write a text
		}
	}
	return false
}

// read takes over the claims.
func (l *oidcLogin) read(id *oidc.IDToken, c oidcClaims) (said directory.ExternalSignIn, err error) {
	names := l.config.Claims
	name, display, email := c.find(names.Name), c.find(names.DisplayName), c.find(names.Email)
	verified := email.text() != "" && c.verified(names.Email, email.text())
	if _, domain, _ := strings.Cut(email.text(), "@"); len(l.config.Domains) > 0 &&
		(!verified || !slices.ContainsFunc(l.config.Domains,
			func(d string) bool { return strings.EqualFold(d, domain) })) {
		why := "its domain is not one of those that are let in"
		switch {
		case email.text() == "":
			why = "the identity provider names none"
		case !verified:
			why = "the identity provider does not say that it is verified"
		}
		return said, access.Fault(access.KindForbidden, "domainNotAllowed",
			"people with this mail address are not let in here: %s", why)
	}
	said = directory.ExternalSignIn{
		Issuer: id.Issuer, Subject: id.Subject, Name: cmp.Or(name.text(), email.text()),
		DisplayName: display.text(),
	}
	if verified {
		said.Email = email.text()
	}
	groups, from, unknown := l.groups(c)
	for claimed, group := range l.config.Groups {
		if !slices.Contains(said.Managed, group) {
			said.Managed = append(said.Managed, group)
		}
		if slices.Contains(groups, claimed) {
			said.Groups = append(said.Groups, group)
		}
	}
	slices.Sort(said.Managed)
	if len(said.Managed) > 0 {
		said.GroupsUnknown = unknown
	}
	said.Read = []engine.ClaimRead{
		name.as("name", names.Name), display.as("displayName", names.DisplayName), email.as("email", names.Email),
		c.find(emailVerified).as("emailVerified", emailVerified),
		{Use: "groups", Claim: names.Groups, From: from, Values: groups, Problem: unknown},
	}
	if c.failed != nil {
		said.Read = append(said.Read, engine.ClaimRead{Use: "userinfo", Problem: "failed"})
	}
	return said, nil
}

// as gives what was read of a claim, for an administrator.
func (c oidcClaim) as(use, name string) engine.ClaimRead {
	r := engine.ClaimRead{Use: use, Claim: name, From: c.from}
	switch v := c.value.(type) {
	case nil:
		r.Problem = claimAbsent
	case string:
		r.Values = []string{v}
	case bool:
		r.Values = []string{map[bool]string{true: "true", false: "false"}[v]}
	default:
		r.Problem = claimUnreadable
	}
	return r
}

var errUserInfo = errors.New("the userinfo endpoint is asked never, always, or where it is needed")

func (u UserInfo) check() error {
	if !slices.Contains([]UserInfo{UserInfoNeeded, UserInfoAlways, UserInfoNever}, u) {
		return errUserInfo
	}
	return nil
}
