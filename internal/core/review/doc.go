// Package review says what an access review is: who has access at a scope is listed, reviewers confirm each entry or
// remove it by a due date, and what came of it is proved offline. It is pure.
package review
