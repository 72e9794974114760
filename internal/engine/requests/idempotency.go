package requests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const maxKey = 255 // bytes of an idempotency key

// longKey refuses an idempotency key that is too long.
func longKey(key string) error {
	if len(key) > maxKey {
		return access.Fault(access.KindInvalid, "idempotencyKeyTooLong",
			"the idempotency key has %d bytes; %d are allowed", len(key), maxKey)
	}
	return nil
}

// repeated gives what an earlier call with the same key led to; nil where there was none.
func repeated(ctx context.Context, r engine.Reader, may engine.Rights, key, digest string) (*RequestDetail, error) {
	earlier, err := r.Idempotent(ctx, may.Caller.Principal, key)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return nil, nil //nolint:nilnil // there was none, and that is no error
	case err != nil:
		return nil, fmt.Errorf("read idempotency key: %w", err)
	case earlier.Digest != digest:
		return nil, access.Fault(access.KindConflict, "idempotencyKeyReused",
			"this idempotency key came with another body before: use a new key for a new request")
	}
	request, err := r.Request(ctx, earlier.Request)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	names := engine.NameCache{R: r}
	d, err := describeRequest(ctx, r, may, &names, request)
	return &d, err
}

// once makes a request unless an earlier call with the same idempotency key led to one, and keeps what the key led to.
// Without a key it makes one. digest is that of the input as it came.
func once(ctx context.Context, tx engine.Tx, may engine.Rights, key, digest string,
	request func() (RequestDetail, error),
) (RequestDetail, error) {
	if key == "" {
		return request()
	}
	if earlier, err := repeated(ctx, tx, may, key, digest); err != nil || earlier != nil {
		return orZero(earlier), err
	}
	d, err := request()
	if err != nil {
		return d, err
	}
	err = tx.SaveIdempotency(ctx, engine.Idempotency{
		Principal: may.Caller.Principal, Key: key, Digest: digest, Request: d.Request.ID, CreatedAt: d.Request.CreatedAt,
	})
	if err != nil {
		return d, fmt.Errorf("save idempotency key: %w", err)
	}
	return d, nil
}

// digest gives what an idempotency key is compared by.
func (in SubmitInput) digest() string {
	if in.Digest != "" {
		return in.Digest
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %q %q %q %q %q %t\n", in.Start.UnixMicro(), in.Justification, in.Ticket, in.Policy,
		in.Repeat, in.Zone, in.BreakGlass)
	for _, it := range in.Items {
		_, _ = fmt.Fprintf(h, "%q %q %q %s %q %v %q %d %d\n", it.Machine, it.Selector, it.Group, it.Port.Ports,
			it.Port.Protocol, it.Port.Sources, it.Networks, it.Duration, it.Until.UnixMicro())
	}
	return hex.EncodeToString(h.Sum(nil))
}

func orZero(d *RequestDetail) RequestDetail {
	if d == nil {
		return RequestDetail{}
	}
	return *d
}
