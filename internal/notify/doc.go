// Package notify delivers the outbox: by mail, to Slack and Teams, to signed webhooks and to PagerDuty.
//
// The engine enqueues notifications in the transaction of the change that they tell of. A Dispatcher turns each into
// deliveries, one for each channel and recipient that a route names, and carries them out after the commit: at least
// once, in order for one request and receiver, again after failures with growing pauses, and in the end on the list of
// the dead. Each channel has a worker of its own, so that a slow receiver delays nobody else, and any number of
// replicas may work on one store: a claim is a compare-and-swap with a lease.
//
// Secrets of channels are opened for the moment of sending, and stand neither in logs nor in errors.
package notify
