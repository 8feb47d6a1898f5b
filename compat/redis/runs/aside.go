package runs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

var scriptSetPauseAside = embedded("set_pause_aside")

// SetPauseAside takes a pause out of an event's hash that leads to nothing, and
// keeps it with the reason, of the kind why. text is the pause as it was read. It
// tells whether it did: not for one that has changed.
func (s *Store) SetPauseAside(ctx context.Context, environment uuid.UUID, event, id, text, why, reason string) (bool, error) {
	pause := ""
	if parsed, err := format.ParseUUID(id); err == nil {
		pause = format.PauseKey(parsed)
	}
	done, err := scriptSetPauseAside.Run(ctx, s.redis, []string{
		format.PauseEventsKey(environment, event), format.PausesAsideKey, format.PauseIndexKey,
		format.PauseAddedKey(environment, event), format.PauseExpiresKey(environment, event), orNone(pause),
	}, id, text, why, reason, time.Now().UnixMilli()).Int()
	if err != nil {
		return false, fmt.Errorf("set pause %s aside: %w", id, err)
	}
	return done == 1, nil
}

// orNone is a key of the pauses that is never there, for none.
func orNone(key string) string {
	if key == "" {
		return format.PausesAsideKey + ":none"
	}
	return key
}

// PauseText is a pause of an event as it is stored; ok is false when it is not
// there.
func (s *Store) PauseText(ctx context.Context, environment uuid.UUID, event string, id uuid.UUID) (text string, ok bool, err error) {
	text, err = s.redis.HGet(ctx, format.PauseEventsKey(environment, event), id.String()).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read pause %s: %w", id, err)
	}
	return text, true, nil
}
