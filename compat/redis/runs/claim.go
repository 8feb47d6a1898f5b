package runs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

var (
	scriptClaim    = embedded("claim")
	scriptFinalize = embedded("finalize")
)

// endWithin is how long ending a run takes at most, in seconds: who has taken the
// right to do so longer ago has died, if the run is there still.
const endWithin = 30

// Claim takes an idempotency key for a run, or tells which run has it and
// whether that one has ended. A value that is no run counts for nothing
// (redis-state §5.8, "Create run").
func (s *Store) Claim(ctx context.Context, account uuid.UUID, key string, run ulid.ULID) (format.Claim, error) {
	name := format.ClaimKey(account, key)
	answer, err := ClaimOperation(account, key, run).Run(ctx, s.redis).Result()
	if err != nil {
		return format.Claim{}, fmt.Errorf("claim %s for run %s: %w", key, run, err)
	}
	holder, taken := answer.(string)
	claim, err := format.DecodeClaim(name, holder)
	if err != nil || !taken {
		return format.Claim{RunID: run}, nil
	}
	return claim, nil
}

// ClaimOperation is Claim as part of a chain: it answers 0 when the run has the key
// now, else who had it.
func ClaimOperation(account uuid.UUID, key string, run ulid.ULID) script.Operation {
	return scriptClaim.On([]string{format.ClaimKey(account, key)}, format.Claim{RunID: run}.Encode(), format.ClaimTTL)
}

// Claimed tells which run has an idempotency key; ok is false when none has.
func (s *Store) Claimed(ctx context.Context, account uuid.UUID, key string) (claim format.Claim, ok bool, err error) {
	name := format.ClaimKey(account, key)
	text, err := s.redis.Get(ctx, name).Result()
	if errors.Is(err, redis.Nil) {
		return claim, false, nil
	}
	if err != nil {
		return claim, false, fmt.Errorf("read claim %s: %w", key, err)
	}
	claim, err = format.DecodeClaim(name, text)
	return claim, err == nil, nil // a value that is no run counts for nothing
}

// Finalize takes the right to end a run that is there, and to publish the events
// about it. Who has it has it still when it asks again with the same token
// (redis-state §6.2). Unlike with the original, who died with it keeps it for half a
// minute, and not for a day in which the run could not end.
func (s *Store) Finalize(ctx context.Context, account uuid.UUID, key string, token uuid.UUID) (bool, error) {
	code, err := FinalizeOperation(account, key, token).Run(ctx, s.redis).Int()
	if err != nil {
		return false, fmt.Errorf("claim the end of a run with key %s: %w", key, err)
	}
	return code == 0, nil
}

// FinalizeOperation is Finalize as part of a chain: it answers 1 when another has the
// right.
func FinalizeOperation(account uuid.UUID, key string, token uuid.UUID) script.Operation {
	return scriptFinalize.On([]string{format.FinalizeKey(account, key)}, token.String(), format.ClaimTTL, endWithin)
}
