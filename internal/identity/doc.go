// Package identity finds out who is calling: people by password and session, agents by client certificate, and where
// from. It never decides what a caller may do.
package identity
