// Package policy decides whether a request lies within its policy, says every reason where it does not, and says
// which approval it needs. It is pure.
package policy
