package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
	"jetstep/function"
)

// Times of capacity leases (redis-queue §10.2, §12.1).
const (
	CapacityLease = 30 * time.Second
	maxLifetime   = 9_000_000 // milliseconds
	retryAfter    = 2000      // milliseconds
)

// Capacity is the right to execute an item within what limits allow. It ends
// with its lease, unless it is extended.
type Capacity struct {
	account uuid.UUID
	lease   ulid.ULID
	request ulid.ULID
	// asked is what stands in Redis under request, as far as is known; text is how
	// it is written there.
	asked *format.Request
	text  string
}

// Refused says which constraint of the request has nothing left.
type Refused struct {
	Constraint format.Constraint
	// Again is when there may be something, in milliseconds; 0 is not known.
	Again int64
}

// Asked is a request for capacity: see [Request].
type Asked struct {
	Account uuid.UUID
	Run     ulid.ULID
	Request format.Request
}

// Ask makes the request for an item's capacity within those constraints.
func Ask(item *format.Item, constraints []format.Constraint) *Asked {
	id, hashed := &item.Data.Identifier, function.Hash(item.ID)
	return &Asked{
		Account: id.AccountID, Run: id.RunID,
		Request: format.Request{
			Key: item.ID, EnvironmentID: id.EnvironmentID, FunctionID: id.FunctionID, AppID: id.AppID,
			Constraints: constraints, FunctionVersion: id.Version, Requested: 1, Granted: 1, Active: 1,
			MaxLifetime: maxLifetime, Items: []string{hashed}, Runs: map[string]string{hashed: id.RunID.String()},
			By: format.Asker{Service: format.ServiceExecutor, Location: format.LocationLease},
		},
	}
}

// Acquire takes capacity of all constraints of a request, or of none: then it
// tells why. Throttles and rate limits that were paid within five minutes are not
// paid again, so that a retry is free (redis-queue §10.3). Unlike the original's, a
// grant is not repeated: each acquires anew.
func (q *Queue) Acquire(ctx context.Context, a *Asked, now time.Time) (*Capacity, *Refused, error) {
	one := q.AcquireMany(ctx, []*Asked{a}, now)[0]
	return one.Capacity, one.Refused, one.Err
}

// acquireOperation acquires the capacity that it gives.
func acquireOperation(a *Asked, now time.Time) (*Capacity, script.Operation, error) {
	lease, request := newLease(now.Add(CapacityLease)), newLease(now)
	text, err := format.Encode(a.Request)
	if err != nil {
		return nil, script.Operation{}, err
	}
	hashed := a.Request.Items[0]
	keys := []string{
		format.ConstraintAccountsKey, format.CapacityLeasesKey(a.Account), format.CapacityLeaseKey(a.Account, lease),
		format.RequestKey(a.Account, request), format.ChargedKey(a.Account, hashed),
		format.ChargedKey(a.Account, function.Hash(a.Request.Key)),
	}
	keys, constraints, err := constraintsOf(keys, a.Request.Constraints)
	if err != nil {
		return nil, script.Operation{}, err
	}
	args := append([]any{
		a.Account.String(), lease.String(), format.LeaseExpiry(lease), now.UnixMilli(), now.UnixNano(), text, hashed,
		a.Run.String(), request.String(), len(a.Request.Constraints),
	}, constraints...)
	return &Capacity{account: a.Account, lease: lease, request: request, asked: &a.Request, text: text},
		scriptAcquire.On(keys, args...), nil
}

// refusedBy reads the answer to a request, nil for granted.
func refusedBy(a *Asked, command *redis.Cmd) (*Refused, error) {
	reply, err := command.Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("acquire capacity for %s: %w", a.Request.Key, err)
	}
	if reply[0] > 0 {
		return &Refused{Constraint: a.Request.Constraints[reply[0]-1], Again: reply[1]}, nil
	}
	return nil, nil
}

// constraintsOf are constraints as the scripts of limits read them, and the keys
// that follow those given.
func constraintsOf(keys []string, constraints []format.Constraint) ([]string, []any, error) {
	var args []any
	for _, c := range constraints {
		first, second := len(keys)+1, len(keys)+1
		switch {
		case c.Kind == format.ConstraintConcurrency && c.Concurrency != nil:
			keys = append(keys, c.Concurrency.Key)
			args = append(args, c.Kind, c.Concurrency.Limit, 0, 0, 0, 0, first, second)
		case c.Kind == format.ConstraintThrottle && c.Throttle != nil:
			keys = append(keys, c.Throttle.Key)
			burst := max(c.Throttle.Limit+c.Throttle.Burst-1, 0)
			args = append(args, c.Kind, c.Throttle.Limit, c.Throttle.Period, burst, 0, 0, first, second)
		case c.Kind == format.ConstraintRateLimit && c.RateLimit != nil:
			keys = append(keys, c.RateLimit.Key)
			args = append(args, c.Kind, c.RateLimit.Limit, c.RateLimit.Period, c.RateLimit.Burst, 0, 0, first, second)
		case c.Kind == format.ConstraintSemaphore && c.Semaphore != nil:
			keys = append(keys, c.Semaphore.Usage, c.Semaphore.Capacity)
			args = append(args, c.Kind, 0, 0, 0, c.Semaphore.Weight, c.Semaphore.Release, first, second+1)
		default:
			return nil, nil, fmt.Errorf("constraint of kind %d without what it says", c.Kind)
		}
	}
	return keys, args, nil
}

