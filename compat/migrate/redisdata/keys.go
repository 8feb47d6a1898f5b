package redisdata

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// key is a key with what its name says.
type key struct {
	name    string
	pattern *format.Pattern
	parts   format.Parts
	part    part
}

// keys reads some keys.
func (s *Side) keys(ctx context.Context, names []string, show func([]migrate.Item) error) error {
	known, items, err := s.identify(ctx, names)
	if err != nil {
		return err
	}
	byPart := map[part][]key{}
	for _, k := range known {
		byPart[k.part] = append(byPart[k.part], k)
	}
	for _, read := range []struct {
		part part
		do   func(context.Context, []key) ([]migrate.Item, error)
	}{
		{isOfRun, s.ofRuns}, {isClaim, s.claimsOf}, {isPause, s.pauses}, {isSingleton, s.singletons},
		{isBatch, s.batchesOf}, {isBatched, s.batched}, {isThrottle, s.ratesOf}, {isRateLimit, s.ratesOf},
		{isCapacity, s.semaphoresOf}, {isUsage, s.semaphoresOf}, {isAside, s.asideKeys},
		{isDerived, onlyCounted(migrate.KindDerived)}, {isTransient, onlyCounted(migrate.KindTransient)},
	} {
		if len(byPart[read.part]) == 0 {
			continue
		}
		more, err := read.do(ctx, byPart[read.part])
		if err != nil {
			return err
		}
		items = append(items, more...)
	}
	if err := show(items); err != nil {
		return err
	}
	return s.eachRun(ctx, byPart[isRun], show)
}

// identify finds out what the keys are. Those of other programs are counted, and
// those of a type that they should not have are bad; both are the items.
func (s *Side) identify(ctx context.Context, names []string) ([]key, []migrate.Item, error) {
	types := make([]*redis.StatusCmd, len(names))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, name := range names {
			types[i] = p.Type(ctx, name)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the types of %d keys: %w", len(names), err)
	}
	var known []key
	var items []migrate.Item
	foreign := 0
	for i, name := range names {
		pattern, partsOf, ok := format.Identify(name)
		typ := format.Type(types[i].Val())
		switch {
		case typ == "none": // it has ended meanwhile
			items = append(items, counted(migrate.KindTransient, "ended meanwhile", 1))
		case !ok && ours(name):
			items = append(items, (&migrate.Bad{Key: name, Reason: "a key of no known kind"}).Item())
		case !ok:
			foreign++
		case pattern.Type != "" && typ != pattern.Type:
			items = append(items, badKey(name, &format.WrongTypeError{Key: name, Want: pattern.Type, Got: typ}))
		default:
			known = append(known, key{name, pattern, partsOf, parts[pattern.Template]})
		}
	}
	if foreign > 0 {
		items = append(items, counted(migrate.KindForeign, "other keys", foreign))
	}
	return known, items, nil
}

// ours tells whether a key has a hash tag of the original's.
func ours(name string) bool {
	for _, tag := range []string{"{estate", "{queue", "{cs}", "{connect}"} {
		if strings.HasPrefix(name, tag) {
			return true
		}
	}
	return false
}

// onlyCounted counts keys by their kind.
func onlyCounted(kind migrate.Kind) func(context.Context, []key) ([]migrate.Item, error) {
	return func(_ context.Context, keys []key) ([]migrate.Item, error) {
		counts := map[string]int{}
		for _, k := range keys {
			counts[k.pattern.Template]++
		}
		var items []migrate.Item
		for template, n := range counts {
			items = append(items, counted(kind, template, n))
		}
		return items, nil
	}
}

// asideKeys are keys of wrong types that were set aside.
func (s *Side) asideKeys(_ context.Context, keys []key) ([]migrate.Item, error) {
	var items []migrate.Item
	for _, k := range keys {
		items = append(items, (&migrate.Bad{Key: k.name, Reason: "set aside: a key of a wrong type"}).Item())
	}
	return items, nil
}

