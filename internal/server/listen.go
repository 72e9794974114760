package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens the server's listeners. Until it serves, the kernel lets callers wait.
func (s *server) listen(ctx context.Context) (err error) {
	if s.listener, err = listenAt(ctx, "listen", s.config.Listen); err != nil {
		return err
	}
	if s.config.MetricsListen != off && s.config.MetricsListen != "" {
		s.figures, err = listenAt(ctx, "metricsListen", s.config.MetricsListen)
	}
	return err
}

// listenAt opens one listener; key is the setting that its address comes from.
func listenAt(ctx context.Context, key, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%s is in use by another program; stop that one, or choose another address: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		err = fmt.Errorf("%s needs a privilege that the server lacks; choose a port above 1023: %w", address, err)
	default:
		err = fmt.Errorf("%s cannot be listened at: %w", address, err)
	}
	return nil, &KeyError{Key: key, Err: err}
}
