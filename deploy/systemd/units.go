// Package systemd holds the units with which systemd runs the server, the agent and its guard.
package systemd

import "embed"

// Files are the units, and the user that they run as.
//
//go:embed *.service *.conf nftables.service.d/*.conf
var Files embed.FS
