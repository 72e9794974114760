package portal

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/identity"
)

const (
	oidcStart  = "/auth/oidc/start"
	oidcCookie = "__Host-postern-oidc"
)

// startOIDC sends the browser to the identity provider of a tenant. A program on the person's own machine gives the
// loopback address at which it waits, its challenge and its state; else the person goes on to a path of ours.
func (v *visit) startOIDC() {
	in := identity.OIDCStart{
		Tenant: v.FormValue("tenant"), Origin: "https://" + v.portal.config.Identity.Host(v.Host),
		Return: localPath(v.FormValue("return")), Address: v.address,
	}
	if text := v.FormValue("redirect_uri"); text != "" {
		redirect, err := loopback(text)
		if err == nil && (!isChallenge(v.FormValue("code_challenge")) || len(v.FormValue("state")) > 256) {
			err = access.Fault(access.KindInvalid, "challengeMissing",
				"PKCE with the code_challenge_method S256 is required")
		}
		if err != nil {
			v.fail(err)
			return
		}
		in.Loopback, in.Challenge, in.State = redirect.String(), v.FormValue("code_challenge"), v.FormValue("state")
	}
	to, browser, err := v.portal.config.Identity.StartOIDC(v.Context(), in)
	if err != nil {
		v.fail(err)
		return
	}
	http.SetCookie(v.w,
		&http.Cookie{
			Name: oidcCookie, Value: browser, Path: "/", Secure: true, HttpOnly: true,
			SameSite: http.SameSiteLaxMode, MaxAge: int((10 * time.Minute).Seconds()),
		})
	http.Redirect(v.w, v.Request, to, http.StatusSeeOther)
}

// localPath gives a path of this server, and the root for anything that could lead elsewhere.
func localPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(text,
		"/") || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return text
}

// finishOIDC takes in a person whom the identity provider sends back.
func (v *visit) finishOIDC() {
	in := identity.OIDCFinish{
		Path: v.URL.Path, Issuer: v.FormValue("iss"),
		State: v.FormValue("state"), Code: v.FormValue("code"), Error: v.FormValue("error"), Address: v.address,
		Client: "browser: " + v.UserAgent(),
	}
	if cookie, err := v.Cookie(oidcCookie); err == nil {
		in.Browser = cookie.Value
	}
	http.SetCookie(v.w,
		&http.Cookie{
			Name: oidcCookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			MaxAge: -1,
		})
	signed, err := v.portal.config.Identity.FinishOIDC(v.Context(), in)
	if err != nil {
		v.fail(err)
		return
	}
	if signed.Loopback == "" {
		v.signedIn(signed.SignedIn, signed.Return)
		return
	}
	to, err := url.Parse(signed.Loopback)
	if err != nil {
		v.fail(err)
		return
	}
	query := to.Query()
	query.Set("code", signed.Code)
	query.Set("state", signed.State)
	to.RawQuery = query.Encode()
	http.Redirect(v.w, v.Request, to.String(), http.StatusSeeOther)
}
