// Package store keeps everything in SQLite or PostgreSQL behind the engine's ports. It never decides and never reads a
// clock.
//
// One SQL text serves both engines. Reads run in read transactions that are always rolled back. Changes of concurrent
// callers are committed together: commit.go says how.
package store
