package identity_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// TestWeakPasswords proves that passwords which are tried first are refused, also in other letters and with digits and
// signs, and those made of one's own names; and that what nobody would try is taken.
func TestWeakPasswords(t *testing.T) {
	t.Parallel()
	own := []string{"erik", "Erik Lindqvist", "erik.l@contoso.example"}
	for _, weak := range []string{
		"123456789012", "1234567890qwerty", "password1234", "Password1234!", "P@ssw0rd2026", "passwordpassword",
		"qwertyuiop123", "Welcome-2026!!",
		"Summer2026!!", "adminadminadmin", "ErikErikErik", "lindqvist1984", "contoso-2026-09", "postern12345",
		"my.new.password", "aaaaaaaaaaaaab",
		"2026-11-29 17:00", "letmein letmein", "iloveyou!!!1", "qazwsxedc123",
	} {
		if err := identity.CheckPassword(weak, "", own...); access.CodeOf(err) != "weakPassword" {
			t.Errorf("%q is taken", weak)
		}
	}
	for _, good := range []string{
		"correct horse battery", "a long enough password 42", "vier Pferde am Fluss", "xq7-Lrb2-9vTz",
		"password of the heron", "бабушка у реки сидит", "y7gc6v-4isptw-ung96j",
	} {
		if err := identity.CheckPassword(good, "", own...); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	for range 200 { // what Postern makes itself
		if p := directory.OneTimePassword(); identity.CheckPassword(p, "", own...) != nil {
			t.Errorf("a one-time password is refused: %q", p)
		}
	}
}

// TestOwnNameIsNoPassword proves that every way to choose a password knows whose it is.
func TestOwnNameIsNoPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	_, _, err := w.identity.CreatePrincipal(w.ctx, admin, directory.PrincipalInput{Kind: access.User, Name: "heinrich"},
		"heinrich-heinrich")
	wantCode(t, err, access.KindInvalid, "weakPassword")
	_, oneTime, err := w.identity.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.User, Name: "heinrich"}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.signIn("heinrich", oneTime, "Heinrich1234")
	wantCode(t, err, access.KindInvalid, "weakPassword")
	_, err = w.identity.ResetPassword(w.ctx, admin, "heinrich", "Heinrich1234")
	wantCode(t, err, access.KindInvalid, "weakPassword")
}

// TestSitesAreLimited proves that the many addresses of one IPv6 site do not starve the sign-in of others, and that who
// signed in before from a place is not kept out by those who try the name elsewhere.
func TestSitesAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) { c.Anonymous = identity.Rate{PerSecond: 0.5, Burst: 6} })
	w.admin() // signs in from the office
	taken, limited := 0, 0
	for i := range 100 {
		in := identity.SignInInput{
			Name: "nobody" + fmt.Sprint(i), Password: "x",
			Address: netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)),
		}
		_, err := w.identity.SignIn(w.ctx, in)
		switch access.CodeOf(err) {
		case "wrongCredentials":
			taken++
		case "tooManyAttempts":
			limited++
		default:
			t.Fatal(err)
		}
	}
	if taken > 24 || limited == 0 {
		t.Errorf("%d of 100 calls from one site are served", taken)
	}
	for i := range 20 { // more than the name's own limit, from everywhere
		in := identity.SignInInput{
			Name: "admin", Password: "wrong",
			Address: netip.MustParseAddr(fmt.Sprintf("198.51.%d.1", i)),
		}
		if _, err := w.identity.SignIn(w.ctx, in); err == nil || strings.Contains(err.Error(), "database") {
			t.Fatal(err)
		}
	}
	if _, err := w.signIn("admin", goodPassword, ""); err != nil {
		t.Errorf("from the office: %v", err)
	}
	in := identity.SignInInput{Name: "admin", Password: goodPassword, Address: netip.MustParseAddr("192.0.2.200")}
	_, err := w.identity.SignIn(w.ctx, in)
	wantCode(t, err, access.KindLimited, "tooManyAttempts")
}
