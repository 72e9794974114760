package store

import "github.com/postern-dev/postern/internal/core/access"

// foreignRecord is a rule of another firewall table in the row of an agent.
type foreignRecord struct {
	Table    string               `json:"table"`
	Chain    string               `json:"chain"`
	Effect   access.ForeignEffect `json:"effect"`
	Protocol access.Protocol      `json:"protocol,omitempty"`
	Ports    portsRecord          `json:"ports"`
	Text     string               `json:"text"`
}

func foreignRecords(rules []access.ForeignRule) []foreignRecord {
	records := make([]foreignRecord, 0, len(rules))
	for _, r := range rules {
		records = append(records, foreignRecord{r.Table, r.Chain, r.Effect, r.Protocol, portsRecord(r.Ports), r.Text})
	}
	return records
}

func foreignRules(records []foreignRecord) []access.ForeignRule {
	var rules []access.ForeignRule
	for _, r := range records {
		rules = append(rules,
			access.ForeignRule{
				Table: r.Table, Chain: r.Chain, Effect: r.Effect, Protocol: r.Protocol,
				Ports: access.PortRange(r.Ports), Text: r.Text,
			})
	}
	return rules
}
