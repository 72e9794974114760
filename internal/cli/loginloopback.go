package cli

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"time"
)

// browserPatience is how long a person has to do in the browser what is asked of them there.
const browserPatience = 10 * time.Minute

const maxForm = 64 << 10

// loopback waits at a port of the loopback interface for what a browser on this machine brings.
type loopback struct {
	URL   string // where the browser is to go
	State string // what it is to bring along: nobody else knows it

	listener net.Listener
}

func listenForBrowser(ctx context.Context) (*loopback, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wait for the browser: %w", err)
	}
	return &loopback{URL: "http://" + listener.Addr().String() + "/", State: rand.Text(), listener: listener}, nil
}

// receive gives the field of that name of the first call with the right state, and tells the person that it is done.
func (l *loopback) receive(ctx context.Context, name string) (string, error) {
	brought := make(chan string, 1)
	waiting := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			value := r.FormValue(name)
			if r.URL.Path != "/" || value == "" || subtle.ConstantTimeCompare([]byte(r.FormValue("state")),
				[]byte(l.State)) != 1 {
				http.Error(w, "This is not the answer that postern expects.", http.StatusBadRequest)
				return
			}
			select {
			case brought <- value:
			default:
			}
			_, _ = fmt.Fprintln(w, "Done. Close this page and return to the terminal.")
		}),
	}
	go func() { _ = waiting.Serve(l.listener) }()
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = waiting.Shutdown(stop) // what is being answered is answered
	}()
	ctx, cancel := context.WithTimeout(ctx, browserPatience)
	defer cancel()
	select {
	case value := <-brought:
		return value, nil
	case <-ctx.Done():
		return "", fail(exitRefused, "Run the command again.", "no answer from the browser within %s", browserPatience)
	}
}
