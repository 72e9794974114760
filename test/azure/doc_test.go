// Package azure_test runs unmodified Azure clients against a whole server: over TLS with its own CA, and down to the
// firewall of a kernel.
package azure_test
