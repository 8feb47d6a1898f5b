package runs

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

// Limits of deferred functions per run (redis-state §5.7).
const (
	MaxDefers      = 20
	MaxDeferInputs = 4 << 20 // bytes
)

// SaveDefer saves a deferred function unless it is there. One too many is
// dropped, and one whose input is too much is saved as rejected.
func (s *Store) SaveDefer(ctx context.Context, ref Ref, d Defer) error {
	o, err := deferOperation(ref, d)
	if err == nil {
		err = o.Run(ctx, s.redis).Err()
	}
	if err != nil {
		return fmt.Errorf("save defer %s of run %s: %w", d.HashedID, ref.Run, err)
	}
	return nil
}

func deferOperation(ref Ref, d Defer) (o script.Operation, err error) {
	value, err := format.Encode(d.Defer)
	if err != nil {
		return o, err
	}
	refused := d.Defer
	refused.Status = format.DeferRejected
	rejected, err := format.Encode(refused)
	if err != nil {
		return o, err
	}
	if d.Status == format.DeferRejected {
		d.Input = ""
	}
	return scriptSaveDefer.On([]string{
		format.DefersKey(ref.Run, ref.Function), format.DeferInputsKey(ref.Run, ref.Function),
		format.DeferControlKey(ref.Run, ref.Function), format.MetadataKey(ref.Run),
	}, d.HashedID, value, rejected, d.Input, MaxDefers, MaxDeferInputs, d.Control), nil
}

// AbortDefer takes back a deferred function that would start after the run.
func (s *Store) AbortDefer(ctx context.Context, ref Ref, id string) error {
	key := format.DefersKey(ref.Run, ref.Function)
	for {
		text, err := s.redis.HGet(ctx, key, id).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("abort defer %s of run %s: %w", id, ref.Run, err)
		}
		d, err := format.Decode[format.Defer](format.Place{Key: key, Member: id}, text)
		if err != nil {
			return err
		}
		if d.Status != format.DeferAfterRun && d.Status != format.DeferScheduled {
			return nil
		}
		d.Status = format.DeferAborted
		value, err := format.Encode(d)
		if err != nil {
			return err
		}
		keys := []string{key, format.DeferInputsKey(ref.Run, ref.Function), format.MetadataKey(ref.Run)}
		done, err := scriptAbortDefer.Run(ctx, s.redis, keys, id, text, value).Int()
		if err != nil {
			return fmt.Errorf("abort defer %s of run %s: %w", id, ref.Run, err)
		}
		if done == 1 {
			return nil
		}
	}
}
