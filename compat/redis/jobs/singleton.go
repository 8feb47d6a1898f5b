package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

var scriptFreeSingleton = embedded("free_singleton")

// Singleton is the run that holds the key of a singleton (redis-queue §15); ok is
// false when it is free. A value that is no run holds nothing: it is set aside.
func (q *Queue) Singleton(ctx context.Context, key string) (run ulid.ULID, ok bool, err error) {
	name := format.SingletonKey(key)
	text, err := q.redis.Get(ctx, name).Result()
	if errors.Is(err, redis.Nil) {
		return run, false, nil
	}
	if err != nil {
		return run, false, fmt.Errorf("read singleton %s: %w", key, err)
	}
	if run, err = format.ParseULID(text); err != nil {
		return run, false, keepAside(ctx, q.redis, q.Observer, name, Unreadable)
	}
	return run, true, nil
}

// FreeSingleton frees a key that a run holds which is gone, unless it has jobs
// still: the last of these frees it. It tells whether the key is free.
func (q *Queue) FreeSingleton(ctx context.Context, key string, run ulid.ULID) (bool, error) {
	keys := []string{format.SingletonKey(key), format.SingletonRunKey(run), format.RunIndexKey(run)}
	freed, err := scriptFreeSingleton.Run(ctx, q.redis, keys, run.String()).Bool()
	if err != nil {
		return false, fmt.Errorf("free singleton %s of run %s: %w", key, run, err)
	}
	return freed, nil
}
