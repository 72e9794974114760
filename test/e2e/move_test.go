//go:build linux

package e2e_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

// move moves a grant to a source, and waits until the one that took its place is active.
func (w *world) move(c *api.Client, grant, source string) api.Grant {
	w.t.Helper()
	r, err := c.Move(w.t.Context(), grant, api.Move{Sources: []string{source}}, "")
	if err != nil || len(r.Grants) != 1 {
		w.t.Fatalf("moving %s gave %+v, %v", grant, r.Grants, err)
	}
	return w.active(r.Grants[0].ID)
}

// TestAccessMovesToAnotherAddress holds that packets come from the present address alone, in both families, that what
// was established from the address before is cut, and that nobody else notices.
func TestAccessMovesToAnotherAddress(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, six := w.listen(22)
	w.guard()
	me4, me6, you4 := w.net.ClientAddrs[0], w.net.ClientAddrs[1], w.net.ClientAddrs[2]
	rosa := w.person("rosa")

	mine := w.ask(w.admin, me4.String(), time.Hour)
	hers := w.ask(rosa, netip.PrefixFrom(me4, 24).Masked().String(), time.Hour)
	w.open(me4, four)
	w.shut(me6, six)

	first := w.move(w.admin, mine.ID, me6.String())
	w.open(me6, six)
	w.open(me4, four) // by the other's grant
	was := w.closed(mine.ID)
	if was.State != "superseded" || first.MovedFrom != mine.ID || !first.End.Equal(mine.End) {
		t.Errorf("%+v became %+v, which is %+v now", mine, first, was)
	}
	if _, err := rosa.Revoke(t.Context(), hers.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.closed(hers.ID)
	w.shut(me4, four)
	w.open(me6, six)

	second := w.move(w.admin, first.ID, you4.String())
	w.closed(first.ID)
	w.open(you4, four)
	w.shut(me6, six)
	w.shut(me4, four)

	session, err := w.net.Client.Dial(t.Context(), "tcp", netip.AddrPortFrom(you4, 0), four)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := nettest.Exchange(session, patience); err != nil {
		t.Fatal(err)
	}
	third := w.move(w.admin, second.ID, me4.String())
	w.closed(second.ID)
	w.open(me4, four)
	if err := nettest.Exchange(session, silence); err == nil {
		t.Error("the session from the address before goes on")
	}
	if _, err := w.admin.Revoke(t.Context(), third.ID, "done"); err != nil {
		t.Fatal(err)
	}
	w.closed(third.ID)
	for _, from := range []netip.Addr{me4, you4} {
		w.shut(from, four)
	}
	w.shut(me6, six)
	w.verified()
}
