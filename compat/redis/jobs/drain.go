package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// drainSize is how many items of a backlog are moved at once.
const drainSize = 200

// Drain moves what rests in backlogs to the ready items: a server of the original
// puts it there when its key queues are on, and leaves it when they are turned off
// again (redis-queue §21). Limits hold it back from there on. It tells how many
// items it moved.
func (q *Queue) Drain(ctx context.Context) (int, error) {
	partitions, err := q.redis.ZRange(ctx, format.ShadowPointersKey, 0, -1).Result()
	if err != nil {
		return 0, fmt.Errorf("drain backlogs: %w", err)
	}
	moved := 0
	for _, partition := range partitions {
		shadow, err := q.shadow(ctx, partition)
		if err != nil {
			return moved, err
		}
		n, err := q.drainPartition(ctx, partition, shadow)
		moved += n
		if err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// shadow reads a shadow partition; what is not there, or cannot be read, tells
// nothing.
func (q *Queue) shadow(ctx context.Context, partition string) (format.Shadow, error) {
	text, err := q.redis.HGet(ctx, format.ShadowsKey, partition).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return format.Shadow{}, fmt.Errorf("drain partition %s: %w", partition, err)
	}
	s, err := format.Decode[format.Shadow](format.Place{Key: format.ShadowsKey, Member: partition}, text)
	if err != nil {
		return format.Shadow{}, nil
	}
	return s, nil
}

func (q *Queue) drainPartition(ctx context.Context, partition string, s format.Shadow) (int, error) {
	account := uuid.Nil
	if s.AccountID != nil {
		account = *s.AccountID
	}
	p := format.SystemPartition(partition)
	if id, err := format.ParseUUID(partition); err == nil {
		p = format.FunctionPartition(id, account)
	}
	fresh, err := format.Encode(p)
	if err != nil {
		return 0, err
	}
	backlogs, err := q.redis.ZRange(ctx, format.ShadowKey(partition), 0, -1).Result()
	if err != nil {
		return 0, fmt.Errorf("drain partition %s: %w", partition, err)
	}
	moved := 0
	for _, backlog := range backlogs {
		for {
			keys, name := pointerKeys(account)
			keys = append(keys, format.ReadyKey(partition), format.BacklogKeyOf(backlog), format.BacklogsKey, format.ShadowKey(partition),
				format.ShadowsKey, format.ShadowPointersKey, format.AccountShadowsKey(account), format.ShadowAccountsKey)
			n, err := scriptDrain.Run(ctx, q.redis, keys, partition, name, backlog, fresh, drainSize).Int()
			if err != nil {
				return moved, fmt.Errorf("drain backlog %s: %w", backlog, err)
			}
			if moved += n; n < drainSize {
				break
			}
		}
	}
	return moved, nil
}
