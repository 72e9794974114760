package identity

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The present cost of a password's hash: OWASP's first choice for argon2id, 19 MiB and two passes.
const (
	costMemory  = 19 * 1024 // KiB
	costPasses  = 2
	costThreads = 1
	saltBytes   = 16
	sumBytes    = 32
)

// Bounds on what a stored hash may ask of us.
const (
	maxPHC     = 512
	maxMemory  = 256 * 1024 // KiB
	maxPasses  = 16
	maxThreads = 16
)

var errPHC = errors.New("malformed password hash")

// phc is an argon2id hash in its parts.
type phc struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	sum     []byte
}

// parsePHC reads "$argon2id$v=19$m=19456,t=2,p=1$salt$sum", in that form alone, and refuses costs beyond our bounds.
func parsePHC(s string) (phc, error) {
	if len(s) > maxPHC {
		return phc{}, errPHC
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errPHC
	}
	var p phc
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.threads); err != nil || n != 3 {
		return phc{}, errPHC
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return phc{}, errPHC
	}
	if p.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return phc{}, errPHC
	}
	switch {
	case p.passes < 1 || p.passes > maxPasses, p.threads < 1 || p.threads > maxThreads,
		p.memory < 8*uint32(p.threads) || p.memory > maxMemory,
		len(p.salt) < 8 || len(p.salt) > 64, len(p.sum) < 16 || len(p.sum) > 64:
		return phc{}, errPHC
	case p.String() != s: // signs, spaces, leading zeros or trailing text that Sscanf let pass
		return phc{}, errPHC
	}
	return p, nil
}

// String gives the PHC form.
func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.threads,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.sum))
}

// derive gives the sum of password under the parameters and salt of p.
func (p phc) derive(password string) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.passes, p.memory, p.threads, uint32(len(p.sum))) //nolint:gosec // parsePHC bounds it to 64
}

// matches compares in constant time.
func (p phc) matches(password string) bool {
	return subtle.ConstantTimeCompare(p.derive(password), p.sum) == 1
}

// current tells whether p has the present cost.
func (p phc) current() bool {
	return p.memory == costMemory && p.passes == costPasses && p.threads == costThreads && len(p.sum) == sumBytes
}