// ErrCapacityLost is a capacity lease that has ended.
var ErrCapacityLost = errors.New("the capacity lease has ended")

// ExtendCapacity makes a capacity lease last from now on.
func (q *Queue) ExtendCapacity(ctx context.Context, c *Capacity, now time.Time) (*Capacity, error) {
	request, _, err := q.request(ctx, c)
	if err != nil {
		return nil, err
	}
	next := *c
	next.lease = newLease(now.Add(CapacityLease))
	keys := []string{
		format.ConstraintAccountsKey, format.CapacityLeasesKey(c.account), format.CapacityLeaseKey(c.account, c.lease),
		format.CapacityLeaseKey(c.account, next.lease), format.RequestKey(c.account, c.request),
	}
	keys, constraints, err := constraintsOf(keys, request.Constraints)
	if err != nil {
		return nil, err
	}
	args := append([]any{
		c.account.String(), c.lease.String(), next.lease.String(), format.LeaseExpiry(next.lease), now.UnixMilli(),
		len(request.Constraints),
	}, constraints...)
	code, err := scriptExtendCapacity.Run(ctx, q.redis, keys, args...).Int()
	if err == nil && code != 0 {
		err = ErrCapacityLost
	}
	if err != nil {
		return nil, fmt.Errorf("extend capacity of %s: %w", request.Key, err)
	}
	return &next, nil
}

// request reads what a capacity was asked for; one that is gone asked for nothing.
func (q *Queue) request(ctx context.Context, c *Capacity) (*format.Request, string, error) {
	key := format.RequestKey(c.account, c.request)
	text, err := q.redis.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return &format.Request{}, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read a request for capacity: %w", err)
	}
	r, err := format.Decode[format.Request](format.Place{Key: key}, text)
	return &r, text, err
}

// ReleaseCapacity gives capacity back; what is given back when runs end stays
// taken, unless it is forced. Giving back twice is harmless.
func (q *Queue) ReleaseCapacity(ctx context.Context, c *Capacity, force bool) error {
	for request, text := c.asked, c.text; ; request = nil {
		var err error
		if request == nil {
			if request, text, err = q.request(ctx, c); err != nil {
				return err
			}
		}
		o, err := c.release(request, text, force)
		if err != nil {
			return err
		}
		code, err := o.Run(ctx, q.redis).Int()
		if err != nil {
			return fmt.Errorf("release capacity of %s: %w", request.Key, err)
		}
		if code != 2 {
			return nil
		}
	}
}

// ReleaseOperation is ReleaseCapacity, not forced, as part of a chain: it answers 1
// when it was given back before, 2 when the request has changed.
func (c *Capacity) ReleaseOperation() (script.Operation, error) {
	return c.release(c.asked, c.text, false)
}

// Given tells whether an answer to a ReleaseOperation means that nothing is left to
// be given back.
func Given(answer any) bool {
	code, ok := answer.(int64)
	return ok && code != 2
}

// release gives capacity back of a request as it was read.
func (c *Capacity) release(request *format.Request, text string, force bool) (o script.Operation, err error) {
	left := ""
	if request.Active > 1 {
		next := *request
		next.Active--
		if left, err = format.Encode(next); err != nil {
			return o, err
		}
	}
	keys := []string{
		format.ConstraintAccountsKey, format.CapacityLeasesKey(c.account), format.CapacityLeaseKey(c.account, c.lease),
		format.RequestKey(c.account, c.request),
	}
	keys, constraints, err := constraintsOf(keys, request.Constraints)
	if err != nil {
		return o, err
	}
	args := append([]any{c.account.String(), c.lease.String(), text, left, force, len(request.Constraints)}, constraints...)
	return scriptReleaseCapacity.On(keys, args...), nil
}

