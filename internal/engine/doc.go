// Package engine is the kernel of every use case: who calls and what they may do, one transaction with its events,
// notices and grants, the record of a refusal, and the ports that a store implements. The use cases stand in the
// packages below, one for each capability; each reads top to bottom as a paragraph: authorize, load, decide by core,
// save with its events.
package engine
