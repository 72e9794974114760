package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/core/access"
)

// Keys of access tokens.
const (
	keyTime  = 30 * 24 * time.Hour // a key signs so long
	keysKept = 3                   // the one that signs, and those before it: far longer than a token lasts
	keyFresh = 10 * time.Second    // after which another replica's new key is looked for again
)

// tokenKey is one key of access tokens, as it is stored.
type tokenKey struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	Private   []byte    `json:"private"` // PKCS 8; the engine seals it

	key *ecdsa.PrivateKey
}

// tokenKeys are the keys that access tokens are signed with, shared by all replicas through the store's settings. The
// newest signs.
type tokenKeys struct {
	engine interface {
		TokenKeys(ctx context.Context) ([]byte, error)
		SwapTokenKeys(ctx context.Context, was, next []byte) error
	}
	now func() time.Time

	mu     sync.Mutex // protects what follows
	stored []byte
	keys   []tokenKey // the newest first
	readAt time.Time
}

// signing gives the key that signs now, making a new one where the newest is too old.
func (k *tokenKeys) signing(ctx context.Context) (tokenKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for range 5 {
		if len(k.keys) > 0 && k.now().Sub(k.keys[0].CreatedAt) < keyTime {
			return k.keys[0], nil
		}
		if err := k.read(ctx); err != nil {
			return tokenKey{}, err
		}
		if len(k.keys) > 0 && k.now().Sub(k.keys[0].CreatedAt) < keyTime {
			return k.keys[0], nil
		}
		if err := k.rotate(ctx); err != nil && access.KindOf(err) != access.KindConflict {
			return tokenKey{}, err
		}
	}
	return tokenKey{}, errors.New("the keys of tokens change all the time")
}

// verifying gives the key with that id. One that is not known may be new: it is looked for, though not all the time.
func (k *tokenKeys) verifying(ctx context.Context, id string) (tokenKey, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.find(id); ok || k.now().Sub(k.readAt) < keyFresh && len(k.keys) > 0 {
		return key, ok, nil
	}
	if err := k.read(ctx); err != nil {
		return tokenKey{}, false, err
	}
	key, ok := k.find(id)
	return key, ok, nil
}

func (k *tokenKeys) find(id string) (tokenKey, bool) {
	for _, key := range k.keys {
		if key.ID == id {
			return key, true
		}
	}
	return tokenKey{}, false
}

// public gives the public parts, for clients that check signatures.
func (k *tokenKeys) public(ctx context.Context) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if _, err := k.signing(ctx); err != nil {
		return set, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		set.Keys = append(set.Keys,
			jose.JSONWebKey{Key: key.key.Public(), KeyID: key.ID, Algorithm: string(jose.ES256), Use: "sig"})
	}
	return set, nil
}

func (k *tokenKeys) read(ctx context.Context) error {
	stored, err := k.engine.TokenKeys(ctx)
	if err != nil {
		return fmt.Errorf("read the keys of tokens: %w", err)
	}
	var keys []tokenKey
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &keys); err != nil {
			return fmt.Errorf("read the keys of tokens: %w", err)
		}
	}
	for i := range keys {
		if err := keys[i].open(); err != nil {
			return err
		}
	}
	k.stored, k.keys, k.readAt = stored, keys, k.now()
	return nil
}

func (key *tokenKey) open() error {
	parsed, err := x509.ParsePKCS8PrivateKey(key.Private)
	if err != nil {
		return fmt.Errorf("read a key of tokens: %w", err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("a key of tokens is a %T", parsed)
	}
	key.key = private
	return nil
}

// rotate puts a new key before those that there are, and stores them.
func (k *tokenKeys) rotate(ctx context.Context) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key of tokens: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("write a key of tokens: %w", err)
	}
	fresh := tokenKey{
		Private: der, ID: base64.RawURLEncoding.EncodeToString(random(12)), CreatedAt: k.now().UTC(),
		key: private,
	}
	keys := append([]tokenKey{fresh}, k.keys...)
	keys = keys[:min(len(keys), keysKept)]
	text, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("write the keys of tokens: %w", err)
	}
	if err := k.engine.SwapTokenKeys(ctx, k.stored, text); err != nil {
		return err
	}
	k.stored, k.keys, k.readAt = text, keys, k.now()
	return nil
}