// live tells which of the runs are there.
func (s *Side) live(ctx context.Context, ids []ulid.ULID) (map[ulid.ULID]bool, error) {
	exist := map[ulid.ULID]*redis.IntCmd{}
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for _, id := range ids {
			if exist[id] == nil {
				exist[id] = p.Exists(ctx, format.MetadataKey(id))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for %d runs: %w", len(ids), err)
	}
	there := map[ulid.ULID]bool{}
	for id, command := range exist {
		there[id] = command.Val() == 1
	}
	return there, nil
}

// ofRuns are keys of runs' states: what their runs consist of, or what is left of
// a run whose metadata are gone.
func (s *Side) ofRuns(ctx context.Context, keys []key) ([]migrate.Item, error) {
	ids := make([]ulid.ULID, len(keys))
	for i, k := range keys {
		ids[i] = ulid.MustParse(k.parts["run"]) // the pattern says that it is one
	}
	there, err := s.live(ctx, ids)
	if err != nil {
		return nil, err
	}
	var items []migrate.Item
	for i, k := range keys {
		if !there[ids[i]] {
			items = append(items, (&migrate.Bad{Key: k.name, Reason: "state of a run whose metadata are gone"}).Item())
			continue
		}
		items = append(items, counted(migrate.KindDerived, k.pattern.Template, 1))
	}
	return items, nil
}

// pauses are part of their runs, unless these are gone, or do not know them.
func (s *Side) pauses(ctx context.Context, keys []key) ([]migrate.Item, error) {
	texts := make([]*redis.StringCmd, len(keys))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, k := range keys {
			texts[i] = p.Get(ctx, k.name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d pauses: %w", len(keys), err)
	}
	var items []migrate.Item
	var found []*format.Pause
	var ids []ulid.ULID
	for i, k := range keys {
		if missing(texts[i]) {
			items = append(items, counted(migrate.KindTransient, k.pattern.Template, 1))
			continue
		}
		p, err := format.Decode[format.Pause](format.Place{Key: k.name}, texts[i].Val())
		if err == nil && p.ID.String() != k.parts["pause"] {
			err = fmt.Errorf("it says that it is pause %s", p.ID)
		}
		if err != nil {
			items = append(items, (&migrate.Bad{Key: k.name, Reason: err.Error(), Value: texts[i].Val()}).Item())
			continue
		}
		found, ids = append(found, &p), append(ids, p.Run.RunID)
	}
	there, err := s.live(ctx, ids)
	if err != nil {
		return nil, err
	}
	members := make([]*redis.BoolCmd, len(found))
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, pause := range found {
			members[i] = p.SIsMember(ctx, format.RunPausesKey(pause.Run.RunID), pause.ID.String())
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look for %d pauses: %w", len(found), err)
	}
	for i, pause := range found {
		name := format.PauseKey(pause.ID)
		switch {
		case !there[pause.Run.RunID]:
			items = append(items, (&migrate.Bad{Key: name, Reason: fmt.Sprintf("a pause of run %s, which is not there", pause.Run.RunID)}).Item())
		case !members[i].Val():
			items = append(items, (&migrate.Bad{Key: name, Reason: fmt.Sprintf("a pause that run %s does not know", pause.Run.RunID)}).Item())
		default:
			items = append(items, counted(migrate.KindDerived, "{estate}:pauses:<pause>", 1))
		}
	}
	return items, nil
}

// singletons are part of the runs that hold them.
func (s *Side) singletons(ctx context.Context, keys []key) ([]migrate.Item, error) {
	holders := make([]*redis.StringCmd, len(keys))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, k := range keys {
			holders[i] = p.Get(ctx, k.name)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d singletons: %w", len(keys), err)
	}
	ids := make([]ulid.ULID, len(keys))
	for i := range keys {
		ids[i], _ = format.ParseULID(holders[i].Val()) // what is no run is not there
	}
	there, err := s.live(ctx, ids)
	if err != nil {
		return nil, err
	}
	var items []migrate.Item
	for i, k := range keys {
		if there[ids[i]] {
			items = append(items, counted(migrate.KindDerived, k.pattern.Template, 1))
			continue
		}
		items = append(items, (&migrate.Bad{Key: k.name, Reason: "held by a run that is not there", Value: holders[i].Val()}).Item())
	}
	return items, nil
}

// function is the function that a key's name has.
func (k *key) function() uuid.UUID { return uuid.MustParse(k.parts["function"]) } // the pattern says that it is one
