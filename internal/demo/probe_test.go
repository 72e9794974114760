package demo

import (
	"net"
	"testing"
	"time"
)

func TestProberSeesAPortOpenAndClose(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	p := &prober{now: time.Now, target: target, every: time.Millisecond, patience: 5 * time.Second}
	open := p.run(t.Context(), func(a attempt) bool { return a.accepted })
	first, ok := firstAccepted(open)
	if !ok || first.answered.Before(first.sent) {
		t.Fatalf("of %d tries at an open port, the first accepted is %+v, %t", len(open), first, ok)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	q := &prober{now: time.Now, target: target, every: time.Millisecond, patience: 5 * time.Second}
	closed := q.run(t.Context(), func(a attempt) bool { return !a.accepted })
	if _, ok := firstAccepted(closed); ok {
		t.Error("a closed port accepted a connection")
	}
	last, refused, ok := lastAccepted(append(open, closed...))
	if !ok || last.sent.Before(first.sent) || !refused.sent.After(last.sent) || refused.accepted {
		t.Errorf("the last accepted is %+v and the first refused after it %+v, %t", last, refused, ok)
	}
}

func TestLastAcceptedGoesByWhenATryBegan(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	attempts := []attempt{
		{sent: at(4), answered: at(9)},
		{sent: at(1), answered: at(30), accepted: true},
		{sent: at(3), answered: at(5), accepted: true},
		{sent: at(6), answered: at(7)},
		{sent: at(2), answered: at(3)},
	}
	last, refused, ok := lastAccepted(attempts)
	if !ok || !last.sent.Equal(at(3)) || !refused.sent.Equal(at(4)) {
		t.Errorf("last accepted sent at %v, first refused after it at %v, %t", last.sent, refused.sent, ok)
	}
	if first, ok := firstAccepted(attempts); !ok || !first.answered.Equal(at(5)) {
		t.Errorf("first accepted answered at %v, %t", first.answered, ok)
	}
	if _, _, ok := lastAccepted(attempts[:1]); ok {
		t.Error("a refused try counts as accepted")
	}
}
