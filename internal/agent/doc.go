// Package agent is the host side: it enrolls a host, follows the desired state that the server sends, keeps the kernel
// equal to it through package enforce, reports what the kernel really holds, and survives being offline.
//
// Three clocks meet here. The boot-time clock, which runs on through a suspend and which nobody sets, is the only one
// that openings are counted on. The host's wall clock serves to see how far it is from the server's, and to tell after
// a reboot how much time has passed. The server's wall clock is only ever read from its messages.
package agent
