//go:build !race

package server_test

// raced says that the race detector is in, which takes several times the memory.
const raced = false
