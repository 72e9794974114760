package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
)

// sealKeyName is the file with the key that everything secret in the database is sealed with: the keys that sign access
// tokens and checkpoints, and the secrets of channels. It lives in the data folder, never in the database, and servers
// that share a database share it. Its name is that of the first use it had: backups and replicas know it by that.
const sealKeyName = "notify.key"

// sealKey is that key.
type sealKey struct {
	bytes []byte
	path  string
	made  bool // by this start
}

// sealKey reads the key, and makes it where it is missing.
func (f *folder) sealKey() (k sealKey, err error) {
	k.path = filepath.Join(f.path, sealKeyName)
	k.bytes, err = os.ReadFile(k.path)
	switch {
	case err == nil && len(k.bytes) != engine.SealKeySize:
		return k, &KeyError{
			Key: "data",
			Err: fmt.Errorf("%s has %d bytes and not %d: put back the one from the backup", sealKeyName, len(k.bytes),
				engine.SealKeySize),
		}
	case err == nil:
		return k, nil
	case !errors.Is(err, fs.ErrNotExist):
		return k, &KeyError{Key: "data", Err: fmt.Errorf("read %s: %w", sealKeyName, err)}
	}
	k.bytes, k.made = make([]byte, engine.SealKeySize), true
	_, _ = rand.Read(k.bytes) // never fails
	// whole or not at all: what is sealed rests on it
	if err := identity.WriteFile(k.path, k.bytes, 0o600); err != nil {
		return k, &KeyError{Key: "data", Err: fmt.Errorf("write %s: %w", sealKeyName, err)}
	}
	return k, nil
}

// explain says what to do where the database was sealed with another key. One that this start made goes again, so that
// the right one is missed and not overwritten.
func (k sealKey) explain(err error) error {
	if !errors.Is(err, engine.ErrOtherKey) {
		return err
	}
	const todo = "copy " + sealKeyName + " from the data folder of a server that shares this database, or from the " +
		"backup that belongs to it"
	if !k.made {
		return &KeyError{Key: "data", Err: fmt.Errorf("%w than %s holds: %s", err, k.path, todo)}
	}
	err = &KeyError{
		Key: "data",
		Err: fmt.Errorf("%s is missing, and the secrets in the database are sealed with it: %s", k.path, todo),
	}
	return errors.Join(err, os.Remove(k.path))
}