// ScavengeCapacity gives back what leases that have ended took (redis-queue
// §10.4). It tells how many.
func (q *Queue) ScavengeCapacity(ctx context.Context, now time.Time) (int, error) {
	const size = 20
	due := &redis.ZRangeBy{Min: "-inf", Max: decimal(now.UnixMilli()), Count: size}
	accounts, err := q.redis.ZRangeByScore(ctx, format.ConstraintAccountsKey, due).Result()
	if err != nil {
		return 0, fmt.Errorf("scavenge capacity: %w", err)
	}
	released := 0
	for _, name := range accounts {
		account, err := format.ParseUUID(name)
		if err != nil {
			if err := q.redis.ZRem(ctx, format.ConstraintAccountsKey, name).Err(); err != nil {
				return released, fmt.Errorf("scavenge capacity: %w", err)
			}
			continue // it leads nowhere
		}
		leases, err := q.redis.ZRangeByScore(ctx, format.CapacityLeasesKey(account), due).Result()
		if err != nil {
			return released, fmt.Errorf("scavenge capacity: %w", err)
		}
		for _, text := range leases {
			if err := q.scavengeLease(ctx, account, text); err != nil {
				return released, err
			}
			released++
		}
		if len(leases) == 0 {
			if err := q.redis.ZRem(ctx, format.ConstraintAccountsKey, name).Err(); err != nil {
				return released, fmt.Errorf("scavenge capacity: %w", err)
			}
		}
	}
	return released, nil
}

func (q *Queue) scavengeLease(ctx context.Context, account uuid.UUID, text string) error {
	lease, err := format.ParseULID(text)
	if err != nil {
		return q.redis.ZRem(ctx, format.CapacityLeasesKey(account), text).Err()
	}
	request, err := q.redis.HGet(ctx, format.CapacityLeaseKey(account, lease), format.FieldLeaseRequest).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("scavenge capacity lease %s: %w", lease, err)
	}
	c := &Capacity{account: account, lease: lease}
	c.request, _ = format.ParseULID(request) // one that is damaged asked for nothing
	var force bool
	if c.asked, c.text, err = q.request(ctx, c); err == nil {
		if force, err = q.neverBegan(ctx, c.asked); err == nil {
			err = q.ReleaseCapacity(ctx, c, force)
		}
	}
	if IsDefect(err) {
		return q.dropCapacity(ctx, c)
	}
	return err
}

// neverBegan tells whether what a request was for has to be begun anew: a start that
// is there, and was not tried again. What else held a semaphore until its run's end
// holds it, though the process that took it has died: its run goes on, or has given it
// back (redis-queue §11).
func (q *Queue) neverBegan(ctx context.Context, r *format.Request) (bool, error) {
	manual := func(c format.Constraint) bool {
		return c.Semaphore != nil && c.Semaphore.Release == format.ReleaseManual
	}
	if !slices.ContainsFunc(r.Constraints, manual) {
		return false, nil
	}
	e, err := q.Get(ctx, r.Key)
	if errors.Is(err, ErrGone) || IsDefect(err) {
		return false, nil
	}
	return err == nil && e.Item.Data.Kind == format.KindStart && e.Item.Data.Attempt == 0, err
}

// dropCapacity takes away a capacity lease that cannot be given back, because what
// was asked for cannot be read: what counts leases sees that it has ended.
func (q *Queue) dropCapacity(ctx context.Context, c *Capacity) error {
	_, err := q.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, format.CapacityLeasesKey(c.account), c.lease.String())
		p.Del(ctx, format.CapacityLeaseKey(c.account, c.lease), format.RequestKey(c.account, c.request))
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop capacity lease %s: %w", c.lease, err)
	}
	q.Observer.putRight("capacity")
	return nil
}

// SetSemaphore sets how much there is of a semaphore (redis-state §15).
func (q *Queue) SetSemaphore(ctx context.Context, account uuid.UUID, id string, capacity int) error {
	if err := q.redis.Set(ctx, format.SemaphoreCapacityKey(account, id), capacity, 0).Err(); err != nil {
		return fmt.Errorf("set semaphore %s: %w", id, err)
	}
	return nil
}

// ReleaseSemaphore gives back what a run took of a semaphore until its end. Doing
// so again soon is harmless.
func (q *Queue) ReleaseSemaphore(ctx context.Context, account uuid.UUID, s format.Semaphore, run ulid.ULID) error {
	keys := []string{
		format.SemaphoreUsageKey(account, s.ID, s.Value), format.SemaphoreOnceKey(account, format.SemaphoreRelease, run.String()),
	}
	if err := scriptReleaseSemaphore.Run(ctx, q.redis, keys, s.Weight).Err(); err != nil {
		return fmt.Errorf("release semaphore %s of run %s: %w", s.ID, run, err)
	}
	return nil
}
