// Command postern is the whole of Postern in one binary: the server, the agent, the demonstration and the commands
// with which people ask for access and give it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // working hours name time zones, which not every host has
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks to stop; a second one ends the program at once
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now, local: time.Local}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code) //nolint:forbidigo // this is main
}
