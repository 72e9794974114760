package httpapi

import (
	"fmt"
	"testing"

	"github.com/danielgtaylor/huma/v2/validation"
)

// TestPlainWords holds that nobody has to read a schema to learn what to write.
func TestPlainWords(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		fmt.Sprintf(validation.MsgExpectedMaximumNumber, 2592000.0):    "it is at most 2592000",
		fmt.Sprintf(validation.MsgExpectedMinimumNumber, 1.0):          "it is at least 1",
		fmt.Sprintf(validation.MsgExpectedExclusiveMaximumNumber, 2.5): "it is less than 2.5",
		fmt.Sprintf(validation.MsgExpectedExclusiveMinimumNumber, 0.0): "it is more than 0",
		fmt.Sprintf(validation.MsgExpectedNumberBeMultipleOf, 60.0):    "it is a multiple of 60",
		fmt.Sprintf(validation.MsgExpectedOneOf,
			"configured, notConfigured, unsupported"): "use one of configured, notConfigured, unsupported",
		fmt.Sprintf(validation.MsgExpectedMinLength,
			12): "it has at least 12 characters",
		fmt.Sprintf(validation.MsgExpectedMaxLength,
			256): "it has at most 256 characters",
		fmt.Sprintf(validation.MsgExpectedMinItems,
			1): "there are at least 1 of them",
		fmt.Sprintf(validation.MsgExpectedMaxItems,
			20): "there are at most 20 of them",
		fmt.Sprintf(validation.MsgExpectedMaxProperties,
			64): "there are at most 64 of them",
		fmt.Sprintf(validation.MsgExpectedMinProperties,
			1): "there are at least 1 of them",
		fmt.Sprintf(validation.MsgExpectedRequiredProperty, "items"): "items is missing",
		fmt.Sprintf(validation.MsgExpectedDependentRequiredProperty, "zone",
			"repeat"): "with repeat, zone is needed",
		fmt.Sprintf(validation.MsgExpectedMatchPattern, "^[a-z]+$"): "it has the form ^[a-z]+$",
		fmt.Sprintf(validation.MsgExpectedRFC4122UUID,
			"x"): "write an id such as 00000000-0000-0000-0000-000000000000",
		fmt.Sprintf(validation.MsgExpectedRFC5322Email, "x"): "write a mail address",
		fmt.Sprintf(validation.MsgExpectedRFC3986URI,
			"x"): "write an address such as https://host.example/path",
		validation.MsgExpectedRFC3339DateTime:  "write an instant such as 2026-01-31T15:04:00Z",
		validation.MsgExpectedArrayItemsUnique: "each is there once",
		validation.MsgExpectedBase64String:     "write it in base64",
		validation.MsgExpectedBoolean:          "it is true or false",
		validation.MsgExpectedInteger:          "it is a whole number",
		validation.MsgExpectedNumber:           "it is a number",
		validation.MsgExpectedString:           "it is text",
		validation.MsgExpectedArray:            "it is a list",
		validation.MsgExpectedObject:           "it is an object",
		// of our own
		"the two prefixes overlap": "the two prefixes overlap",
	} {
		if got := inPlainWords(message); got != want {
			t.Errorf("%q is said as %q, want %q", message, got, want)
		}
	}
}
