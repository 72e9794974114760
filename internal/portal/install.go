package portal

import (
	"bytes"
	"net/http"
	"os"
	"runtime"
	"text/template"

	"github.com/postern-dev/postern/deploy/systemd"
	"github.com/postern-dev/postern/internal/core/access"
)

// installFolder is where a machine that is to be guarded gets what it needs: a script, and this program itself. Nothing
// of it is secret; what lets a machine enroll is its token.
const installFolder = "/install/"

const programName = "postern"

// authorityName is the certificate of the server's authority: what shows who the server is says so at each handshake
// too, and whoever takes it compares its fingerprint with what the server printed.
const authorityName = "ca.pem"

// install serves what a machine installs the agent from. Fetching counts by address, as signing in does.
func (v *visit) install(name string) {
	if err := v.portal.config.Identity.AllowAnonymous(v.address); err != nil {
		v.fail(err)
		return
	}
	switch name {
	case "agent.sh":
		script, err := installScript()
		if err != nil {
			v.fail(err)
			return
		}
		v.w.Header().Set("Content-Type", "text/x-shellscript; charset=utf-8")
		v.w.Write(script) //nolint:errcheck,gosec // the caller may be gone, and there is nobody else to tell
	case authorityName:
		v.w.Header().Set("Content-Type", "application/x-pem-file")
		v.w.Write(v.portal.config.Identity.CA().PEM()) //nolint:errcheck,gosec // the caller may be gone
	case programName:
		path, err := os.Executable()
		if err != nil {
			v.fail(err)
			return
		}
		v.w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(v.w, v.Request, path)
	default:
		v.fail(access.Fault(access.KindNotFound, "unknownFile",
			"there is no such file to install: the script is %[1]sagent.sh, and the certificate of the authority "+
				"%[1]s%[2]s",
			installFolder, authorityName))
	}
}

// installScript gives the script with the units of this version in it.
func installScript() ([]byte, error) {
	text, err := files.ReadFile("pages/agent.sh")
	if err != nil {
		return nil, err
	}
	script, err := template.New("agent.sh").Parse(string(text))
	if err != nil {
		return nil, err
	}
	units := map[string]string{}
	for name, file := range map[string]string{
		"Agent": "postern-agent.service", "Guard": "postern-guard.service",
		"Flushed": "nftables.service.d/postern.conf", "Users": "postern.sysusers.conf",
	} {
		unit, err := systemd.Files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		units[name] = string(unit)
	}
	units["Arch"] = runtime.GOARCH
	var out bytes.Buffer
	err = script.Execute(&out, units)
	return out.Bytes(), err
}
