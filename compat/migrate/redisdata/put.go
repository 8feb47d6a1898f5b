package redisdata

import (
	"context"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// Put implements migrate.Target.
func (s *Side) Put(ctx context.Context, items []migrate.Item) ([]migrate.Outcome, error) {
	outcomes := make([]migrate.Outcome, len(items))
	err := eachKind(items, func(kind migrate.Kind, of []*migrate.Item, places []int) error {
		put := map[migrate.Kind]func(context.Context, []*migrate.Item) ([]migrate.Outcome, error){
			migrate.KindRun: s.putRuns, migrate.KindClaim: s.putClaims, migrate.KindBatch: oneByOne(s.putBatch), migrate.KindBatched: s.putBatched,
			migrate.KindDebounce: oneByOne(s.putDebounce), migrate.KindRate: s.putRates, migrate.KindSemaphore: s.putSemaphores, migrate.KindCron: s.putCrons,
		}[kind]
		if put == nil {
			return fmt.Errorf("items of kind %q cannot be written", kind)
		}
		done, err := put(ctx, of)
		for i, o := range done {
			outcomes[places[i]] = o
		}
		return err
	})
	return outcomes, err
}

// oneByOne writes items of which each has to be looked at before.
func oneByOne(put func(context.Context, *migrate.Item) (migrate.Outcome, error)) func(context.Context, []*migrate.Item) ([]migrate.Outcome, error) {
	return func(ctx context.Context, items []*migrate.Item) ([]migrate.Outcome, error) {
		outcomes := make([]migrate.Outcome, len(items))
		for i, item := range items {
			var err error
			if outcomes[i], err = put(ctx, item); err != nil {
				return nil, fmt.Errorf("write %s %s: %w", item.Kind, item.Key, err)
			}
		}
		return outcomes, nil
	}
}

// eachKind calls do for the items of each kind, with their places.
func eachKind(items []migrate.Item, do func(migrate.Kind, []*migrate.Item, []int) error) error {
	for _, kind := range migrate.Kinds {
		var of []*migrate.Item
		var places []int
		for i := range items {
			if items[i].Kind == kind {
				of, places = append(of, &items[i]), append(places, i)
			}
		}
		if len(of) == 0 {
			continue
		}
		if err := do(kind, of, places); err != nil {
			return err
		}
	}
	return nil
}

// Get implements migrate.Source.
func (s *Side) Get(ctx context.Context, ids []migrate.ID) ([]*migrate.Item, error) {
	asked := make([]migrate.Item, len(ids))
	for i, id := range ids {
		asked[i].ID = id
	}
	found := make([]*migrate.Item, len(ids))
	err := eachKind(asked, func(kind migrate.Kind, of []*migrate.Item, places []int) error {
		keys := make([]string, len(of))
		for i, item := range of {
			keys[i] = item.Key
		}
		items, err := s.get(ctx, kind, keys)
		for i, item := range items {
			found[places[i]] = item
		}
		return err
	})
	return found, err
}

func (s *Side) get(ctx context.Context, kind migrate.Kind, keys []string) ([]*migrate.Item, error) {
	switch kind {
	case migrate.KindRun:
		return s.getRuns(ctx, keys)
	case migrate.KindClaim:
		return s.getExpiring(ctx, keys, func(key string) (string, reader) {
			name := format.ClaimKey(s.Account, key)
			return name, func(v *expiring) *migrate.Item { return claimItem(name, key, v) }
		})
	case migrate.KindBatched:
		return s.getExpiring(ctx, keys, s.batchedReader)
	case migrate.KindRate:
		return s.getExpiring(ctx, keys, s.rateReader)
	case migrate.KindBatch:
		ids := make([]batchID, len(keys))
		for i, key := range keys {
			fn, batch, _ := strings.Cut(key, " ")
			ids[i].function, _ = format.ParseUUID(fn) // one that is none is not there
			ids[i].batch, _ = format.ParseULID(batch)
		}
		return s.readBatches(ctx, ids)
	case migrate.KindDebounce:
		return s.getDebounces(ctx, keys)
	case migrate.KindSemaphore:
		ids := make([]migrate.Semaphore, len(keys))
		for i, key := range keys {
			ids[i].ID, ids[i].Value, _ = strings.Cut(key, " ")
		}
		return s.readSemaphores(ctx, ids)
	case migrate.KindCron:
		there, err := s.crons(ctx)
		if err != nil {
			return nil, err
		}
		items := make([]*migrate.Item, len(keys))
		for i, key := range keys {
			if cron := there[migrate.ID{Kind: kind, Key: key}]; cron != nil {
				item := cron.Item()
				items[i] = &item
			}
		}
		return items, nil
	}
	return nil, fmt.Errorf("items of kind %q cannot be read", kind)
}

// reader reads a string that is kept for a time.
type reader func(*expiring) *migrate.Item

// getExpiring reads items that such strings are; an item's key says which and how.
func (s *Side) getExpiring(ctx context.Context, keys []string, of func(key string) (name string, read reader)) ([]*migrate.Item, error) {
	names, readers := make([]string, len(keys)), make([]reader, len(keys))
	for i, key := range keys {
		names[i], readers[i] = of(key)
	}
	values, err := s.readExpiring(ctx, names)
	if err != nil {
		return nil, err
	}
	items := make([]*migrate.Item, len(keys))
	for i := range keys {
		items[i] = readers[i](&values[i])
	}
	return items, nil
}

func (s *Side) batchedReader(key string) (string, reader) {
	first, second, _ := strings.Cut(key, " ")
	fn, _ := format.ParseUUID(first) // one that is none is not there
	event, _ := format.ParseULID(second)
	return format.BatchSeenKey(fn, event), func(v *expiring) *migrate.Item { return batchedItem(fn, event, v) }
}

func (s *Side) rateReader(key string) (string, reader) {
	r, _ := migrate.RateOf(key) // one that is none is not there
	name := s.rateName(&r)
	return name, func(v *expiring) *migrate.Item { return rateItem(name, &r, v) }
}

// getRuns reads runs; one whose metadata are gone is not there.
func (s *Side) getRuns(ctx context.Context, keys []string) ([]*migrate.Item, error) {
	ids := make([]ulid.ULID, len(keys))
	for i, key := range keys {
		ids[i], _ = format.ParseULID(key) // one that is none is not there
	}
	there, err := s.live(ctx, ids)
	if err != nil {
		return nil, err
	}
	var live []ulid.ULID
	var places []int
	for i, id := range ids {
		if there[id] {
			live, places = append(live, id), append(places, i)
		}
	}
	items := make([]*migrate.Item, len(keys))
	found, err := s.readRuns(ctx, live)
	for i, item := range found {
		items[places[i]] = item
	}
	return items, err
}

func (s *Side) getDebounces(ctx context.Context, keys []string) ([]*migrate.Item, error) {
	texts := make([]*redis.StringCmd, len(keys))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, key := range keys {
			texts[i] = p.HGet(ctx, format.DebouncesKey, key)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d debounces: %w", len(keys), err)
	}
	var fields []field
	var places []int
	for i, key := range keys {
		if !missing(texts[i]) {
			fields, places = append(fields, field{key, texts[i].Val()}), append(places, i)
		}
	}
	items := make([]*migrate.Item, len(keys))
	found, err := s.readDebounces(ctx, fields, nil)
	for i, item := range found {
		items[places[i]] = item
	}
	return items, err
}
