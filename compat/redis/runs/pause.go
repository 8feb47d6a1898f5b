package runs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

// ErrSignalTaken is a wait for a signal that another run waits for.
var ErrSignalTaken = errors.New("another run waits for the signal")

func pauseKeys(p *format.Pause) []string {
	return []string{
		format.PauseKey(p.ID), format.PauseIndexKey, format.PauseAddedKey(p.EnvironmentID, p.IndexEvent()),
		format.PauseExpiresKey(p.EnvironmentID, p.IndexEvent()), format.RunPausesKey(p.Run.RunID),
		format.PauseEventsKey(p.EnvironmentID, p.IndexEvent()), format.InvokesKey(p.EnvironmentID),
		format.SignalsKey(p.EnvironmentID), format.PauseBlockKey(p.ID),
	}
}

// SavePause saves a pause unless it is there. replace takes a signal from whoever
// waits for it; without it the error is [ErrSignalTaken]. A pause that expired
// long ago is saved for a second: its timeout is due.
func (s *Store) SavePause(ctx context.Context, p *format.Pause, now time.Time, replace bool) error {
	o, err := pauseOperation(p, now, replace)
	if err != nil {
		return err
	}
	code, err := o.Run(ctx, s.redis).Int()
	if err == nil && code == -2 {
		err = ErrSignalTaken
	}
	if err != nil {
		return fmt.Errorf("save pause %s of run %s: %w", p.ID, p.Run.RunID, err)
	}
	return nil
}

// argSignal is where the arguments of a pause's operation have its signal.
const argSignal = 6

// PauseOperation is SavePause as part of a chain, without taking a signal from
// others: it answers -1 for a pause that was there before, -2 for a signal that
// another run waits for.
func PauseOperation(p *format.Pause, now time.Time) (script.Operation, error) {
	return pauseOperation(p, now, false)
}

func pauseOperation(p *format.Pause, now time.Time, replace bool) (o script.Operation, err error) {
	text, err := format.Encode(p)
	if err != nil {
		return o, err
	}
	return scriptSavePause.On(pauseKeys(p)[:8], p.ID.String(), text, max(p.Lifetime(now), 1), p.CreatedAt.Unix(), p.IndexEvent(),
		p.Correlation, p.Signal, replace), nil
}

// DeletePause deletes a pause with its indexes; one that is not there is fine.
func (s *Store) DeletePause(ctx context.Context, p *format.Pause) error {
	err := scriptDeletePause.Run(ctx, s.redis, pauseKeys(p), p.ID.String(), p.Correlation, p.Signal).Err()
	if err != nil {
		return fmt.Errorf("delete pause %s of run %s: %w", p.ID, p.Run.RunID, err)
	}
	return nil
}

// Pause reads a pause; nil when it is not there.
func (s *Store) Pause(ctx context.Context, id uuid.UUID) (*format.Pause, error) {
	key := format.PauseKey(id)
	text, err := s.redis.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pause %s: %w", id, err)
	}
	p, err := format.Decode[format.Pause](format.Place{Key: key}, text)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// PausesOf are the pauses of a run that are there, by no order.
func (s *Store) PausesOf(ctx context.Context, run ulid.ULID) ([]*format.Pause, error) {
	ids, err := s.redis.SMembers(ctx, format.RunPausesKey(run)).Result()
	if err != nil {
		return nil, fmt.Errorf("list pauses of run %s: %w", run, err)
	}
	return s.pauses(ctx, run, ids)
}

// pauses reads the pauses of a run with these ids that are there.
func (s *Store) pauses(ctx context.Context, run ulid.ULID, ids []string) ([]*format.Pause, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		parsed, err := format.ParseUUID(id)
		if err != nil {
			return nil, &format.ValueError{Place: format.Place{Key: format.RunPausesKey(run), Member: id}, Err: err}
		}
		keys[i] = format.PauseKey(parsed)
	}
	texts, err := s.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("read pauses of run %s: %w", run, err)
	}
	var all []*format.Pause
	for i, text := range texts {
		if text, there := text.(string); there {
			p, err := format.Decode[format.Pause](format.Place{Key: keys[i]}, text)
			if err != nil {
				return nil, err
			}
			all = append(all, &p)
		}
	}
	return all, nil
}

// deletePauses deletes the pauses of a run with these ids. Also those of which only
// the indexes are left, as far as they can be told, unlike the original
// (redis-state §8.6).
func (s *Store) deletePauses(ctx context.Context, run ulid.ULID, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	for _, id := range ids {
		parsed, err := format.ParseUUID(id)
		if err != nil {
			continue // it leads nowhere
		}
		p, err := s.Pause(ctx, parsed)
		var damaged *format.ValueError
		if err != nil && !errors.As(err, &damaged) {
			return err
		}
		if p == nil {
			err = s.redis.SRem(ctx, format.PauseIndexKey, id).Err()
		} else {
			err = s.DeletePause(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("delete pauses of run %s: %w", run, err)
		}
	}
	if err := s.redis.Del(ctx, format.RunPausesKey(run)).Err(); err != nil {
		return fmt.Errorf("delete pauses of run %s: %w", run, err)
	}
	return nil
}

// scanSize is how many pauses of an event are read at once.
const scanSize = 1000

// EachPauseOf calls visit for each pause that waits for an event of that name.
// What cannot be read is given to damaged, and does not keep others from it.
func (s *Store) EachPauseOf(ctx context.Context, environment uuid.UUID, event string,
	visit func(*format.Pause) error, damaged func(error)) error {
	key := format.PauseEventsKey(environment, event)
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		values, next, err := s.redis.HScan(ctx, key, cursor, "", scanSize).Result()
		if err != nil {
			return fmt.Errorf("read pauses for event %s: %w", event, err)
		}
		for i := 0; i+1 < len(values); i += 2 {
			if seen[values[i]] {
				continue
			}
			seen[values[i]] = true
			p, err := format.Decode[format.Pause](format.Place{Key: key, Member: values[i]}, values[i+1])
			if err != nil {
				damaged(err)
				continue
			}
			if err := visit(&p); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Invoke finds the pause of an invoke; nil when nobody waits.
func (s *Store) Invoke(ctx context.Context, environment uuid.UUID, correlation string) (*format.Pause, error) {
	return s.mapped(ctx, format.InvokesKey(environment), correlation)
}

// Signal finds the pause that waits for a signal; nil when nobody does.
func (s *Store) Signal(ctx context.Context, environment uuid.UUID, name string) (*format.Pause, error) {
	return s.mapped(ctx, format.SignalsKey(environment), name)
}

func (s *Store) mapped(ctx context.Context, key, field string) (*format.Pause, error) {
	text, err := s.redis.HGet(ctx, key, field).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s in %s: %w", field, key, err)
	}
	id, err := format.ParseUUID(text)
	if err != nil {
		return nil, &format.ValueError{Place: format.Place{Key: key, Member: field}, Err: err}
	}
	return s.Pause(ctx, id)
}
