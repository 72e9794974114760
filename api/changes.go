package api

// Changes is the data of a "changes" event: what kinds of thing changed in the caller's tenant, not which.
type Changes struct {
	Seq   int64    `json:"seq" doc:"Of the newest record of the activity log."`
	Kinds []string `json:"kinds" doc:"The first words of the kinds of record that came, such as grant; empty in the first message."`
}

// Heartbeat is the data of a "heartbeat" event, which streams send every 15 seconds.
type Heartbeat struct {
	ServerTime int64 `json:"serverTime"`
}
