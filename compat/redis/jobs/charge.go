package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

var scriptCharge = embedded("limits", "charge")

// Charge charges a rate limit for what the key names, or tells that there is
// nothing left. What was charged for within five minutes is not charged again. The
// original takes a capacity lease around it, which nothing depends on.
func (q *Queue) Charge(ctx context.Context, account uuid.UUID, key string, r *format.RateConstraint, now time.Time) (ok bool, err error) {
	limit := []format.Constraint{{Kind: format.ConstraintRateLimit, RateLimit: r}}
	keys, constraints, err := constraintsOf([]string{format.ChargedKey(account, function.Hash(key))}, limit)
	if err != nil {
		return false, err
	}
	args := append([]any{now.UnixMilli(), now.UnixNano(), len(limit)}, constraints...)
	reply, err := scriptCharge.Run(ctx, q.redis, keys, args...).Int64Slice()
	if err != nil {
		return false, fmt.Errorf("charge %s for %s: %w", r.Key, key, err)
	}
	return reply[0] == 0, nil
}
