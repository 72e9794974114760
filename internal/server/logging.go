package server

import (
	"io"
	"log/slog"
)

// newLog makes the structured log.
func newLog(w io.Writer, format, level string) *slog.Logger {
	options := &slog.HandlerOptions{Level: levelOf(level)}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
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
