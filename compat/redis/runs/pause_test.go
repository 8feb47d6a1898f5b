package runs_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/compat/redis/runs"
	"jetstep/function"
)

func (s *suite) pause(ref runs.Ref, change func(*format.Pause)) *format.Pause {
	now := time.Now()
	p := &format.Pause{
		ID: uuid.New(), EnvironmentID: environment, Run: format.PauseRun{RunID: ref.Run, FunctionID: ref.Function, AccountID: account},
		Outgoing: "w", Incoming: format.EdgeStep, Expires: now.UnixMilli() + 60_500, DataKey: "w", CreatedAt: now.UTC(),
		Opcode: format.OpWaitForEvent, Event: "lab/reply", Metadata: json.RawMessage("null"),
	}
	change(p)
	return p
}

// TestPausesAsCaptured: saving the captured pauses again gives the captured
// keys, and deleting them leaves nothing of them.
func TestPausesAsCaptured(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"redis-state/s02-wait-for-event", "redis-state/s03-invoke", "redis-state/s04-wait-for-signal",
		"redis-state/s10-cancel-on", "redis-state/s05-parallel-early",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := open(t)
			original.captured(name)
			want := map[string]redistest.Key{}
			var pauses []*format.Pause
			for key, held := range redistest.Dump(t, original.client) {
				pattern, parts, _ := format.Identify(key)
				if len(key) > 9 && key[:9] == "{estate}:" {
					want[key] = held
				}
				if pattern.Template == "{estate}:pauses:<pause>" {
					p, err := original.Pause(t.Context(), uuid.MustParse(parts["pause"]))
					require.NoError(t, err)
					pauses = append(pauses, p)
				}
			}
			require.NotEmpty(t, pauses)
			s := open(t)
			for _, p := range pauses {
				when := p.CreatedAt.Add(2 * time.Millisecond)
				require.NoError(t, s.SavePause(t.Context(), p, when, false))
				require.NoError(t, s.SavePause(t.Context(), p, when, false), "once more is no harm")
			}
			got := redistest.Dump(t, s.client)
			require.Equal(t, redistest.Keys(want), redistest.Keys(got))
			for key := range want {
				require.InDelta(t, want[key].TTL.Seconds(), got[key].TTL.Seconds(), 10, key)
				w, g := want[key], got[key]
				w.TTL, g.TTL = 0, 0
				require.Equal(t, w, g, key)
			}
			for _, p := range pauses {
				require.NoError(t, s.DeletePause(t.Context(), p))
			}
			require.Empty(t, redistest.Dump(t, s.client))
		})
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	s := open(t)
	signal := func(p *format.Pause) { p.Opcode, p.Event, p.Signal = format.OpWaitForSignal, "", "sig" }
	first := s.pause(s.create(newRun()), signal)
	second := s.pause(s.create(newRun()), signal)
	now := time.Now()
	waiter := func() *format.Pause {
		p, err := s.Signal(t.Context(), environment, "sig")
		require.NoError(t, err)
		return p
	}
	require.Nil(t, waiter())
	require.NoError(t, s.SavePause(t.Context(), first, now, false))
	before := redistest.Keys(redistest.Dump(t, s.client))
	require.ErrorIs(t, s.SavePause(t.Context(), second, now, false), runs.ErrSignalTaken)
	require.Equal(t, before, redistest.Keys(redistest.Dump(t, s.client)), "nothing is left of it")
	require.Equal(t, first.ID, waiter().ID)
	require.NoError(t, s.SavePause(t.Context(), second, now, true))
	require.Equal(t, second.ID, waiter().ID)
	require.NoError(t, s.DeletePause(t.Context(), first))
	require.Equal(t, second.ID, waiter().ID, "the signal is the other one's")
	require.NoError(t, s.DeletePause(t.Context(), second))
	require.Nil(t, waiter())
	require.NoError(t, s.client.HSet(t.Context(), format.SignalsKey(environment), "sig", "x").Err())
	_, err := s.Signal(t.Context(), environment, "sig")
	require.ErrorContains(t, err, "no UUID")
}

func TestPausesOfAnEvent(t *testing.T) {
	t.Parallel()
	s := open(t)
	ref := s.create(newRun())
	want := map[uuid.UUID]bool{}
	for range 1500 {
		p := s.pause(ref, func(*format.Pause) {})
		require.NoError(t, s.SavePause(t.Context(), p, time.Now(), false))
		want[p.ID] = true
	}
	key := format.PauseEventsKey(environment, "lab/reply")
	require.NoError(t, s.client.HSet(t.Context(), key, uuid.NewString(), `{"id":`).Err())
	got, damaged := map[uuid.UUID]bool{}, []error{}
	visit := func(p *format.Pause) error {
		require.False(t, got[p.ID])
		got[p.ID] = true
		return nil
	}
	collect := func(err error) { damaged = append(damaged, err) }
	require.NoError(t, s.EachPauseOf(t.Context(), environment, "lab/reply", visit, collect))
	require.Equal(t, want, got)
	require.Len(t, damaged, 1)
	require.ErrorContains(t, damaged[0], key)
	stop := fmt.Errorf("stop")
	require.ErrorIs(t, s.EachPauseOf(t.Context(), environment, "lab/reply", func(*format.Pause) error { return stop }, collect), stop)
}

