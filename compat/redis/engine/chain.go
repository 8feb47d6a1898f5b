package engine

import (
	"context"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
	"jetstep/compat/redis/script"
)

// What a run needs is of several hash tags. Where one server has all keys it is done by
// one script, which is one round trip and one moment. Where it has not, or where
// something is not as it mostly is, each tag's is done by itself, in the same order: a
// chain that was not done to its end is harmless then.

func newAcross(client redis.UniversalClient) *script.Across {
	return script.NewAcross(client, append(runs.Scripts(), jobs.Scripts()...)...)
}

// ask does operations that give lists, in one round trip.
func (n *Node) ask(ctx context.Context, operations ...script.Operation) ([]any, error) {
	answers, done, err := n.across.Do(ctx, operations...)
	if done || err != nil {
		return answers, err
	}
	answers = make([]any, len(operations))
	for i, command := range script.SideBySide(ctx, n.Redis, operations...) {
		if answers[i], err = command.Slice(); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
