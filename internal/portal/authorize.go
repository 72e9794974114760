package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// authorizePage is what the page of a program's sign-in shows.
type authorizePage struct {
	credentials

	Client   string
	Redirect string
	Fields   []field // of the client's call, sent along with the form
}

type field struct{ Name, Value string }

// isChallenge tells whether s is what PKCE's method S256 makes: 32 bytes in base64url.
func isChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == sha256.Size && len(s) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// authorize signs a person in for a program on their own machine: the authorization code goes to an address of the
// loopback interface alone, and only the program that began can exchange it.
func (v *visit) authorize(authority string) {
	redirect, err := loopback(v.FormValue("redirect_uri"))
	if err != nil {
		v.fail(err) // nobody is sent to an address that is not a client's
		return
	}
	v.protect(redirect.Scheme + "://" + redirect.Host)
	pending, oauth, text := v.asked()
	if oauth != "" {
		v.sendBack(redirect, url.Values{"error": {oauth}, "error_description": {text}})
		return
	}
	page := authorizePage{Client: pending.Client, Redirect: redirect.Host, credentials: v.credentials()}
	if page.Name == "" {
		page.Name = v.FormValue("login_hint")
	}
	for _, name := range []string{
		"client_id", "redirect_uri", "response_type", "response_mode", "scope", "resource",
		"state", "nonce", "code_challenge", "code_challenge_method",
	} {
		if value := v.FormValue(name); value != "" {
			page.Fields = append(page.Fields, field{name, value})
		}
	}
	switch {
	case v.Method == http.MethodGet || v.PostFormValue("answer") == "":
		v.show(http.StatusOK, "authorize.html", page)
		return
	case v.PostFormValue("answer") == "deny":
		v.sendBack(redirect,
			url.Values{"error": {"access_denied"}, "error_description": {"the person refused the sign-in"}})
		return
	}
	code, err := v.issue(identity.TenantRef(authority), pending)
	if err != nil {
		v.show(page.refused(err), "authorize.html", page)
		return
	}
	v.sendBack(redirect, url.Values{"code": {code}})
}

// asked reads what the client asks for; oauth names what is wrong with it, if anything is. Whether there is such a
// tenant it does not say: who signs in is told what anybody is whose name or password is wrong.
func (v *visit) asked() (p engine.PendingSignIn, oauth, text string) {
	p = engine.PendingSignIn{
		Client: v.FormValue("client_id"), Redirect: v.FormValue("redirect_uri"),
		Challenge: v.FormValue("code_challenge"),
		Nonce:     v.FormValue("nonce"), Address: v.address.String(),
	}
	var err error
	p.Audience, err = identity.Audience(v.portal.config.Identity.Host(v.Host), v.FormValue("scope"),
		v.FormValue("resource"))
	switch {
	case err != nil:
		return p, "invalid_target", err.Error()
	case v.FormValue("response_type") != "code":
		return p, "unsupported_response_type", "only the response_type code is supported"
	case p.Client == "" || len(p.Client) > 256 || len(
		p.Nonce) > 256 || len(p.Redirect) > 1024 || len(v.FormValue("state")) > 2048:
		return p, "invalid_request", "client_id is missing, or a parameter is too long"
	case v.FormValue("code_challenge_method") != "S256" || !isChallenge(p.Challenge):
		return p, "invalid_request", "PKCE with the code_challenge_method S256 is required"
	}
	return p, "", ""
}

// issue signs the person in and keeps an authorization code.
func (v *visit) issue(tenant string, p engine.PendingSignIn) (code string, err error) {
	if p.Session, err = v.signIn(tenant, p.Client); err != nil {
		return "", err
	}
	code, p.Hash = identity.NewCode()
	p.CreatedAt = v.portal.config.Now().UTC()
	p.ExpiresAt = p.CreatedAt.Add(directory.CodeTime)
	return code, v.portal.config.Engine.Directory.BeginSignIn(v.Context(), p)
}

// loopback reads an address on the person's own machine: http to localhost or a loopback address, at any port.
func loopback(text string) (*url.URL, error) {
	refused := access.Fault(access.KindInvalid, "redirectRefused",
		"the address that the program wants to be answered at is not one of this machine: only http://localhost and "+
			"loopback addresses are allowed")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Opaque != "" || strings.ContainsAny(
		u.Host, " ;,'\"") {
		return nil, refused
	}
	if host := u.Hostname(); !strings.EqualFold(host, "localhost") {
		if address, err := netip.ParseAddr(host); err != nil || !address.IsLoopback() {
			return nil, refused
		}
	}
	return u, nil
}

// formPost is the page that sends an answer on as a form, where the client asked for that: without JavaScript, by a
// button.
type formPost struct {
	To     string
	Fields []field
}

// sendBack gives the client its answer.
func (v *visit) sendBack(to *url.URL, answer url.Values) {
	if state := v.FormValue("state"); state != "" {
		answer.Set("state", state)
	}
	if v.FormValue("response_mode") == "form_post" {
		page := formPost{To: to.String()}
		for name := range answer {
			page.Fields = append(page.Fields, field{name, answer.Get(name)})
		}
		v.show(http.StatusOK, "formpost.html", page)
		return
	}
	query := to.Query()
	for name := range answer {
		query.Set(name, answer.Get(name))
	}
	target := *to
	target.RawQuery = query.Encode()
	http.Redirect(v.w, v.Request, target.String(), http.StatusSeeOther)
}
