package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/state"
)

// Past is what runs of the Redis exclude: starts with the same key, other runs of
// their singletons, and what they were charged of throttles and rate limits. It is in
// memory, so that whoever starts runs can ask at any
// moment, and takes about 50 bytes for each key that was used within a day. It is
// safe for concurrent use.
type Past struct {
	redis   redis.UniversalClient
	account uuid.UUID

	mu         sync.RWMutex
	keys       map[string]ulid.ULID // by idempotency key
	until      time.Time            // keys count no more then
	singletons map[string]ulid.ULID // by key
	rates      map[state.GateKey]float64
}

// NewPast knows nothing before Load.
func NewPast(client redis.UniversalClient, account uuid.UUID) *Past {
	return &Past{redis: client, account: account, keys: map[string]ulid.ULID{}, singletons: map[string]ulid.ULID{}}
}

// Claimed tells whether a start's key has a run in the Redis, or had one within a
// day, and which; zero when that is not known.
func (p *Past) Claimed(_ uuid.UUID, idempotency string) (run ulid.ULID, taken bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	run, taken = p.keys[idempotency]
	return run, taken
}

// Singleton is the run that holds a function's singleton for the text of its key,
// "" without one.
func (p *Past) Singleton(fn uuid.UUID, text string) (run ulid.ULID, held bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.singletons) == 0 {
		return run, false
	}
	if text == "" {
		if run, held = p.singletons[fn.String()]; held {
			return run, held
		}
	}
	run, held = p.singletons[fn.String()+"-"+function.Hash(text)]
	return run, held
}

// Charged is the theoretical arrival time of a throttle or rate limit, in its unit,
// as it was when the Redis was loaded: what starts there are charged since is counted
// by who admits them. 0 is nothing.
func (p *Past) Charged(key state.GateKey) float64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.rates[key]
}

// Ended says that a run holds nothing any more.
func (p *Past) Ended(run ulid.ULID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, holder := range p.singletons {
		if holder == run {
			delete(p.singletons, key)
		}
	}
}

// finalizeSuffix is what [format.FinalizeKey] adds to a key of a start.
const finalizeSuffix = ":finalize"

// Load reads everything from the Redis.
func (p *Past) Load(ctx context.Context) error {
	prefix := format.ClaimKey(p.account, "")
	keys := map[string]ulid.ULID{}
	err := eachString(ctx, p.redis, prefix+"*", func(name, text string) {
		if strings.HasSuffix(name, finalizeSuffix) {
			return
		}
		// What cannot be read is taken, too.
		claim, _ := format.DecodeClaim(name, text)
		keys[strings.TrimPrefix(name, prefix)] = claim.RunID
	})
	if err != nil {
		return fmt.Errorf("read the keys of starts: %w", err)
	}
	rates, err := p.loadRates(ctx)
	if err != nil {
		return fmt.Errorf("read what was charged: %w", err)
	}
	p.mu.Lock()
	p.rates = rates
	p.keys, p.until = keys, time.Now().Add(format.ClaimTTL*time.Second)
	p.mu.Unlock()
	return p.LoadSingletons(ctx)
}

// loadRates reads what was charged of throttles and rate limits. What cannot be read
// charges nothing.
func (p *Past) loadRates(ctx context.Context) (map[state.GateKey]float64, error) {
	rates := map[state.GateKey]float64{}
	for kind, name := range map[string]func(account, function uuid.UUID, key format.Evaluated) string{
		state.OfRateLimit: format.RateLimitKey, state.OfThrottle: format.ThrottleKey,
	} {
		prefix := strings.TrimSuffix(name(p.account, uuid.Nil, format.Evaluated{}), uuid.Nil.String())
		err := eachString(ctx, p.redis, prefix+"*", func(name, text string) {
			_, parts, known := format.Identify(name)
			fn, err := format.ParseUUID(parts["function"])
			tat, unread := format.ParseTAT(format.Place{Key: name}, text)
			if known && err == nil && unread == nil {
				expr, value := format.RateValue(parts["limit"])
				rates[state.NewValueKey(kind, fn, expr, value)] = tat
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return rates, nil
}

// LoadSingletons reads again who holds singletons, and forgets keys of starts
// that count no more.
func (p *Past) LoadSingletons(ctx context.Context) error {
	prefix := format.SingletonKey("")
	found := map[string]ulid.ULID{}
	err := eachString(ctx, p.redis, prefix+"*", func(name, text string) {
		if run, err := format.ParseULID(text); err == nil {
			found[strings.TrimPrefix(name, prefix)] = run
		}
	})
	if err == nil {
		err = p.dropDead(ctx, found)
	}
	if err != nil {
		return fmt.Errorf("read the holders of singletons: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.singletons = found
	if time.Now().After(p.until) {
		p.keys = map[string]ulid.ULID{}
	}
	return nil
}

// dropDead takes out who holds a singleton and is no run any more: a key may be left
// behind when a run's end breaks off, or its state is deleted.
func (p *Past) dropDead(ctx context.Context, holders map[string]ulid.ULID) error {
	keys, runs := make([]string, 0, len(holders)), make([]ulid.ULID, 0, len(holders))
	for key, run := range holders {
		keys, runs = append(keys, key), append(runs, run)
	}
	live, err := liveRuns(ctx, p.redis, runs)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if !live[i] {
			delete(holders, key)
		}
	}
	return nil
}

// Refresh asks again about the singletons that are known to be held.
func (p *Past) Refresh(ctx context.Context) error {
	p.mu.RLock()
	held := make(map[string]ulid.ULID, len(p.singletons))
	for key, run := range p.singletons {
		held[key] = run
	}
	p.mu.RUnlock()
	for key, run := range held {
		text, err := p.redis.Get(ctx, format.SingletonKey(key)).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("read the holder of singleton %s: %w", key, err)
		}
		holder, _ := format.ParseULID(text)
		still := map[string]ulid.ULID{key: holder}
		if err := p.dropDead(ctx, still); err != nil {
			return fmt.Errorf("read the run that holds singleton %s: %w", key, err)
		}
		if holder = still[key]; holder == run {
			continue
		}
		p.mu.Lock()
		switch {
		case p.singletons[key] != run:
		case holder.IsZero():
			delete(p.singletons, key)
		default:
			p.singletons[key] = holder
		}
		p.mu.Unlock()
	}
	return nil
}