// TestDelete: of an ended run there are its key and its end's, as captured
// (s02c), and of its pauses nothing.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := newRun()
	ref := s.create(n)
	version := 2
	_, err := s.Update(t.Context(), ref.Run, runs.Update{RequestVersion: &version})
	require.NoError(t, err)
	_, _, err = s.SaveStep(t.Context(), ref, runs.Value{Step: "a", JSON: `1`}, 0)
	require.NoError(t, err)
	require.NoError(t, s.SavePending(t.Context(), ref, []string{"b"}))
	require.NoError(t, s.SaveDefer(t.Context(), ref, runs.Defer{Defer: format.Defer{HashedID: "d"}, Input: "{}", Control: "{}"}))
	correlation := function.CorrelationID(ref.Run.String(), "w")
	invoke := s.pause(ref, func(p *format.Pause) { p.Opcode, p.Correlation = format.OpInvoke, correlation })
	require.NoError(t, s.SavePause(t.Context(), invoke, time.Now(), false))
	require.NoError(t, s.SavePause(t.Context(), s.pause(ref, func(*format.Pause) {}), time.Now(), false))
	require.Len(t, s.load(ref.Run).Pauses, 2)
	found, err := s.Invoke(t.Context(), environment, correlation)
	require.NoError(t, err)
	require.Equal(t, invoke.ID, found.ID)
	require.NoError(t, s.client.SAdd(t.Context(), format.RunPausesKey(ref.Run), uuid.NewString(), "damaged").Err())

	token, other := uuid.New(), uuid.New()
	for _, c := range []struct {
		token uuid.UUID
		mine  bool
	}{{token, true}, {other, false}, {token, true}} {
		mine, err := s.Finalize(t.Context(), account, n.Metadata.ID.Key, c.token)
		require.NoError(t, err)
		require.Equal(t, c.mine, mine)
	}
	require.NoError(t, s.Delete(t.Context(), &n.Metadata.ID))
	left := redistest.Dump(t, s.client)
	claim, end := format.ClaimKey(account, n.Metadata.ID.Key), format.FinalizeKey(account, n.Metadata.ID.Key)
	require.Equal(t, []string{claim, end}, redistest.Keys(left))
	require.Equal(t, "-"+ref.Run.String(), left[claim].Text)
	require.InDelta(t, format.ClaimTTL, left[claim].TTL.Seconds(), 60, "as it was")
	require.NoError(t, s.Delete(t.Context(), &n.Metadata.ID), "once more is no harm")

	n = newRun()
	existed, err := s.Create(t.Context(), n)
	require.NoError(t, err)
	require.False(t, existed)
	require.NoError(t, s.Delete(t.Context(), &n.Metadata.ID))
	require.Equal(t, left, without(redistest.Dump(t, s.client), left), "a key that nobody claimed comes not into being")
}

// without is the dump with the times to live of another.
func without(dump, ttl map[string]redistest.Key) map[string]redistest.Key {
	for key, held := range dump {
		held.TTL = ttl[key].TTL
		dump[key] = held
	}
	return dump
}

// TestWithoutRedis: every operation fails and says at what.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{})
	require.NoError(t, client.Close())
	s := &suite{t, runs.NewStore(client), client}
	ctx, n := t.Context(), newRun()
	ref := runs.Ref{Run: n.Metadata.ID.RunID, Function: fn}
	p := s.pause(ref, func(*format.Pause) {})
	for name, do := range map[string]func() error{
		"create run":     func() error { _, err := s.Create(ctx, n); return err },
		"claim":          func() error { _, err := s.Claim(ctx, account, "k", ref.Run); return err },
		"claim the end":  func() error { _, err := s.Finalize(ctx, account, "k", uuid.New()); return err },
		"save step":      func() error { _, _, err := s.SaveStep(ctx, ref, runs.Value{}, 0); return err },
		"save pending":   func() error { return s.SavePending(ctx, ref, nil) },
		"update run":     func() error { _, err := s.Update(ctx, ref.Run, runs.Update{}); return err },
		"read metadata":  func() error { _, err := s.Load(ctx, ref.Run); return err },
		"save defer":     func() error { return s.SaveDefer(ctx, ref, runs.Defer{}) },
		"abort defer":    func() error { return s.AbortDefer(ctx, ref, "d") },
		"save pause":     func() error { return s.SavePause(ctx, p, time.Now(), false) },
		"delete pause":   func() error { return s.DeletePause(ctx, p) },
		"read pause":     func() error { _, err := s.Pause(ctx, p.ID); return err },
		"list pauses of": func() error { _, err := s.PausesOf(ctx, ref.Run); return err },
		"read pauses":    func() error { return s.EachPauseOf(ctx, environment, "e", nil, nil) },
		"look up":        func() error { _, err := s.Invoke(ctx, environment, "c"); return err },
		"delete run":     func() error { return s.Delete(ctx, &n.Metadata.ID) },
	} {
		require.ErrorContains(t, do(), name)
	}
}
