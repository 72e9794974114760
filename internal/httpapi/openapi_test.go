package httpapi_test

import (
	"bytes"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/httpapi"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/notify"
)

var update = flag.Bool("update", false, "write generated files anew")

func documentPath() string { return filepath.Join("..", "..", "api", "openapi.yaml") }

// described makes an API that can describe itself and nothing else.
func described(t *testing.T) *httpapi.API {
	t.Helper()
	a, err := httpapi.New(httpapi.Config{
		Engine: &services.Services{}, Identity: &identity.Identity{}, Title: notify.Title, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOpenAPI proves that the committed document is what the handlers and their Go types say.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	got := described(t).Document()
	if *update {
		if err := os.WriteFile(documentPath(), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(documentPath())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("api/openapi.yaml is not what the handlers say; run: make generate\n%s",
			cmp.Diff(string(want), string(got)))
	}
}

// TestDocumentIsStable proves that two servers describe themselves alike, whatever order their maps are in.
func TestDocumentIsStable(t *testing.T) {
	t.Parallel()
	first := described(t).Document()
	for range 5 {
		if !bytes.Equal(first, described(t).Document()) {
			t.Fatal("the document changes from one start to the next")
		}
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for kind, want := range map[access.Kind]int{
		access.KindInvalid: 400, access.KindUnauthenticated: 401, access.KindForbidden: 403, access.KindNotFound: 404,
		access.KindConflict: 409, access.KindLimited: 429, access.KindUnavailable: 503, access.KindInternal: 500,
		"no such kind": 500,
	} {
		if got := httpapi.StatusOf(kind); got != want {
			t.Errorf("StatusOf(%q) = %d, want %d", kind, got, want)
		}
	}
}
