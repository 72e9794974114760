package cli

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// Commands that agree to something, or keep a part of what they read, say what they have read: the server refuses it
// where that is another by now.
func TestCommandsSayWhatTheyHaveRead(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"app create other --definition vendor/shop": "POST /api/v1/applications  vendor-shop agreed",
		"app refresh shop --yes":                    "POST /api/v1/applications/the-shop/refresh   agreed",
		"app set shop --max 1h":                     `PATCH /api/v1/applications/the-shop "7"  `,
	} {
		var sent string
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := func(status int, v any) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_ = json.NewEncoder(w).Encode(v)
			}
			switch {
			case r.Method != http.MethodGet:
				var body struct{ Definition, DefinitionDigest string }
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Error(err)
				}
				sent = strings.Join([]string{
					r.Method, r.URL.Path, r.Header.Get("If-Match"), body.Definition, body.DefinitionDigest,
				}, " ")
				answer(http.StatusConflict, api.Problem{Status: http.StatusConflict, Code: "changed"})
			case strings.Contains(r.URL.Path, "application-definitions"):
				answer(http.StatusOK, api.ApplicationDefinition{
					ID: "vendor-shop", Name: "shop", Digest: "agreed",
					ApplicationDefinitionInput: api.ApplicationDefinitionInput{JIT: api.ApplicationOffer{Available: true}},
				})
			default:
				answer(http.StatusOK, api.Application{
					ID: "the-shop", Name: "shop", Definition: "vendor-shop", Revision: 7,
					Settings: api.ApplicationSettings{JIT: true},
				})
			}
		}))
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		conf, err := json.Marshal(config{Server: server.URL, CA: string(ca), Token: "t"})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, conf, 0o600); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		code := Main(t.Context(), Process{
			In: strings.NewReader(""), Out: io.Discard, Err: &said, Getenv: func(string) string { return "" },
			Now: time.Now, Local: time.UTC,
		}, append(strings.Fields(line), "--config", path))
		server.Close()
		if code != exitConflict || sent != want {
			t.Errorf("%s: exit code %d, sent %q, want %q\n%s", line, code, sent, want, said.String())
		}
	}
}

// All that a customer gives or loses by an update is said before it is accepted.
func TestAnUpdateIsShownWhole(t *testing.T) {
	t.Parallel()
	given := func(role string, most int64) api.ApplicationAuthorization {
		return api.ApplicationAuthorization{
			Principal: "vendors", PrincipalID: "v", Kind: "group", Role: role, MaxSeconds: most,
		}
	}
	v := api.Application{
		Name: "shop", Version: "1.0.0", LockLevel: "ReadOnly", Settings: api.ApplicationSettings{JIT: true},
		Authorizations: []api.ApplicationAuthorization{given("Contributor", 3600), given("Reader", 0)},
		JIT:            api.ApplicationOffer{Available: true, MaxSeconds: 7200},
	}
	d := api.ApplicationDefinition{
		Name: "shop", Publisher: "vendor",
		ApplicationDefinitionInput: api.ApplicationDefinitionInput{
			Version: "1.0.1", LockLevel: v.LockLevel, Authorizations: v.Authorizations, JIT: v.JIT,
		},
	}
	head := "Accepting version 1.0.1 of shop by vendor, instead of 1.0.0:"
	const activate = " for the group vendors, to activate, as your settings allow, for at most "
	for name, c := range map[string]struct {
		change func(*api.Application, *api.ApplicationDefinition)
		want   []string
	}{
		"nothing": {func(*api.Application, *api.ApplicationDefinition) {}, []string{"changes no role and no lock"}},
		"more": {func(_ *api.Application, d *api.ApplicationDefinition) {
			d.Authorizations = []api.ApplicationAuthorization{given("Owner", 0), given("Reader", 0)}
			d.LockLevel, d.AllowedActions = "None", []string{"*/delete"}
			d.AllowedDataActions = []string{"*"}
		}, []string{
			"gives Owner" + activate + "2h", "removes Contributor" + activate + "1h",
			"changes the lock on the managed resource group from ReadOnly to None",
			"changes the actions that the lock allows from none to */delete",
			"changes the data actions that the lock allows from none to *",
		}},
		"longer": {func(_ *api.Application, d *api.ApplicationDefinition) { d.JIT.MaxSeconds = 10800 }, []string{
			"gives Reader" + activate + "3h", "removes Reader" + activate + "2h",
			"changes just-in-time access from offered, at most 2h to offered, at most 3h",
		}},
		"for ever": {func(v *api.Application, d *api.ApplicationDefinition) {
			v.Settings.JIT, v.Authorizations = false, nil
			d.Authorizations = []api.ApplicationAuthorization{given("Owner", 0)}
		}, []string{"gives Owner for the group vendors, PERMANENTLY"}},
		"another of the same name": {func(v *api.Application, d *api.ApplicationDefinition) {
			v.Authorizations = v.Authorizations[:1]
			other := given("Contributor", 3600)
			other.PrincipalID = "w"
			d.Authorizations = []api.ApplicationAuthorization{other}
		}, []string{"gives Contributor" + activate + "1h", "removes Contributor" + activate + "1h"}},
		"managed": {func(v *api.Application, _ *api.ApplicationDefinition) { v.Unmanaged = true }, []string{
			"gives Contributor" + activate + "1h", "gives Reader" + activate + "2h",
		}},
	} {
		was, now := v, d
		c.change(&was, &now)
		want := []string{head}
		for _, line := range c.want {
			want = append(want, "  - "+line)
		}
		if got := updates(was, now); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
