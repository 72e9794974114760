package access

import "time"

// Stream is who follows an agent's desired state: the one that is served. Somebody else with the same certificate, such
// as a copy of the state folder on another host, is not served while that one answers.
type Stream struct {
	ID       string // of the connection; empty while nobody follows
	Instance string // of the running program, which makes it up when it starts; empty from one that has none
	From     string // the address that it came from
	Since    time.Time

	AskedBy    string    // the connection that asked last whether this one is still there
	AskedFrom  string    // its address
	AskedAt    time.Time // when it did
	AnsweredAt time.Time // when this one last answered
	ToldAt     time.Time // when a second one was last recorded
}

const (
	// StreamPatience is how long a stream may take to answer whether it is still there.
	StreamPatience = 5 * time.Second
	twiceAgain     = time.Hour // between two records of a second one
)

// Asked tells whether the stream is asked whether it is still there, and has not answered.
func (s Stream) Asked() bool { return s.AskedAt.After(s.AnsweredAt) }

// Claimed is what became of a claim to a stream.
type Claimed int

// The outcomes.
const (
	ClaimServed Claimed = iota // the claimant is the one now
	// The present one is asked whether it is still there: claim again when it was heard, or soon.
	ClaimWaits
	ClaimRefused // the present one is there
)

// Claim decides between who follows now and a connection that wants to. The first one stays for as long as it answers:
// a copy that comes later gets nothing, and cannot push the original out. The same program that connects again, after
// its network broke, replaces itself at once. told says that a second one is to be recorded.
func (s Stream) Claim(by Stream, now time.Time) (next Stream, outcome Claimed, told bool) {
	by.Since, by.ToldAt = now, s.ToldAt
	switch {
	case s.ID == "", s.Instance != "" && s.Instance == by.Instance:
		return by, ClaimServed, false
	case s.AskedBy != by.ID:
		if s.Asked() && now.Sub(s.AskedAt) < StreamPatience {
			return s, ClaimWaits, false // another asks already
		}
		s.AskedBy, s.AskedFrom, s.AskedAt = by.ID, by.From, now
		if !s.AskedAt.After(s.AnsweredAt) {
			s.AnsweredAt = s.AskedAt.Add(-time.Microsecond) // the clocks of two servers
		}
		return s, ClaimWaits, false
	case !s.Asked():
		if told = now.Sub(s.ToldAt) >= twiceAgain; told {
			s.ToldAt = now
		}
		return s, ClaimRefused, told
	case now.Sub(s.AskedAt) >= StreamPatience:
		return by, ClaimServed, false
	}
	return s, ClaimWaits, false
}

// Answer says that the connection id is still there; it changes nothing where another is served.
func (s Stream) Answer(id string, now time.Time) Stream {
	if s.ID == id && s.Asked() {
		s.AnsweredAt = now
		if s.AskedAt.After(now) {
			s.AnsweredAt = s.AskedAt
		}
	}
	return s
}

// Left says that the connection id has ended.
func (s Stream) Left(id string) Stream {
	if s.ID == id {
		return Stream{ToldAt: s.ToldAt}
	}
	return s
}
