package store

import (
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// notificationRecord is the nested part of a notification's row.
type notificationRecord struct {
	Policies   []access.PolicyID    `json:"policies,omitempty"`
	Recipients []access.PrincipalID `json:"recipients,omitempty"`
	Address    string               `json:"address,omitempty"`
	Who        string               `json:"who,omitempty"`
	Items      []subjectItemRecord  `json:"items,omitempty"`
	Start      int64                `json:"start,omitempty"` // microseconds
	End        int64                `json:"end,omitempty"`   // microseconds
	Reason     string               `json:"reason,omitempty"`
	Ticket     string               `json:"ticket,omitempty"`
	By         string               `json:"by,omitempty"`
	Outcome    string               `json:"outcome,omitempty"`
	Detail     string               `json:"detail,omitempty"`
	Title      string               `json:"title,omitempty"`
	Severity   string               `json:"severity,omitempty"`
	Unended    int                  `json:"unended,omitempty"`
	Duration   int64                `json:"duration,omitempty"` // nanoseconds
	Windows    int                  `json:"windows,omitempty"`
	CodeOf     string               `json:"codeOf,omitempty"`
	Lifecycle  lifecycleRecord      `json:"lifecycle,omitzero"`
}

type lifecycleRecord struct {
	Channel     engine.ChannelID   `json:"channel"`
	Event       string             `json:"event"`
	Application access.ResourceID  `json:"application"`
	Definition  access.ResourceID  `json:"definition"`
	State       string             `json:"state,omitempty"`
	What        string             `json:"what,omitempty"`
	Principal   access.PrincipalID `json:"principal,omitempty"`
}

type subjectItemRecord struct {
	Role     string          `json:"role,omitempty"`
	Machine  string          `json:"machine"`
	Ports    portsRecord     `json:"ports"`
	Protocol access.Protocol `json:"protocol"`
	Sources  []netip.Prefix  `json:"sources,omitempty"`
}

func notificationRecordOf(n engine.Notification) notificationRecord {
	s := n.Subject
	r := notificationRecord{
		Policies: n.Policies, Recipients: n.Recipients, Address: n.Address, Who: s.Who, Start: micros(s.Start),
		End: micros(s.End), Reason: s.Reason, Ticket: s.Ticket,
		By: s.By, Outcome: s.Outcome, Detail: s.Detail, Title: s.Title, Severity: s.Severity, Unended: s.Unended,
		Duration: int64(s.Duration), Windows: s.Windows, CodeOf: s.CodeOf, Lifecycle: lifecycleRecord(n.Lifecycle),
	}
	for _, i := range s.Items {
		r.Items = append(r.Items, subjectItemRecord{
			Role: i.Role, Machine: i.Machine, Ports: portsRecord(i.Ports), Protocol: i.Protocol, Sources: i.Sources,
		})
	}
	return r
}

// onto completes a notification with what the record holds.
func (r notificationRecord) onto(n engine.Notification) engine.Notification {
	n.Policies, n.Recipients, n.Address, n.Lifecycle = r.Policies, r.Recipients, r.Address, engine.LifecycleEvent(
		r.Lifecycle)
	n.Subject = engine.Subject{
		Who: r.Who, Start: instant(r.Start), End: instant(r.End), Reason: r.Reason, Ticket: r.Ticket, By: r.By,
		Outcome: r.Outcome,
		Detail:  r.Detail, Title: r.Title, Severity: r.Severity, Unended: r.Unended,
		Duration: time.Duration(r.Duration), Windows: r.Windows, CodeOf: r.CodeOf,
	}
	for _, i := range r.Items {
		n.Subject.Items = append(n.Subject.Items, engine.SubjectItem{
			Role: i.Role, Machine: i.Machine, Ports: access.PortRange(i.Ports), Protocol: i.Protocol,
			Sources: i.Sources,
		})
	}
	return n
}

// channelRecord is the nested part of a channel's row; the sealed secret has a column of its own.
type channelRecord struct {
	URL          string     `json:"url,omitempty"`
	Mail         mailRecord `json:"mail,omitzero"`
	CA           string     `json:"ca,omitempty"`
	AllowPrivate bool       `json:"allowPrivate,omitempty"`
	SecretFile   string     `json:"secretFile,omitempty"`
}

type mailRecord struct {
	Host     string         `json:"host,omitempty"`
	Port     int            `json:"port,omitempty"`
	TLS      engine.MailTLS `json:"tls,omitempty"`
	Username string         `json:"username,omitempty"`
	From     string         `json:"from,omitempty"`
	FromName string         `json:"fromName,omitempty"`
	Helo     string         `json:"helo,omitempty"`
}
