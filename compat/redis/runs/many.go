package runs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
)

// Loaded is a run as LoadMany found it, or why it cannot be read:
// format.ErrNoRun, a *format.ValueError, or what Redis says of a key.
type Loaded struct {
	Run *Run
	Err error
}

// LoadMany is Load of several runs, in as many round trips as one takes. Runs that
// change meanwhile may be read half before and half after: it is for runs that
// nobody executes.
func (s *Store) LoadMany(ctx context.Context, ids []ulid.ULID) ([]Loaded, error) {
	loaded := make([]Loaded, len(ids))
	refs, err := s.refs(ctx, ids, loaded)
	if err != nil {
		return nil, err
	}
	readings := make([]*reading, len(ids))
	pauses := make([]*redis.StringSliceCmd, len(ids))
	err = pipeline.Do(ctx, s.redis, func(p redis.Pipeliner) {
		for i := range ids {
			if loaded[i].Err == nil {
				readings[i] = read(ctx, p, refs[i])
				pauses[i] = p.SMembers(ctx, format.RunPausesKey(ids[i]))
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d runs: %w", len(ids), err)
	}
	var found []uuid.UUID
	of := map[uuid.UUID]int{} // runs, by pause
	for i, r := range readings {
		if r == nil {
			continue
		}
		if loaded[i].Run, loaded[i].Err = r.run(); loaded[i].Err != nil {
			continue
		}
		for _, text := range pauses[i].Val() {
			id, err := format.ParseUUID(text)
			if err != nil {
				at := format.Place{Key: format.RunPausesKey(ids[i]), Member: text}
				loaded[i] = Loaded{Err: &format.ValueError{Place: at, Err: err}}
				break
			}
			found, of[id] = append(found, id), i
		}
	}
	return loaded, s.addPauses(ctx, found, of, loaded)
}

// refs finds out whose runs they are.
func (s *Store) refs(ctx context.Context, ids []ulid.ULID, loaded []Loaded) ([]Ref, error) {
	fields := make([]*redis.StringCmd, len(ids))
	err := pipeline.Do(ctx, s.redis, func(p redis.Pipeliner) {
		for i, id := range ids {
			fields[i] = p.HGet(ctx, format.MetadataKey(id), format.FieldID)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read metadata of %d runs: %w", len(ids), err)
	}
	refs := make([]Ref, len(ids))
	for i, field := range fields {
		if errors.Is(field.Err(), redis.Nil) {
			loaded[i].Err = fmt.Errorf("%s: %w", format.MetadataKey(ids[i]), format.ErrNoRun)
			continue
		}
		if loaded[i].Err = field.Err(); loaded[i].Err != nil {
			continue
		}
		at := format.Place{Key: format.MetadataKey(ids[i]), Member: format.FieldID}
		id, err := format.Decode[format.Identifier](at, field.Val())
		if err != nil {
			loaded[i].Err = err
			continue
		}
		refs[i] = Ref{ids[i], id.FunctionID}
	}
	return refs, nil
}

// addPauses reads pauses and gives them to their runs. One that has outlived its
// key is left out.
func (s *Store) addPauses(ctx context.Context, ids []uuid.UUID, of map[uuid.UUID]int, loaded []Loaded) error {
	texts := make([]*redis.StringCmd, len(ids))
	err := pipeline.Do(ctx, s.redis, func(p redis.Pipeliner) {
		for i, id := range ids {
			texts[i] = p.Get(ctx, format.PauseKey(id))
		}
	})
	if err != nil {
		return fmt.Errorf("read %d pauses: %w", len(ids), err)
	}
	for i, text := range texts {
		to := &loaded[of[ids[i]]]
		if to.Err != nil || errors.Is(text.Err(), redis.Nil) {
			continue
		}
		if text.Err() != nil {
			*to = Loaded{Err: text.Err()}
			continue
		}
		p, err := format.Decode[format.Pause](format.Place{Key: format.PauseKey(ids[i])}, text.Val())
		if err != nil {
			*to = Loaded{Err: err}
			continue
		}
		to.Run.Pauses = append(to.Run.Pauses, &p)
	}
	return nil
}
