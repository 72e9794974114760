package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folder is the data folder, held by one server at a time.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the data folder where it is missing, and takes hold of it.
func openFolder(path string) (*folder, error) {
	refuse := func(err error) (*folder, error) { return nil, &KeyError{Key: "data", Err: err} }
	if err := os.MkdirAll(path, 0o700); err != nil {
		return refuse(fmt.Errorf("the folder cannot be made: %w", err))
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return refuse(fmt.Errorf("the folder cannot be written to; give it to the user that the server runs as: %w",
			err))
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err := errors.Join(err, lock.Close())
		if errors.Is(err, unix.EWOULDBLOCK) {
			return refuse(fmt.Errorf("another server uses %s; stop it, or name another folder", path))
		}
		return refuse(fmt.Errorf("lock %s: %w", path, err))
	}
	return &folder{path: path, lock: lock}, nil
}

// Close lets go of the folder.
func (f *folder) Close() error { return f.lock.Close() }
