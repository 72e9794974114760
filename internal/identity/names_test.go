package identity

import "testing"

// TestOwnNames holds that a Host header chooses among the server's names, and that any other says the public one.
func TestOwnNames(t *testing.T) {
	t.Parallel()
	n, err := NewNames("https://Postern.example:8443", []string{"localhost", "192.0.2.7", "2001:db8::7"}, "9443")
	if err != nil {
		t.Fatal(err)
	}
	const public = "postern.example:8443"
	for asked, want := range map[string]string{
		"postern.example:8443": public, "POSTERN.example:8443": public, "postern.example": "postern.example",
		"postern.example.:9443": "postern.example.:9443",
		"localhost:9443":        "localhost:9443", "192.0.2.7:8443": "192.0.2.7:8443",
		"[2001:db8::7]:9443": "[2001:db8::7]:9443", "[2001:db8::7]": "[2001:db8::7]",
		"login.microsoftonline.com": public, "login.microsoftonline.com:8443": public, "postern.example:1": public,
		"postern.example.evil.example": public,
		"":                             public, ":8443": public, "postern.example/x": public,
		"postern.example:8443:8443":    public,
		"postern.example@evil.example": public,
	} {
		if got := n.host(asked); got != want {
			t.Errorf("%q is %q, want %q", asked, got, want)
		}
	}
	if n, err = NewNames("https://postern.example:443/", nil); err != nil || n.host("x") != "postern.example" {
		t.Errorf("the usual port: %q, %v", n.host("x"), err)
	}
	for _, public := range []string{"", "postern.example", "https://"} {
		if _, err := NewNames(public, nil); err == nil {
			t.Errorf("%q is taken for an address", public)
		}
	}
}

func FuzzOwnNames(f *testing.F) {
	n, err := NewNames("https://postern.example", []string{"::1"}, "8443")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("postern.example:8443")
	f.Add("[::1]:8443")
	f.Add("evil.example")
	f.Fuzz(func(t *testing.T, asked string) {
		if got := n.host(asked); n.host(got) != got {
			t.Errorf("%q is %q, and that is %q", asked, got, n.host(got))
		}
	})
}
