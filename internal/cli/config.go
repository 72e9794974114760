package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// config is what a sign-in leaves behind for the commands that follow.
type config struct {
	Server   string `json:"server"`
	CA       string `json:"ca,omitempty"` // PEM; empty trusts the system's authorities
	User     string `json:"user,omitempty"`
	Token    string `json:"token,omitempty"`
	AuditKey string `json:"auditKey,omitempty"` // the activity log's verifier key, as first seen
}

func (a *app) configPath() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	if path := a.getenv("POSTERN_CONFIG"); path != "" {
		return path, nil
	}
	if folder := configFolder(runtime.GOOS, a.getenv); folder != "" {
		return filepath.Join(folder, "postern", "config.json"), nil
	}
	return "", fail(exitUsage, "Set POSTERN_CONFIG or use --config.", "no home directory to store the sign-in in")
}

// configFolder returns the folder in which programs keep what is the user's own, or "" where the environment names
// none. On Windows it is readable by the user alone; elsewhere the file's mode sees to that.
func configFolder(goos string, getenv func(string) string) string {
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	if goos == "windows" {
		return getenv("AppData") // HOME is there in some shells only
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config")
	}
	return ""
}

// stored reads the configuration file alone; a missing one is empty.
func (a *app) stored() (config, error) {
	path, err := a.configPath()
	if err != nil {
		return config{}, err
	}
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil
	}
	if err != nil {
		return config{}, err
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return config{}, fail(exitError, "Sign in again with: postern login", "%s is not readable: %w", path, err)
	}
	return c, nil
}

// effective is the stored configuration with what the environment overrides.
func (a *app) effective() (config, error) {
	var c config
	if a.getenv("POSTERN_SERVER") == "" || a.getenv("POSTERN_TOKEN") == "" {
		var err error
		if c, err = a.stored(); err != nil {
			return config{}, err
		}
	}
	if server := a.getenv("POSTERN_SERVER"); server != "" && server != c.Server {
		c = config{Server: server} // a token and a CA are good for their own server only
	}
	if token := a.getenv("POSTERN_TOKEN"); token != "" {
		c.Token = token
	}
	if file := a.getenv("POSTERN_CA"); file != "" {
		pem, err := os.ReadFile(file) //nolint:gosec // the user names the file
		if err != nil {
			return config{}, fail(exitUsage, "POSTERN_CA must name a file with the server's CA certificate.", "%w", err)
		}
		c.CA = string(pem)
	}
	return c, nil
}

// save writes the configuration file, readable by its owner alone, in one step.
func (a *app) save(c config) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".config-*") // 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(append(data, '\n'))
	if err := errors.Join(err, temp.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), path)
}
