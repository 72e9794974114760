package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The files below the state folder.
const (
	identityFile    = "agent.json"      // who we are and whom we talk to; written last, so its presence means enrolled
	credentialsFile = "credentials.pem" // private key and certificate in one file, so that they change together
	caFile          = "ca.pem"          // who may sign the server's certificate
	stateFile       = "state.json"      // the last desired state and the instants to count it by
	protectedFile   = "protected.json"  // the last protected ports alone, for when the state cannot be read
)

// DefaultStateDir is where an agent keeps what it must not forget.
const DefaultStateDir = "/var/lib/postern/agent"

// writeFile replaces a file so that a crash at any point leaves the old content or the new, and returns once the new
// one is durable. Nobody but its owner may read it.
func writeFile(dir, name string, data []byte) (err error) {
	temp, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", name, err), ignoreMissing(os.Remove(temp.Name())))
		}
	}()
	if _, err := temp.Write(data); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := giveToOwner(dir, temp); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := temp.Sync(); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func readFile(dir, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // the state folder, from the operator's own configuration
}

// giveToOwner gives a file that root writes to whom its folder belongs: an operator enrolls as root, and the agent,
// which runs as a user of its own, has to read the result.
func giveToOwner(dir string, file *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the state folder, from the operator's own configuration
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes what an interrupted writeFile left behind.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*.*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := ignoreMissing(os.Remove(path)); err != nil {
			return err
		}
	}
	return nil
}
