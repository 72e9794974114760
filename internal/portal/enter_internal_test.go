package portal

import "testing"

// TestLocal holds that signing in leads to no other site, and not round in a circle.
func TestLocal(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/access": "/access", "/machines?q=a": "/machines?q=a", "": "/",
		"//elsewhere.example": "/", `/\elsewhere.example`: "/", "https://elsewhere.example": "/",
		"javascript:alert(1)": "/", "/a\nb": "/",
		"/sign-in": "/", "/sign-out?x": "/", "/\t/elsewhere.example": "/",
	} {
		if got := local(next); got != want {
			t.Errorf("local(%q) is %q, want %q", next, got, want)
		}
	}
}
