// Package armapi is the Azure-compatible API: unmodified Azure clients call it as they would call Azure Resource
// Manager. It has its own routes, error envelope and api-versions, and no semantics: every operation is a call of the
// engine's.
package armapi
