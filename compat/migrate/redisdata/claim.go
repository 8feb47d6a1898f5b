package redisdata

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// expiring is a string that is kept for a time.
type expiring struct {
	text *redis.StringCmd
	ttl  *redis.DurationCmd
}

// readExpiring reads such strings.
func (s *Side) readExpiring(ctx context.Context, names []string) ([]expiring, error) {
	values := make([]expiring, len(names))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, name := range names {
			values[i] = expiring{p.Get(ctx, name), p.PTTL(ctx, name)}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d keys: %w", len(names), err)
	}
	return values, nil
}

// until is when it ends, in milliseconds; what has no end lasts as long as most do.
func (e *expiring) until(most time.Duration) int64 {
	ttl := e.ttl.Val()
	if ttl < 0 {
		ttl = most
	}
	return time.Now().Add(ttl).UnixMilli()
}

// itemsOf are the items that such strings are; read makes nil of one that is not
// there.
func (s *Side) itemsOf(ctx context.Context, keys []key, read func(key, *expiring) *migrate.Item) ([]migrate.Item, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	values, err := s.readExpiring(ctx, names)
	if err != nil {
		return nil, err
	}
	var items []migrate.Item
	for i, k := range keys {
		if item := read(k, &values[i]); item != nil {
			items = append(items, *item)
		}
	}
	return items, nil
}

// claimsOf are idempotency keys.
func (s *Side) claimsOf(ctx context.Context, keys []key) ([]migrate.Item, error) {
	return s.itemsOf(ctx, keys, func(k key, v *expiring) *migrate.Item { return claimItem(k.name, k.parts["..."], v) })
}

// claimItem reads an idempotency key, nil for one that is not there.
func claimItem(name, key string, v *expiring) *migrate.Item {
	if missing(v.text) {
		return nil
	}
	claim, err := format.DecodeClaim(name, v.text.Val())
	if err != nil {
		item := (&migrate.Bad{Key: name, Reason: err.Error(), Value: v.text.Val()}).Item()
		return &item
	}
	item := (&migrate.Claim{Key: key, RunID: claim.RunID, Ended: claim.Ended, Until: v.until(format.ClaimTTL * time.Second)}).Item()
	return &item
}

// batched keep events from being added to a batch twice.
func (s *Side) batched(ctx context.Context, keys []key) ([]migrate.Item, error) {
	return s.itemsOf(ctx, keys, func(k key, v *expiring) *migrate.Item {
		return batchedItem(k.function(), ulid.MustParse(k.parts["event"]), v) // the pattern says that it is one
	})
}

// batchedItem reads what says that an event was added, nil for one that was not.
func batchedItem(fn uuid.UUID, event ulid.ULID, v *expiring) *migrate.Item {
	if missing(v.text) {
		return nil
	}
	item := (&migrate.Batched{FunctionID: fn, EventID: event, Until: v.until(format.BatchSeenTTL * time.Second)}).Item()
	return &item
}

// write is a string to be stored for a time.
type write struct {
	name, text string
	until      int64 // milliseconds; 0 for ever
	prolong    bool  // also one that is the same is kept until then
	same       func(there string) migrate.Outcome
}

// writeExpiring stores strings where there are none. Where there is one, same tells
// what that means; how long it is kept is set when it is the same.
func (s *Side) writeExpiring(ctx context.Context, writes []write) ([]migrate.Outcome, error) {
	now := time.Now()
	stored, there := make([]*redis.BoolCmd, len(writes)), make([]*redis.StringCmd, len(writes))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, w := range writes {
			ttl := time.Duration(0)
			if w.until != 0 {
				ttl = max(time.UnixMilli(w.until).Sub(now), time.Millisecond)
			}
			stored[i], there[i] = p.SetNX(ctx, w.name, w.text, ttl), p.Get(ctx, w.name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("write %d keys: %w", len(writes), err)
	}
	outcomes := make([]migrate.Outcome, len(writes))
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, w := range writes {
			if there[i].Err() != nil && !missing(there[i]) {
				outcomes[i] = migrate.Outcome{Result: migrate.Conflicts, Reason: there[i].Err().Error()}
				continue
			}
			if stored[i].Val() {
				continue
			}
			if outcomes[i] = w.same(there[i].Val()); outcomes[i].Result == migrate.There && w.prolong {
				p.PExpireAt(ctx, w.name, time.UnixMilli(w.until))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("write %d keys: %w", len(writes), err)
	}
	return outcomes, nil
}

// putClaims writes idempotency keys. A run of the target that has ended says more
// than one that lived.
func (s *Side) putClaims(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	writes := make([]write, len(items))
	for i, item := range items {
		claim := format.Claim{RunID: item.Claim.RunID, Ended: item.Claim.Ended}
		name := format.ClaimKey(s.Account, item.Claim.Key)
		writes[i] = write{name, claim.Encode(), item.Claim.Until, true, func(there string) migrate.Outcome {
			have, err := format.DecodeClaim(name, there)
			switch {
			case err != nil:
				return migrate.Outcome{Result: migrate.Conflicts, Reason: err.Error()}
			case have == claim:
				return migrate.Outcome{Result: migrate.There}
			case have.RunID == claim.RunID && have.Ended:
				return migrate.Outcome{Result: migrate.WentOn, Reason: "its run has ended in the target"}
			}
			return migrate.Outcome{Result: migrate.Conflicts, Reason: fmt.Sprintf("the key is that of run %s in the target", have.RunID)}
		}}
	}
	return s.writeExpiring(ctx, writes)
}

func (s *Side) putBatched(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	writes := make([]write, len(items))
	for i, item := range items {
		b := item.Batched
		writes[i] = write{format.BatchSeenKey(b.FunctionID, b.EventID), "1", b.Until, true, func(string) migrate.Outcome {
			return migrate.Outcome{Result: migrate.There}
		}}
	}
	return s.writeExpiring(ctx, writes)
}
