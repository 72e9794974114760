package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// The headers of a signed webhook, as the Standard Webhooks specification names them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const keyPrefix = "whsec_"

// NewSigningKey makes a random key for a webhook: "whsec_" and the base64 of 32 bytes.
func NewSigningKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails: it ends the program instead
	return keyPrefix + base64.StdEncoding.EncodeToString(key)
}

// signingKeys reads one or more keys, apart by spaces: while a key is being changed both sign.
func signingKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for word := range strings.FieldsSeq(text) {
		encoded, ok := strings.CutPrefix(word, keyPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return nil, access.Fault(access.KindInvalid, "secretInvalid",
				"a signing key is whsec_ and the base64 of 24 to 64 random bytes")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > 4 {
		return nil, access.Fault(access.KindInvalid, "secretInvalid", "give 1 to 4 signing keys, apart by a space")
	}
	return keys, nil
}

// sign sets the headers of a signed webhook: the id, which stays the same over repetitions, the time of this attempt
// in seconds, and for each key "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body".
func sign(h http.Header, keys [][]byte, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, 0, len(keys))
	for _, key := range keys {
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(signature(key, id, timestamp, body)))
	}
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	h.Set(headerSignature, strings.Join(signatures, " "))
}

func signature(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// VerifyWebhook is what a receiver does: it tells whether the headers and the body were signed by one of the keys of
// secret within five minutes of now. To be safe against replay a receiver also remembers each Webhook-Id for that long
// and ignores one that it has seen, which makes repeated deliveries harmless too.
func VerifyWebhook(secret string, h http.Header, body []byte, now time.Time) error {
	const tolerance = 5 * time.Minute
	keys, err := signingKeys(secret)
	if err != nil {
		return err
	}
	id, timestamp := h.Get(headerID), h.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return access.Fault(access.KindUnauthenticated, "signatureMissing", "the webhook has no id or no timestamp")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return access.Fault(access.KindUnauthenticated, "timestampTooFar",
			"the webhook was signed more than %s from now", tolerance)
	}
	for given := range strings.FieldsSeq(h.Get(headerSignature)) {
		version, encoded, _ := strings.Cut(given, ",")
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if version != "v1" || err != nil {
			continue
		}
		for _, key := range keys {
			if subtle.ConstantTimeCompare(sum, signature(key, id, timestamp, body)) == 1 {
				return nil
			}
		}
	}
	return access.Fault(access.KindUnauthenticated, "signatureWrong", "no signature of the webhook fits")
}
