package redistest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Faults lets one command of many fail: before it reached Redis, or after it took
// effect there, when nobody learns of it. Only commands of marked contexts count.
// It is a hook of a client.
type Faults struct {
	// After tells that the command takes effect.
	After bool
	left  atomic.Int64
}

// never is more commands than there will be.
const never = 1 << 40

// NewFaults lets nothing fail yet.
func NewFaults(after bool) *Faults {
	f := &Faults{After: after}
	f.Arm(-1)
	return f
}

// Arm lets the command fail that comes after so many others; -1 for none.
func (f *Faults) Arm(after int) {
	if after < 0 {
		after = never
	}
	f.left.Store(int64(after))
}

// Commands is how many there were since Arm(-1).
func (f *Faults) Commands() int { return int(never - f.left.Load()) }

// ErrFault is what the command fails with.
var ErrFault = errors.New("the connection is lost")

type marked struct{}

// Marked is a context whose commands count.
func Marked(ctx context.Context) context.Context { return context.WithValue(ctx, marked{}, true) }

// hits tells whether this command is the one that fails.
func (f *Faults) hits(ctx context.Context) bool {
	return ctx.Value(marked{}) != nil && f.left.Add(-1) == -1
}

// DialHook implements redis.Hook.
func (f *Faults) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (f *Faults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !f.hits(ctx) {
			return next(ctx, cmd)
		}
		if f.After {
			_ = next(ctx, cmd)
		}
		cmd.SetErr(ErrFault)
		return ErrFault
	}
}

// ProcessPipelineHook implements redis.Hook.
func (f *Faults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !f.hits(ctx) {
			return next(ctx, cmds)
		}
		if f.After {
			_ = next(ctx, cmds)
		}
		for _, cmd := range cmds {
			cmd.SetErr(ErrFault)
		}
		return ErrFault
	}
}
