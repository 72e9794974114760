package notify_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postern-dev/postern/internal/notify"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-1": 0, "1.5": 0, "soon": 0,
		"99999999999999999999999999": 6 * time.Hour, "Sat, 14 Mar 2026 09:01:00 GMT": time.Minute,
		"Sat, 14 Mar 2026 08:00:00 GMT": 0, "Sat, 14 Mar 2099 09:00:00 GMT": 6 * time.Hour,
	} {
		if got := notify.RetryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sat, 14 Mar 2026 09:01:00 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if got := notify.RetryAfter(value, time.Unix(1_800_000_000, 0)); got < 0 || got > 6*time.Hour {
			t.Errorf("%q: %s", value, got)
		}
	})
}

func FuzzTexts(f *testing.F) {
	f.Add("a\r\nBcc: x\x00\u202e<!here> *b* \xff", 10)
	f.Add(strings.Repeat("<", 600), 499)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = 1 + max(most, 0)%500
		got := notify.Line(text, most)
		if !utf8.ValidString(got) || utf8.RuneCountInString(
			got) > most || strings.ContainsAny(got, "\r\n\x00\u202e\u2028") {
			t.Errorf("line of %q: %q", text, got)
		}
		if escaped := notify.SlackEscape(got,
			700); strings.ContainsAny(escaped, "<>") || utf8.RuneCountInString(escaped) > 700 {
			t.Errorf("for Slack: %q", escaped)
		}
		secret := "hunter2hunter2"
		if said := notify.Excerpt([]byte(text+secret),
			secret); strings.Contains(said,
			secret) || strings.ContainsAny(said, "\r\n\x00") || utf8.RuneCountInString(said) > 161 {
			t.Errorf("excerpt: %q", said)
		}
	})
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	const never, private, fine = "never", "private", "fine"
	for address, want := range map[string]string{
		"93.184.215.14": fine, "2606:2800:21f:cb07:6820:80da:af6b:8b2c": fine, "64:ff9b::5db8:d70e": fine,
		"127.0.0.1": private, "::1": private, "::ffff:127.0.0.1": private, "10.1.2.3": private, "172.31.0.1": private,
		"192.168.0.1": private,
		"100.64.0.1":  private, "fd00::1": private, "64:ff9b::7f00:1": private, "2002:7f00:1::": private,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "fe80::1": never, "fe80::1%eth0": never,
		"0.0.0.0": never, "0.1.2.3": never, "::": never,
		"224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "240.0.0.1": never, "64:ff9b::a9fe:a9fe": never,
		"2002:a9fe:a9fe::": never,
		"100.100.100.200":  never, "198.18.0.1": never, "2001:0:53aa:64c::": never, "fd00:ec2::254%eth0": never,
		"fd00:ec2::23": never, "fd20:ce::254": never, "168.63.129.16": never,
		"64:ff9b::a83f:8110": never,
	} {
		a := netip.MustParseAddr(address)
		got := fine
		if notify.CheckDestination(a, true) != nil {
			got = never
		} else if notify.CheckDestination(a, false) != nil {
			got = private
		}
		if got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
	if notify.CheckDestination(netip.Addr{}, true) == nil {
		t.Error("the zero address is allowed")
	}
}
