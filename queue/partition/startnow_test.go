package partition

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// startOf is a start of a function by hand; one with a key excludes others.
func startOf(t *testing.T, n *Node, slug, key string) state.Start {
	t.Helper()
	fn := function.FunctionID(slug, slug)
	id, err := n.NewRunID(fn)
	s := state.Start{FunctionID: fn, Events: []json.RawMessage{[]byte(`{"data":{},"id":"i","name":"inngest/function.invoked","ts":1,"user":{}}`)}, EventIDs: []ulid.ULID{ulid.Make()}}
	if key != "" {
		id, err = n.NewRunIDFor(fn, key)
		s.ClaimFor, s.Idempotency = time.Hour.Milliseconds(), function.IdempotencyKey(fn, key)
	}
	require.NoError(t, err)
	s.RunID = id
	return s
}

// TestStartNow tells what became of each start, here and from another process.
func TestStartNow(t *testing.T) {
	t.Parallel()
	s, other := elsewhere(t)
	s.register(
		on("plain", "e"), on("paused", "e"),
		limited("rate", "e", func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"} }),
		limited("debounced", "e", func(fn *function.Function) { fn.Debounce = &function.Debounce{Period: "1h"} }),
		limited("batched", "e", func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 10, Timeout: "1h"} }),
	)
	s.pause("paused", true)
	s.eventually(func() bool { return other.bus.Registry().Catalog().Paused(function.FunctionID("paused", "paused")) })
	for i, n := range []*Node{s.node, other} {
		start := func(slug, key string) (state.Start, ulid.ULID, error) {
			asked := startOf(t, n, slug, key)
			id, err := n.StartNow(t.Context(), asked)
			return asked, id, err
		}
		asked, id, err := start("plain", "")
		require.NoError(t, err)
		require.Equal(t, asked.RunID, id)
		require.Equal(t, "plain", s.load(id).Slug)
		again, err := n.StartNow(t.Context(), asked)
		require.NoError(t, err, "the same start is the same run")
		require.Equal(t, id, again)

		key := fmt.Sprint("key ", i)
		_, first, err := start("plain", key)
		require.NoError(t, err)
		_, second, err := start("plain", key)
		require.ErrorIs(t, err, state.ErrRepeated)
		require.Equal(t, first, second)

		if i == 0 {
			_, _, err = start("rate", "")
			require.NoError(t, err)
		}
		for slug, want := range map[string]error{
			"rate": state.ErrRateLimited, "debounced": state.ErrDebounced, "batched": state.ErrBatched, "paused": state.ErrSkipped,
		} {
			_, id, err := start(slug, "")
			require.ErrorIs(t, err, want, slug)
			require.Zero(t, id)
		}
		_, err = n.NewRunID(uuid.UUID{9})
		require.ErrorIs(t, err, ErrNoFunction)
		gone := startOf(t, n, "plain", "")
		gone.FunctionID = uuid.UUID{9}
		_, err = n.StartNow(t.Context(), gone)
		require.ErrorIs(t, err, ErrNoFunction)
	}
}

// TestEventOfARunThatIsStartedByHand starts nothing by itself.
func TestEventOfARunThatIsStartedByHand(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	s.publish(newEvent(state.EventInvoked, `{"_inngest":{"fn_id":"fn","run_id":"01JQDAE4RQF8MBCR55T5AK4KXR"}}`))
	s.passed()
	require.Empty(t, started(s))
	s.publish(newEvent(state.EventInvoked, `{"_inngest":{"fn_id":"fn"}}`))
	awaitStarted(s, "fn")
}

func TestStartNowWithoutAnOwner(t *testing.T) {
	t.Parallel()
	s, other := elsewhere(t)
	s.register(on("fn", "e"))
	s.eventually(func() bool { _, err := other.NewRunID(function.FunctionID("fn", "fn")); return err == nil })
	s.settled()
	s.node.Close()
	_, err := other.StartNow(context.WithoutCancel(t.Context()), startOf(t, other, "fn", ""))
	require.ErrorIs(t, err, ErrNotOwner)
}
