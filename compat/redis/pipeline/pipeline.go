// Package pipeline sends many commands to Redis in one round trip, those of one
// caller or of all who ask at the same time, and goes through the names of its keys,
// many at a time.
//
// It guarantees that a command whose key is not there, or is of another type,
// does not keep others from being answered; it decides nothing. Commands need not
// be of one slot of a cluster, and keys are those of all its masters.
package pipeline

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Do sends the commands that queue adds, if any. Each has its own answer, which
// may be that its key is not there or of another type ([WrongType]); any other
// error is returned.
func Do(ctx context.Context, client redis.UniversalClient, queue func(redis.Pipeliner)) error {
	commands, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		queue(p)
		return nil
	})
	if err == nil {
		return nil
	}
	if len(commands) == 0 {
		return err
	}
	for _, c := range commands {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) && !WrongType(err) {
			return err
		}
	}
	return nil
}

// WrongType tells whether an answer is that a key is of another type.
func WrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }
