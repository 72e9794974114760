package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/identity"
)

// enterPage is what the page of a browser's own sign-in shows.
type enterPage struct {
	credentials

	Next   string // the path to go on to
	Note   string
	Tenant string // whose page it is, as it was asked for; empty is the tenant that runs the server
	OIDC   bool   // it has an identity provider to sign in with
}

// enter signs a person in to the portal. Where the address names a tenant, a name without one is of that tenant.
func (v *visit) enter() {
	v.script()
	page := enterPage{Tenant: v.FormValue("tenant"), credentials: v.credentials(), Next: local(v.FormValue("next"))}
	if v.Method == http.MethodGet {
		if v.FormValue("left") != "" {
			page.Note = "You are signed out."
		}
		v.showEnter(http.StatusOK, page)
		return
	}
	signed, err := v.check(page.Tenant, "browser")
	if err != nil {
		status := page.refused(err)
		if access.CodeOf(err) == "passwordChangeRequired" {
			page.Problem, page.Note = "", "This password was good for one sign-in. Choose one of your own."
		}
		v.showEnter(status, page)
		return
	}
	v.signedIn(signed, page.Next)
}

// showEnter shows the page, with the way to the tenant's identity provider where it has one.
func (v *visit) showEnter(status int, page enterPage) {
	var err error
	if page.OIDC, err = v.portal.config.Identity.HasOIDC(v.Context(), page.Tenant, v.address); err != nil {
		v.fail(err)
		return
	}
	v.show(status, "enter.html", page)
}

// signedIn lets the browser in and leads it on. A session that it had ends: whoever put that there beforehand would
// else have a way in to what follows.
func (v *visit) signedIn(signed identity.SignedIn, next string) {
	_ = v.endSession() // the log says where it failed
	http.SetCookie(v.w, identity.NewSessionCookie(signed, v.portal.config.Now()))
	http.Redirect(v.w, v.Request, next, http.StatusSeeOther)
}

// leave signs the browser out.
func (v *visit) leave() {
	if v.Method != http.MethodPost {
		http.Redirect(v.w, v.Request, "/", http.StatusSeeOther)
		return
	}
	if err := v.endSession(); err != nil && access.KindOf(err) != access.KindUnauthenticated {
		status, text := say(err)
		v.show(status, "error.html", "You are still signed in: your session could not be ended. "+text)
		return
	}
	http.SetCookie(v.w, identity.EndedSessionCookie())
	http.Redirect(v.w, v.Request, signInPath+"?left=1", http.StatusSeeOther)
}

// endSession ends the session of the browser's cookie, if there is one.
func (v *visit) endSession() error {
	token, err := identity.ParseSessionCookie(v.Request)
	if token != "" && err == nil {
		err = v.portal.config.Identity.EndHeld(v.Context(), token, v.address, "portal")
	}
	if err != nil {
		v.portal.config.Log.Warn("a session was not ended", "error", err)
	}
	return err
}

// signInFor gives the address of the sign-in page that goes on to a path.
func signInFor(next string) string {
	if next == "/" {
		return signInPath
	}
	return signInPath + "?" + url.Values{"next": {next}}.Encode()
}

// local gives a path of this portal to go on to; anything else becomes its first page.
func local(next string) string {
	if !strings.HasPrefix(next,
		"/") || strings.HasPrefix(next,
		"//") || strings.ContainsAny(next, "\\\r\n\t") || Serves(strings.SplitN(next, "?", 2)[0]) {
		return "/"
	}
	return next
}
