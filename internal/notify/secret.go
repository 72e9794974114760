package notify

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// opened is a secret in the clear. Every way of printing it says "redacted".
type opened struct{ text string }

// LogValue keeps it out of logs.
func (opened) LogValue() slog.Value { return slog.StringValue("redacted") }

// String keeps it out of texts.
func (opened) String() string { return "redacted" }

// GoString keeps it out of %#v.
func (opened) GoString() string { return "redacted" }

// without takes the secret out of a text that came from outside: as a whole, each word of it, and of a URL each part
// of the path and the query that is long enough to be one.
func (c opened) without(text string) string {
	for _, part := range c.parts() {
		text = strings.ReplaceAll(text, part, "[redacted]")
	}
	return text
}

func (c opened) parts() []string {
	parts := []string{c.text}
	for word := range strings.FieldsSeq(c.text) {
		parts = append(parts, word, strings.TrimPrefix(word, keyPrefix))
		if _, rest, ok := strings.Cut(word, "://"); ok {
			_, path, _ := strings.Cut(rest, "/")
			parts = append(parts,
				slices.DeleteFunc(strings.FieldsFunc(path,
					func(r rune) bool { return strings.ContainsRune("/?&=", r) }),
					func(s string) bool { return len(s) < 8 })...)
		}
	}
	return slices.DeleteFunc(parts, func(s string) bool { return len(s) < 4 })
}

const (
	sealVersion = 1
	maxSecret   = 4096 // bytes
)

// Vault seals the secrets of channels and opens them again. Its zero value is of no use: call NewVault.
type Vault struct {
	aead   cipher.AEAD
	folder string
}

// NewVault makes a vault that seals with key, 32 random bytes that live apart from the database, and reads secrets by
// reference from the files of folder; an empty folder allows none.
func NewVault(key []byte, folder string) (*Vault, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the key of the vault has %d bytes, 32 are needed", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of the vault: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of the vault: %w", err)
	}
	return &Vault{aead: aead, folder: folder}, nil
}

// Seal checks that text can be the secret of a channel of that kind, and seals it for that channel alone: moved to
// another, it does not open.
func (v *Vault) Seal(id engine.ChannelID, kind engine.ChannelKind, text string) (engine.ChannelSecret, error) {
	if err := checkSecret(kind, text); err != nil {
		return engine.ChannelSecret{}, err
	}
	return engine.ChannelSecret{Sealed: v.aead.Seal([]byte{sealVersion}, nil, []byte(text), []byte(id))}, nil //nolint:gosec // the cipher adds a random nonce itself
}

// open gives the secret of a channel; empty where it has none. Its errors name no content.
func (v *Vault) open(c engine.Channel) (opened, error) {
	switch {
	case c.Secret.File != "":
		text, err := v.read(c.Secret.File)
		if err != nil {
			return opened{}, fmt.Errorf("read the secret file %q: %w", c.Secret.File, err)
		}
		return opened{text: text}, checkSecret(c.Kind, text)
	case len(c.Secret.Sealed) > 0:
		if c.Secret.Sealed[0] != sealVersion {
			return opened{}, errors.New("the secret was sealed by another version; set it again")
		}
		text, err := v.aead.Open(nil, nil, c.Secret.Sealed[1:], []byte(c.ID))
		if err != nil {
			return opened{}, errors.New("the secret does not open with this server's key; set it again")
		}
		return opened{text: string(text)}, nil
	default:
		return opened{}, nil
	}
}

func (v *Vault) read(name string) (string, error) {
	if v.folder == "" {
		return "", errors.New("the server has no folder of secrets")
	}
	root, err := os.OpenRoot(v.folder) // refuses names and links that lead out of the folder
	if err != nil {
		return "", errors.New("the folder of secrets cannot be opened")
	}
	defer root.Close() //nolint:errcheck // opened for reading only
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// checkSecret refuses what cannot be a secret of that kind; the message never holds it.
func checkSecret(kind engine.ChannelKind, text string) error {
	if text == "" || len(text) > maxSecret || strings.ContainsAny(text, "\r\n\x00") {
		return access.Fault(access.KindInvalid, "secretInvalid", "the secret must be one line of 1 to %d bytes",
			maxSecret)
	}
	switch kind {
	case engine.Slack, engine.Teams, engine.Lifecycle:
		return engine.CheckURL(text, true)
	case engine.Webhook:
		_, err := signingKeys(text)
		return err
	case engine.PagerDuty:
		if len(text) != 32 || strings.ContainsAny(text, " \t") {
			return access.Fault(access.KindInvalid, "secretInvalid", "PagerDuty's routing key has 32 characters")
		}
	case engine.SMTP:
	}
	return nil
}
