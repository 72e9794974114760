package engine

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
)

// TokenKeysSetting names the setting that holds the keys that access tokens are signed with, as identity wrote them,
// sealed.
const TokenKeysSetting = "identity/tokenKeys"

// SealKeySize is how many bytes Config.SealKey has.
const SealKeySize = 32

// ErrOtherKey is what Bootstrap fails with where the secrets in the store were sealed with another key than
// Config.SealKey.
var ErrOtherKey = errors.New("the secrets in the database were sealed with another key")

// sealedHead begins a setting that is sealed. Behind it follow the mark of the key, and what AES-256-GCM made of the
// value.
const sealedHead = "postern sealed 1\n"

const markSize = 8

// seal seals the settings that are secret, so that whoever reads the database, or a copy of it, has none of them. The
// name of a setting is bound to its value: a value that was moved to another name does not open.
type seal struct {
	aead cipher.AEAD
	mark []byte // tells one key from another, and nothing else about it
}

func newSeal(key []byte) (seal, error) {
	if len(key) != SealKeySize {
		return seal{}, fmt.Errorf("the key that settings are sealed with has %d bytes, %d are needed", len(key),
			SealKeySize)
	}
	// The key seals other things elsewhere, so it is not used itself.
	own, err := hkdf.Key(sha256.New, key, nil, "postern settings", SealKeySize)
	if err != nil {
		return seal{}, fmt.Errorf("derive the key of settings: %w", err)
	}
	mark, err := hkdf.Key(sha256.New, key, nil, "postern settings mark", markSize)
	if err != nil {
		return seal{}, fmt.Errorf("derive the mark of the key of settings: %w", err)
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return seal{}, fmt.Errorf("make the cipher of settings: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return seal{}, fmt.Errorf("make the cipher of settings: %w", err)
	}
	return seal{aead: aead, mark: mark}, nil
}

func (s seal) close(name string, value []byte) []byte {
	head := append([]byte(sealedHead), s.mark...)
	return s.aead.Seal(head, nil, value, []byte(name)) //nolint:gosec // the cipher makes the nonce itself
}

func (s seal) open(name string, stored []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(stored, []byte(sealedHead))
	if !ok || len(body) < markSize {
		return nil, fmt.Errorf("the setting %s is not sealed", name)
	}
	if !bytes.Equal(body[:markSize], s.mark) {
		return nil, ErrOtherKey
	}
	value, err := s.aead.Open(nil, nil, body[markSize:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("the setting %s is damaged: it was sealed with this key and does not open", name)
	}
	return value, nil
}

// SecretSetting gives a setting that is sealed in the store; none is access.KindNotFound.
func (e *Kernel) SecretSetting(ctx context.Context, r Reader, name string) ([]byte, error) {
	stored, err := r.Setting(ctx, name)
	if err != nil {
		return nil, err
	}
	return e.seal.open(name, stored)
}

// SaveSecretSetting keeps a setting sealed.
func (e *Kernel) SaveSecretSetting(ctx context.Context, tx Tx, name string, value []byte) error {
	return tx.SaveSetting(ctx, name, e.seal.close(name, value))
}

// secretSettings names the settings that are sealed.
func secretSettings() []string { return []string{CheckpointKeySetting, TokenKeysSetting} }

// CheckSeal fails with ErrOtherKey unless Config.SealKey opens what is sealed in the store.
func (e *Kernel) CheckSeal(ctx context.Context, r Reader) error {
	for _, name := range secretSettings() {
		stored, err := r.Setting(ctx, name)
		if IsKind(err, access.KindNotFound) || err == nil && !isSealed(stored) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read setting: %w", err)
		}
		if _, err := e.seal.open(name, stored); err != nil {
			return err
		}
	}
	return nil
}

func isSealed(stored []byte) bool { return bytes.HasPrefix(stored, []byte(sealedHead)) }

// scrubSetting names the setting that says whether plain text that was sealed may still lie in files of the database.
const scrubSetting = "seal/scrub"

// SealPlain seals what an older program kept in plain text. Keys of access tokens that lay open are signed with no
// more: there is no end to who may have read them, and new ones cost nobody more than a sign-in. The key of checkpoints
// stays, since people hold its public part.
func (e *Kernel) SealPlain(ctx context.Context, tx Tx) error {
	for _, name := range secretSettings() {
		stored, err := tx.Setting(ctx, name)
		if IsKind(err, access.KindNotFound) || err == nil && isSealed(stored) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read setting: %w", err)
		}
		if name == TokenKeysSetting {
			stored = nil
		}
		if err := e.SaveSecretSetting(ctx, tx, name, stored); err != nil {
			return fmt.Errorf("seal setting: %w", err)
		}
		if err := tx.SaveSetting(ctx, scrubSetting, []byte("due")); err != nil {
			return fmt.Errorf("save setting: %w", err)
		}
	}
	return nil
}

// Scrub has the store forget the plain text that was sealed, where that is due. Where it cannot be done it stays due.
func (e *Kernel) Scrub(ctx context.Context) error {
	var due []byte
	err := e.Store.View(ctx, func(r Reader) (err error) {
		due, err = r.Setting(ctx, scrubSetting)
		return err
	})
	if IsKind(err, access.KindNotFound) || err == nil && len(due) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read setting: %w", err)
	}
	if err := e.Store.Scrub(ctx); err != nil {
		e.Log.ErrorContext(ctx,
			"keys that an older program kept in plain text are sealed, but may be left in files of the database; "+
				"the next start tries again",
			"error", err)
		return nil
	}
	e.Log.InfoContext(ctx, "keys that an older program kept in plain text are sealed")
	return e.Store.Update(ctx, func(tx Tx) error { return tx.SaveSetting(ctx, scrubSetting, nil) })
}

// CheckpointKeySetting names the setting that holds the private key of checkpoints, sealed.
const CheckpointKeySetting = "audit/checkpointKey"
