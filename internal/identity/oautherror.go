package identity

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// fail makes a refusal: the name is OAuth's, the code one that Azure's users can look up.
func fail(name string, code int, format string, args ...any) error {
	return &oauthError{name: name, code: code, text: fmt.Sprintf(format, args...)}
}

// refuse gives the status and the body that answer an error.
func refuse(err error, now time.Time) (int, *refusal) {
	stamp := now.UTC().Format("2006-01-02 15:04:05Z")
	if e, ok := errors.AsType[*oauthError](err); ok {
		status := http.StatusBadRequest
		if e.name == "invalid_client" {
			status = http.StatusUnauthorized
		}
		return status, &refusal{
			Name: e.name, Description: fmt.Sprintf("AADSTS%d: %s", e.code, e.text),
			Codes: []int{e.code}, Timestamp: stamp,
		}
	}
	switch access.KindOf(err) {
	case access.KindLimited:
		return http.StatusTooManyRequests, &refusal{
			Name:        "temporarily_unavailable",
			Description: "AADSTS50196: " + err.Error(), Codes: []int{50196}, Timestamp: stamp,
		}
	case access.KindUnavailable:
		return http.StatusServiceUnavailable, &refusal{
			Name:        "temporarily_unavailable",
			Description: "AADSTS90033: " + err.Error(), Codes: []int{90033}, Timestamp: stamp,
		}
	case access.KindNotFound:
		return http.StatusNotFound, &refusal{Name: "invalid_request", Description: err.Error(), Timestamp: stamp}
	case access.KindInvalid, access.KindConflict, access.KindForbidden, access.KindUnauthenticated:
		return http.StatusBadRequest, &refusal{Name: "invalid_request", Description: err.Error(), Timestamp: stamp}
	case access.KindInternal:
	}
	return http.StatusInternalServerError, &refusal{
		Name:        "server_error",
		Description: "something went wrong in the server; its log says what", Timestamp: stamp,
	}
}
