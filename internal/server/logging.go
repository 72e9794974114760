package server

import (
	"io"
	"log/slog"

	"github.com/postern-dev/postern/internal/logging"
)

// newLog makes the structured log; nobody waits for whatever reads it.
func newLog(w io.Writer, format, level string) *slog.Logger {
	options := &slog.HandlerOptions{Level: levelOf(level)}
	return logging.New(w, func(w io.Writer) slog.Handler {
		if format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	})
}

func levelOf(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
