package redisdata

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/function"
)

// rateLasts bounds how long a rate without an end is kept.
const rateLasts = 24 * time.Hour

// ratesOf are the states of rate limits and throttles.
func (s *Side) ratesOf(ctx context.Context, keys []key) ([]migrate.Item, error) {
	return s.itemsOf(ctx, keys, func(k key, v *expiring) *migrate.Item {
		r := &migrate.Rate{Throttle: k.part == isThrottle, FunctionID: k.function()}
		r.Expr, r.Value = format.RateValue(k.parts["limit"])
		return rateItem(k.name, r, v)
	})
}

// rateItem reads what was charged of a rate, nil for one that is not there.
func rateItem(name string, r *migrate.Rate, v *expiring) *migrate.Item {
	if missing(v.text) {
		return nil
	}
	tat, err := format.ParseTAT(format.Place{Key: name}, v.text.Val())
	if err != nil {
		item := (&migrate.Bad{Key: name, Reason: err.Error(), Value: v.text.Val()}).Item()
		return &item
	}
	r.TAT, r.Until = tat, v.until(rateLasts)
	item := r.Item()
	return &item
}

// rateName is the key of a rate.
func (s *Side) rateName(r *migrate.Rate) string {
	if !r.Throttle {
		key := format.Evaluated{}
		if r.Expr != "" {
			key = format.Evaluated{Expression: r.Expr, Value: r.FunctionID.String() + "-" + r.Value}
		}
		return format.RateLimitKey(s.Account, r.FunctionID, key)
	}
	return format.ThrottleKey(s.Account, r.FunctionID, throttleKey(r.FunctionID, r.Expr, r.Value))
}

// throttleKey is the key of a throttle by the hashes of its expression and value.
func throttleKey(fn uuid.UUID, expr, value string) format.Evaluated {
	if expr == "" {
		return format.Evaluated{Expression: engine.HashOfNone, Value: function.ThrottleKey(fn)}
	}
	return format.Evaluated{Expression: expr, Value: function.ThrottleKey(fn) + "-" + value}
}

// putRates writes what was charged, unless more was charged in the target.
func (s *Side) putRates(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	writes := make([]write, len(items))
	for i, item := range items {
		r := item.Rate
		name, text := s.rateName(r), format.RateTAT(r.TAT)
		writes[i] = write{name, text, r.Until, true, func(there string) migrate.Outcome {
			tat, err := format.ParseTAT(format.Place{Key: name}, there)
			switch {
			case err != nil:
				return migrate.Outcome{Result: migrate.Conflicts, Reason: err.Error()}
			case there == text:
				return migrate.Outcome{Result: migrate.There}
			case tat > r.TAT:
				return migrate.Outcome{Result: migrate.WentOn, Reason: "more was charged in the target"}
			}
			return migrate.Outcome{Result: migrate.Conflicts, Reason: "less was charged in the target"}
		}}
	}
	return s.writeExpiring(ctx, writes)
}

// semaphoresOf are the limits on runs. Those of connected workers end with the
// connections.
func (s *Side) semaphoresOf(ctx context.Context, keys []key) ([]migrate.Item, error) {
	var items []migrate.Item
	var ids []migrate.Semaphore
	for _, k := range keys {
		id := k.parts["..."]
		switch {
		case strings.HasPrefix(id, "app:"):
			items = append(items, counted(migrate.KindTransient, k.pattern.Template, 1))
		case k.part == isUsage && k.parts["value"] == "":
			items = append(items, counted(migrate.KindDerived, k.pattern.Template, 1)) // of what has a size
		default:
			ids = append(ids, migrate.Semaphore{ID: id, Value: k.parts["value"]})
		}
	}
	found, err := s.readSemaphores(ctx, ids)
	for _, item := range found {
		if item != nil {
			items = append(items, *item)
		}
	}
	return items, err
}

// readSemaphores reads semaphores; nil stands for one of which nothing is known.
func (s *Side) readSemaphores(ctx context.Context, ids []migrate.Semaphore) ([]*migrate.Item, error) {
	used, sizes := make([]*redis.StringCmd, len(ids)), make([]*redis.StringCmd, len(ids))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, id := range ids {
			used[i] = p.Get(ctx, format.SemaphoreUsageKey(s.Account, id.ID, id.Value))
			sizes[i] = p.Get(ctx, format.SemaphoreCapacityKey(s.Account, id.ID))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d semaphores: %w", len(ids), err)
	}
	items := make([]*migrate.Item, len(ids))
	for i, id := range ids {
		if missing(used[i]) && missing(sizes[i]) {
			continue
		}
		m := migrate.Semaphore{ID: id.ID, Value: id.Value, Capacity: -1}
		if n, err := sizes[i].Int(); err == nil {
			m.Capacity = n
		}
		item := m.Item()
		if m.Used, err = used[i].Int(); err != nil && !missing(used[i]) {
			name := format.SemaphoreUsageKey(s.Account, id.ID, id.Value)
			item = (&migrate.Bad{Key: name, Reason: err.Error(), Value: used[i].Val()}).Item()
		}
		items[i] = &item
	}
	return items, nil
}

// putSemaphores writes how much is taken. What the target has counted since stays.
func (s *Side) putSemaphores(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
	var writes []write
	of := make([]int, len(items))
	there := func(text string) func(string) migrate.Outcome {
		return func(have string) migrate.Outcome {
			if have == text {
				return migrate.Outcome{Result: migrate.There}
			}
			return migrate.Outcome{Result: migrate.WentOn, Reason: "the target has counted since"}
		}
	}
	for i, item := range items {
		m := item.Semaphore
		of[i] = -1
		if m.Capacity >= 0 {
			of[i] = len(writes)
			text := strconv.Itoa(m.Capacity)
			writes = append(writes, write{format.SemaphoreCapacityKey(s.Account, m.ID), text, 0, false, there(text)})
		}
		if m.Used != 0 {
			of[i] = len(writes)
			text := strconv.Itoa(m.Used)
			writes = append(writes, write{format.SemaphoreUsageKey(s.Account, m.ID, m.Value), text, 0, false, there(text)})
		}
	}
	all, err := s.writeExpiring(ctx, writes)
	if err != nil {
		return nil, err
	}
	outcomes := make([]migrate.Outcome, len(items))
	for i := range items {
		if of[i] >= 0 {
			outcomes[i] = all[of[i]]
		}
	}
	return outcomes, nil
}
