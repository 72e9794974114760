// Package rbac answers "may this principal do this action at this scope at this time, and why" with the model of
// Azure RBAC: actions with wildcards, scopes by prefix, groups, and assignments that may have a start and an end.
// It is pure.
package rbac
