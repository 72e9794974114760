package identity

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/engine/directory"
)

// maxAssertion is how far ahead the end of a client's assertion may lie.
const maxAssertion = time.Hour

// assertion is what a client signs with its certificate's key to prove itself.
type assertion struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expires   seconds  `json:"exp"`
	NotBefore seconds  `json:"nbf"`
	ID        string   `json:"jti"`
}

// audience is one text or a list of them.
type audience []string

// UnmarshalJSON reads either.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// seconds is a time since 1970, of which some clients send fractions.
type seconds int64

// UnmarshalJSON reads a number, and drops its fraction.
func (s *seconds) UnmarshalJSON(data []byte) error {
	var n float64
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	if n < 0 || n > 1<<53 {
		return errors.New("no such time")
	}
	*s = seconds(n)
	return nil
}

// proveByCertificate gives the certificate whose key signed the assertion, where it is the client's own, is meant for
// one of our addresses, and holds now; with how to know the assertion again, for it counts once.
func (i *Identity) proveByCertificate(cred directory.ClientCredentials, client, text string,
	meant ...string,
) (directory.ClientProof, bool) {
	if len(text) > maxForm {
		return directory.ClientProof{}, false
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return directory.ClientProof{}, false
	}
	for _, s := range cred.Secrets {
		block, _ := pem.Decode([]byte(s.Certificate))
		if block == nil {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		payload, err := signed.Verify(certificate.PublicKey)
		if err != nil {
			continue
		}
		var said assertion
		if json.Unmarshal(payload, &said) == nil && i.holds(said, client, meant) {
			return directory.ClientProof{
				Secret: s, Once: said.mark(payload),
				Until: time.Unix(int64(said.Expires), 0).UTC(),
			}, true
		}
	}
	return directory.ClientProof{}, false
}

// mark gives what the assertion is known again by: its jti, or all that was signed where it has none. It begins like no
// hash, so that nothing which is looked up by the hash of a caller's text can be a mark, and use it up.
func (said assertion) mark(payload []byte) string {
	if said.ID != "" {
		return "assertion:" + hashToken(said.Issuer+"\x00"+said.ID)
	}
	return "assertion:" + hashToken(said.Issuer+"\x00\x00"+string(payload))
}

func (i *Identity) holds(said assertion, client string, meant []string) bool {
	now := i.now()
	soon, latest := seconds(now.Add(time.Minute).Unix()), seconds(now.Add(maxAssertion).Unix())
	ours := slices.ContainsFunc(said.Audience, func(a string) bool {
		return slices.ContainsFunc(meant,
			func(m string) bool { return strings.EqualFold(strings.TrimRight(a, "/"), m) })
	})
	return ours && said.Issuer == client && said.Subject == client &&
		seconds(now.Unix()) < said.Expires && said.Expires <= latest && said.NotBefore <= soon
}
