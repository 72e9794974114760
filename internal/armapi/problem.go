package armapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// envelope is Azure's error body.
type envelope struct {
	Error cloudError `json:"error"`
}

type cloudError struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Target  string       `json:"target,omitempty"`
	Details []cloudError `json:"details,omitempty"`
}

// azureCodes gives Azure's code for those of ours that have one of their own there.
var azureCodes = map[string]string{ //nolint:gochecknoglobals // a constant table; Go has no constant maps
	"unknownResourceGroup":  "ResourceGroupNotFound",
	"unknownSubscription":   "SubscriptionNotFound",
	"roleAssignmentExists":  "RoleAssignmentExists",
	"roleAssignmentIDTaken": "RoleAssignmentUpdateNotPermitted",
	"roleIDTaken":           "RoleDefinitionExists",
	"roleNameTaken":         "RoleDefinitionWithSameNameExists",
	"roleInUse":             "RoleDefinitionHasAssignments",
	"credentialsMissing":    "AuthenticationFailed",
	"accessTokenInvalid":    "InvalidAuthenticationToken",
	"accessTokenExpired":    "ExpiredAuthenticationToken",
	"accessTokenAudience":   "InvalidAuthenticationTokenAudience",
}

// statusOf maps kinds of error to status and, where a code has none of its own in Azure, to Azure's code.
func statusOf(kind access.Kind) (status int, code string) {
	switch kind {
	case access.KindInvalid:
		return http.StatusBadRequest, "InvalidRequestContent"
	case access.KindUnauthenticated:
		return http.StatusUnauthorized, "InvalidAuthenticationToken"
	case access.KindForbidden:
		return http.StatusForbidden, "AuthorizationFailed"
	case access.KindNotFound:
		return http.StatusNotFound, "ResourceNotFound"
	case access.KindConflict:
		return http.StatusConflict, "Conflict"
	case access.KindLimited:
		return http.StatusTooManyRequests, "TooManyRequests"
	case access.KindUnavailable:
		return http.StatusServiceUnavailable, "ServiceUnavailable"
	case access.KindInternal:
	}
	return http.StatusInternalServerError, "InternalServerError"
}

// translate makes Azure's error body of err. Everything useful is in the message, since some clients show nothing
// else. Codes of ours begin with a small letter; those that this package makes are Azure's own and are kept.
func translate(err error) (int, envelope) {
	status, code := statusOf(access.KindOf(err))
	e, known := errors.AsType[*access.Error](err)
	if !known || status == http.StatusInternalServerError {
		return status, envelope{cloudError{
			Code: code,
			Message: "something went wrong on our side; try again, and if it stays, give the operator the " +
				"x-ms-request-id of this answer",
		}}
	}
	if own, ok := azureCodes[e.Code]; ok {
		code = own
	} else if e.Code != "" && e.Code[0] >= 'A' && e.Code[0] <= 'Z' {
		code = e.Code
	}
	switch code {
	case "PreconditionFailed":
		status = http.StatusPreconditionFailed
	case "RequestContentTooLarge":
		status = http.StatusRequestEntityTooLarge
	case "HttpMethodNotSupported":
		status = http.StatusMethodNotAllowed
	}
	out := cloudError{Code: code, Message: e.Message}
	texts := make([]string, 0, len(e.Reasons)+1)
	texts = append(texts, e.Message)
	for _, r := range e.Reasons {
		texts = append(texts, r.Message)
		out.Details = append(out.Details, cloudError{Code: r.Code, Message: r.Message, Target: r.Field})
		if out.Target == "" {
			out.Target = r.Field
		}
	}
	out.Message = strings.Join(texts, "; ")
	return status, envelope{out}
}
