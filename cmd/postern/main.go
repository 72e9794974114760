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

	"github.com/postern-dev/postern/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks to stop; a second one ends the program at once
	process := cli.Process{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		Local: time.Local,
	}
	code := cli.Main(ctx, process, os.Args[1:])
	stop()
	os.Exit(code) //nolint:forbidigo // this is main
}
