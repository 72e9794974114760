package agentwire

import "github.com/postern-dev/postern/api"

// Enroll is an agent's first message: it shows a token and asks for a certificate.
type Enroll struct {
	Token     string   `json:"token" maxLength:"256"`
	CSR       string   `json:"csr" doc:"Certificate signing request, PEM; only its public key counts." maxLength:"16384"`
	Name      string   `json:"name" doc:"The host's own name, used where the token names none." maxLength:"64"`
	OS        string   `json:"os" maxLength:"32"`
	Addresses []string `json:"addresses,omitempty" maxItems:"64"`
	Version   string   `json:"version" maxLength:"64"`
}

// Enrolled answers an enrollment or a renewal.
type Enrolled struct {
	Agent       string `json:"agent"`
	Machine     string `json:"machine,omitempty" doc:"Id of the machine, in host mode."`
	Name        string `json:"name"`
	Mode        string `json:"mode" enum:"host,gateway"`
	Certificate string `json:"certificate" doc:"The agent's client certificate, PEM."`
	CA          string `json:"ca" doc:"The server's CA certificate, PEM."`
}

// Renew asks for a fresh certificate with the present one.
type Renew struct {
	CSR string `json:"csr" maxLength:"16384"`
}

// Desired is everything that should hold at one agent; the "desired" event of its stream has it as data.
//
// Openings say what remains, in milliseconds counted from the moment the message is sent, so that the agent's wall
// clock does not matter.
type Desired struct {
	Agent      string      `json:"agent"`
	Epoch      string      `json:"epoch,omitempty" doc:"Within which the revision grows. A state of another epoch is newer whatever its revision: the server was restored from a backup."`
	Revision   int64       `json:"revision"`
	Mode       string      `json:"mode"`
	ServerTime int64       `json:"serverTime" doc:"The server's wall clock, microseconds since 1970, to measure skew by."`
	Machines   []Guarded   `json:"machines"`
	Protected  []Protected `json:"protected"`
	Openings   []Opening   `json:"openings"`
	Ended      []string    `json:"ended,omitempty" doc:"Grants that ended and were not yet seen gone: look, and report."`

	Codes []SealedCode `json:"codes,omitempty" doc:"What codes for emergencies are verified by while the server is out of reach."`

	Trials []Trial `json:"trials,omitempty" doc:"What is protected for a time alone unless it is confirmed; protected has it, too."`
}

// Trial says that what is protected of a machine waits to be confirmed. When nothing remains of it and no later state
// was without it, the agent protects what was protected before.
type Trial struct {
	ID              string      `json:"id"`
	Machine         string      `json:"machine"`
	RemainingMillis int64       `json:"remainingMillis"`
	Former          []Protected `json:"former,omitempty" doc:"What was protected of the machine before."`
}

// Guarded is a machine that the agent guards.
type Guarded struct {
	Machine   string   `json:"machine"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
}

// Protected is a port range that is closed unless an opening says otherwise.
type Protected struct {
	Machine  string `json:"machine"`
	Protocol string `json:"protocol"`
	Ports    string `json:"ports"`
	Sessions string `json:"sessions"`
}

// Opening is what is open now.
type Opening struct {
	Machine          string   `json:"machine"`
	Source           string   `json:"source"`
	Protocol         string   `json:"protocol"`
	Ports            string   `json:"ports"`
	RemainingMillis  int64    `json:"remainingMillis"`
	CloseAfterMillis int64    `json:"closeAfterMillis,omitempty"`
	Grants           []string `json:"grants"`
}

// Report is what an agent says it really has.
type Report struct {
	Epoch        string            `json:"epoch,omitempty" maxLength:"64" doc:"Of the revision, as the desired state had it. A report of another epoch than the newest is refused with anotherEpoch: make it again from the desired state that comes."`
	Revision     int64             `json:"revision"`
	SkewMillis   int64             `json:"skewMillis"`
	Observations []Observation     `json:"observations,omitempty" maxItems:"10000"`
	Denied       []Denied          `json:"denied,omitempty" maxItems:"1000"`
	Drift        []string          `json:"drift,omitempty" maxItems:"100"`
	Problem      string            `json:"problem,omitempty" maxLength:"4096"`
	Foreign      []api.ForeignRule `json:"foreign,omitempty" maxItems:"100" doc:"All rules of other firewall tables that touch guarded ports."`
	Version      string            `json:"version" maxLength:"64"`
}

// Observation is what an agent saw of one grant.
type Observation struct {
	Grant   string `json:"grant"`
	Status  string `json:"status" enum:"open,closed,drifted,failed"`
	Detail  string `json:"detail,omitempty" maxLength:"1024"`
	Packets uint64 `json:"packets,omitempty"`
	Bytes   uint64 `json:"bytes,omitempty"`
}

// Denied counts refused attempts to connect to a protected port.
type Denied struct {
	Machine  string `json:"machine"`
	Source   string `json:"source"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
	Count    uint64 `json:"count"`
}

// SealedCode is what an agent verifies a code by.
type SealedCode struct {
	ID              string `json:"id"`
	Machine         string `json:"machine"`
	Hash            string `json:"hash" doc:"SHA-256 of the code without its dashes, hex."`
	MaxSeconds      int64  `json:"maxSeconds" doc:"The longest opening with it."`
	RemainingMillis int64  `json:"remainingMillis" doc:"How long it is good for."`
}

// GlassUse is what an agent says of a code that was used while the server was out of reach.
type GlassUse struct {
	Code         string `json:"code" maxLength:"64" doc:"Its id."`
	Ports        string `json:"ports" maxLength:"16"`
	Protocol     string `json:"protocol" enum:"tcp,udp"`
	Source       string `json:"source" maxLength:"64"`
	OpenedMicros int64  `json:"openedMicros" doc:"By the agent's clock, microseconds since 1970."`
	ForSeconds   int64  `json:"forSeconds" minimum:"1"`
	Reason       string `json:"reason" maxLength:"4096"`
}

// Findings is what an agent found on its host beside what it is asked to enforce. Servers that do not know it answer
// with 404, and are not told again over that connection.
type Findings struct {
	Version string      `json:"version" maxLength:"64"`
	Trials  []TrialSeen `json:"trials,omitempty" maxItems:"1000"`
}

// TrialSeen is what became of a trial at the agent.
type TrialSeen struct {
	ID    string `json:"id" maxLength:"64"`
	State string `json:"state" enum:"inForce,undone" doc:"inForce: the guard is in force, and the agent has connected anew under it. undone: nobody confirmed it in time, and what was protected before is."`
}
