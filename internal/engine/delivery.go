package engine

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// DeliveryID names a delivery: 32 hexadecimal digits. Receivers see it, and tell repetitions by it.
type DeliveryID string

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery. A dead one may be queued again.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered" // the receiver said so
	DeliveryDead      DeliveryState = "dead"      // given up: somebody must look at it
)

// Delivery is one notification on its way through one channel, to one recipient where the channel is personal.
// Deliveries of one lane of a channel go out one after the other, in the order of Seq.
type Delivery struct {
	ID           DeliveryID
	Seq          int64 // of its notification
	Notification NotificationID
	Kind         NotificationKind
	Tenant       access.TenantID
	Request      access.RequestID
	Channel      ChannelID
	Recipient    access.PrincipalID // empty where the channel is not personal
	Lane         string
	State        DeliveryState
	Attempts     int       // that were begun since it was queued
	QueuedAt     time.Time // when it was made, or queued again
	NextAttempt  time.Time // not before then; while it is being sent, the end of the lease
	LastError    string    // why the last attempt failed; never a secret
	EndedAt      time.Time // when it was delivered or given up; zero while pending
	Revision     int64
}

// Retry says how failed deliveries are repeated.
type Retry struct {
	Base        time.Duration // after the first failure; doubled after each further one
	Most        time.Duration // the longest pause
	MaxAttempts int           // given up after so many
	MaxAge      time.Duration // given up at the first failure that is so long after it was queued
}

// DefaultRetry pauses 5 s, 10 s, 20 s … up to an hour, and gives up after a day.
func DefaultRetry() Retry {
	return Retry{Base: 5 * time.Second, Most: time.Hour, MaxAttempts: 40, MaxAge: 24 * time.Hour}
}

// Pause gives how long to wait after so many attempts: exponential and capped, of which the upper half is scaled by
// jitter (0 to 1), so that what failed together is not repeated together.
func (r Retry) Pause(attempts int, jitter float64) time.Duration {
	pause := r.Most
	if shift := max(attempts-1, 0); shift < 30 {
		if grown := r.Base << shift; grown > 0 && grown < pause {
			pause = grown
		}
	}
	return pause/2 + time.Duration(float64(pause/2)*min(max(jitter, 0), 1))
}

// Failure is why an attempt did not deliver.
type Failure struct {
	Text       string
	Permanent  bool          // repeating it cannot help
	RetryAfter time.Duration // what the receiver asked for; 0 if nothing
	Down       bool          // the receiver as a whole does not work now: others are not worth trying at once
}

// Claim begins an attempt: nobody else takes the delivery before lease is over. It fails with a conflict where the
// delivery is not pending or not due. Only the head of a lane may be claimed.
func (d Delivery) Claim(now time.Time, lease time.Duration) (Delivery, error) {
	if d.State != DeliveryPending || now.Before(d.NextAttempt) {
		return d, access.Fault(access.KindConflict, "deliveryNotDue", "delivery %s is %s and not due", d.ID, d.State)
	}
	d.Attempts++
	d.NextAttempt = now.Add(lease)
	d.Revision++
	return d, nil
}

// Succeed records that the receiver has it.
func (d Delivery) Succeed(now time.Time) Delivery {
	d.State = DeliveryDelivered
	d.LastError = ""
	d.EndedAt = now
	d.Revision++
	return d
}

// Fail records a failed attempt: the delivery is queued for another, or dead.
func (d Delivery) Fail(f Failure, r Retry, jitter float64, now time.Time) Delivery {
	d.LastError = f.Text
	d.Revision++
	if f.Permanent || d.Attempts >= r.MaxAttempts || now.Sub(d.QueuedAt) >= r.MaxAge {
		d.State = DeliveryDead
		d.EndedAt = now
		return d
	}
	d.NextAttempt = now.Add(max(r.Pause(d.Attempts, jitter), f.RetryAfter))
	return d
}

// Release gives an attempt back that was not made, because the server is stopping.
func (d Delivery) Release(now time.Time) Delivery {
	d.Attempts = max(d.Attempts-1, 0)
	d.NextAttempt = now
	d.Revision++
	return d
}

// Requeue gives a dead delivery its attempts anew. It fails with a conflict where it is not dead.
func (d Delivery) Requeue(now time.Time) (Delivery, error) {
	if d.State != DeliveryDead {
		return d, access.Fault(access.KindConflict, "deliveryNotDead",
			"delivery %s is %s; only a dead one can be queued again", d.ID, d.State)
	}
	d.State = DeliveryPending
	d.Attempts = 0
	d.QueuedAt = now
	d.NextAttempt = now
	d.EndedAt = time.Time{}
	d.Revision++
	return d, nil
}
