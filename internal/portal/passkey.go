package portal

import "net/http"

const (
	passkeyPath   = "/passkey"
	passkeyScript = "/passkey.js"
)

// passkey shows the page on which the command line has a person use a passkey. Its script calls nobody, and its form
// leads to programs on the person's own machine alone.
func (v *visit) passkey() {
	v.w.Header().Set("Content-Security-Policy",
		pagePolicy+"http://127.0.0.1:*; script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'")
	v.show(http.StatusOK, "passkey.html", nil)
}
