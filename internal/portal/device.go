package portal

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// devicePage is what the page of a device's sign-in shows.
type devicePage struct {
	credentials

	Code    string // empty: it is asked for
	Client  string
	Address string
	Done    string
}

// device lets a device in, or refuses it: its user types the code that it shows, and signs in.
func (v *visit) device() {
	code := strings.ToUpper(strings.TrimSpace(v.FormValue("code")))
	if code == "" {
		v.show(http.StatusOK, "device.html", devicePage{})
		return
	}
	waiting, err := v.portal.config.Identity.WaitingDevice(v.Context(), code, v.address)
	if kind := access.KindOf(err); kind == access.KindNotFound || kind == access.KindLimited {
		status, text := say(err)
		v.show(status, "device.html", devicePage{credentials: credentials{Problem: text}})
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	engine := v.portal.config.Engine
	page := devicePage{Code: code, Client: waiting.Client, Address: waiting.Address, credentials: v.credentials()}
	switch {
	case v.Method == http.MethodGet || v.PostFormValue("answer") == "":
		v.show(http.StatusOK, "device.html", page)
		return
	case v.PostFormValue("answer") == "deny":
		if err := engine.Directory.AnswerSignIn(v.Context(), code, ""); err != nil {
			v.fail(err)
			return
		}
		page.Done = "The sign-in was refused. The device stays outside."
		v.show(http.StatusOK, "device.html", page)
		return
	}
	session, err := v.signIn("", waiting.Client)
	if err == nil {
		err = engine.Directory.AnswerSignIn(v.Context(), code, session)
	}
	if err != nil {
		v.show(page.refused(err), "device.html", page)
		return
	}
	page.Done = "You are signed in on the device. You may close this page."
	v.show(http.StatusOK, "device.html", page)
}
