package jobs

import (
	"context"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// MendTypes makes a client set keys aside that a command or script finds to be of
// another type than the original's, and ask again: whatever they are for begins anew
// without them, and nobody tries for ever. Keys of a single run stay: without them it
// would not be the same run.
func MendTypes(client redis.UniversalClient, o Observer, log *slog.Logger) {
	client.AddHook(&mending{client, o, log})
}

// mending is a hook of a client.
type mending struct {
	client   redis.UniversalClient
	observer Observer
	log      *slog.Logger
}

// DialHook implements redis.Hook.
func (m *mending) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (m *mending) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !IsWrongType(err) || !m.mend(ctx, cmd, err) {
			return err
		}
		cmd.SetErr(nil)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook. Who sent the commands sends them again.
func (m *mending) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			if IsWrongType(cmd.Err()) {
				m.mend(ctx, cmd, cmd.Err())
			}
		}
		return err
	}
}

// mend sets the keys of a command aside that are of a wrong type. It tells whether
// there were any.
func (m *mending) mend(ctx context.Context, cmd redis.Cmder, why error) (mended bool) {
	for _, arg := range cmd.Args()[1:] {
		key, ok := arg.(string)
		if !ok {
			continue
		}
		pattern, _, known := format.Identify(key)
		if !known || pattern.Type == "" || strings.HasPrefix(pattern.Template, "{estate:<run>}") {
			continue
		}
		done, err := SetKeyAside(ctx, m.client, m.observer, key, pattern.Type)
		if err != nil {
			return mended // it is found again
		}
		if done {
			mended = true
			m.log.Error("key set aside: it is of a wrong type", "key", key, "error", why)
		}
	}
	return mended
}
