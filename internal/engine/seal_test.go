package engine_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
)

func hashed(p string) (string, error) { return "hash of " + p, nil }

// settings gives what the store holds under the names of the secret settings.
func (w *world) settings() map[string][]byte {
	w.tb.Helper()
	all := map[string][]byte{}
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		for _, name := range []string{"audit/checkpointKey", "identity/tokenKeys"} {
			value, err := r.Setting(w.ctx, name)
			if err != nil {
				return err
			}
			all[name] = value
		}
		return nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return all
}

func (w *world) setting(name string, value []byte) {
	w.tb.Helper()
	if err := w.store.Update(w.ctx, func(tx engine.Tx) error { return tx.SaveSetting(w.ctx, name, value) }); err != nil {
		w.tb.Fatal(err)
	}
}

// sealedBy makes an engine with another key on the same store.
func (w *world) sealedBy(key byte) *services.Services {
	w.tb.Helper()
	return w.another(func(c *services.Config) { c.SealKey = bytes.Repeat([]byte{key}, engine.SealKeySize) })
}

// TestKeysAreSealed proves that the store alone gives nobody a key that signs, that a key for one purpose is not taken
// for another, and that one that somebody wrote into the database is not signed with.
func TestKeysAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const secret = "the keys of tokens"
	if err := w.Directory.SwapTokenKeys(w.ctx, nil, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	stored := w.settings()
	for name, value := range stored {
		if bytes.Contains(value, []byte("PRIVATE")) || bytes.Contains(value, []byte(secret)) {
			t.Errorf("%s is kept as %q", name, value)
		}
	}
	if got, err := w.another().Directory.TokenKeys(w.ctx); err != nil || string(got) != secret {
		t.Errorf("another engine with the same key reads %q, %v", got, err)
	}
	if err := w.Directory.SwapTokenKeys(w.ctx, []byte("others"),
		[]byte("more")); access.KindOf(err) != access.KindConflict {
		t.Errorf("swapping keys that are others gave %v", err)
	}
	for what, value := range map[string][]byte{
		"plain keys": []byte("[]"), "another setting's": stored["audit/checkpointKey"],
		"cut ones": stored["identity/tokenKeys"][:20], "nothing": {},
		"changed ones": append(bytes.Clone(stored["identity/tokenKeys"]), 1),
	} {
		w.setting("identity/tokenKeys", value)
		if got, err := w.Directory.TokenKeys(w.ctx); err == nil {
			t.Errorf("%s in the database are taken as %q", what, got)
		}
	}
	w.setting("audit/checkpointKey", []byte("PRIVATE+KEY+x+1+y"))
	if _, err := w.Records.Checkpoint(w.ctx, w.admin); err == nil {
		t.Error("a plain key in the database signs a checkpoint")
	}
}

// TestSealKeyMustBeTheOne proves that an engine with another key does not start, changes nothing, and that the right
// one still does.
func TestSealKeyMustBeTheOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Directory.SwapTokenKeys(w.ctx, nil, []byte("keys")); err != nil {
		t.Fatal(err)
	}
	before, size := w.settings(), w.size()
	if _, err := w.sealedBy(9).Directory.Bootstrap(w.ctx, hashed); !errors.Is(err, engine.ErrOtherKey) {
		t.Errorf("with another key: %v", err)
	}
	if after := w.settings(); w.size() != size || !bytes.Equal(after["identity/tokenKeys"],
		before["identity/tokenKeys"]) {
		t.Error("the start with another key changed something")
	}
	if _, err := w.another().Directory.Bootstrap(w.ctx, hashed); err != nil {
		t.Errorf("with the right key again: %v", err)
	}
	for _, key := range [][]byte{nil, make([]byte, 16)} {
		if _, err := services.New(services.Config{
			Store: w.store, Now: w.clock.now, Log: slog.New(slog.DiscardHandler),
			SealKey: key,
		}); err == nil {
			t.Errorf("a key of %d bytes is taken", len(key))
		}
	}
}

// TestPlainKeysAreSealedAtTheStart proves what becomes of what an older program kept: the key of checkpoints stays the
// same, sealed, and the keys of tokens sign nothing more.
func TestPlainKeysAreSealedAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const plain = "PRIVATE+KEY+5c1fc8e1-179b-47db-8e10-d3998f9c05b5+e933026d+AQuNMc9/MgfjP39kG8eSE2MEUjxjlnx/6VfudDDfYjvj"
	w.setting("audit/checkpointKey", []byte(plain))
	w.setting("identity/tokenKeys", []byte(`[{"id":"a","private":"MIGH"}]`))
	if _, err := w.another().Directory.Bootstrap(w.ctx, hashed); err != nil {
		t.Fatal(err)
	}
	for name, value := range w.settings() {
		if strings.Contains(string(value), "PRIVATE") || strings.Contains(string(value), "MIGH") {
			t.Errorf("%s is kept as %q", name, value)
		}
	}
	if keys, err := w.Directory.TokenKeys(w.ctx); err != nil || len(keys) > 0 {
		t.Errorf("keys that lay open are still used: %q, %v", keys, err)
	}
	if d := must(w.Records.Checkpoint(w.ctx, w.admin))(
		t); !strings.HasPrefix(d.Key, "5c1fc8e1-179b-47db-8e10-d3998f9c05b5+e933026d+") {
		t.Errorf("checkpoints are signed with %s", d.Key)
	}
}
