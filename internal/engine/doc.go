// Package engine holds the use cases of Postern: one file and one transaction each.
//
// Every use case begins with its authorization, then loads, lets the pure core decide, and saves the new state, its
// events and the changed revisions of desired state in that one transaction. What happens outside follows from what
// was committed: enforcers pull desired state, notifiers deliver the outbox. The ports that the engine needs are
// declared here and implemented by package store.
package engine
