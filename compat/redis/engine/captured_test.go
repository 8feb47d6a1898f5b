package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/queue"
	"jetstep/state"
)

// TestContinueCaptured: what the original left is executed to its end. All of it
// is overdue: leases have ended, sleeps and waits are due. Of each run nothing is
// left but what the original leaves.
func TestContinueCaptured(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		calls, wakes int // jobs until the runs have ended
		limits       engine.Limits
	}{
		"redis-queue/d01-sleep":               {calls: 1, wakes: 1},
		"redis-queue/d06b-retried-step-error": {calls: 1},
		"redis-queue/d10-edge-queued":         {calls: 1},
		"redis-queue/d11-edge-error-queued":   {calls: 1},
		"redis-queue/e01-start-plain":         {calls: 1},
		"redis-queue/e02-start-concurrency-keys": {calls: 2, limits: engine.Limits{Keys: []engine.KeyLimit{
			{Scope: format.OfFunction, Hash: "1fxdpyxsh05fo", Limit: 1}, {Scope: format.OfEnvironment, Hash: "499tgtq3y3s", Limit: 5},
		}}},
		"redis-queue/e05-start-throttle-key": {calls: 2, limits: engine.Limits{Throttle: &engine.Throttle{
			Hash: "1fxdpyxsh05fo", Limit: 1, Burst: 2, Period: 60_000,
		}}},
		"redis-queue/k01-sleep-in-backlog": {calls: 1, wakes: 1},
		"redis-queue/k04-refilled-ready":   {calls: 1},
		"redis-queue/e11-singleton":        {calls: 1},
		"redis-state/s01-sleep":            {calls: 1, wakes: 1},
		"redis-state/s15-checkpointing":    {calls: 1, wakes: 1},
		"redis-state/s13-defers":           {calls: 1, wakes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := redistest.Open(t)
			redistest.Load(t, client, redistest.Captured(t, name))
			s := openOn(t, client, want.limits)
			for range want.wakes {
				s.sleepEnds(s.lease(queue.LaneWake))
			}
			runs := map[ulid.ULID]bool{}
			for range want.calls {
				lease := s.lease(queue.LaneCall)
				run, err := s.Load(t.Context(), lease.RunID)
				require.NoError(t, err)
				require.NotEmpty(t, run.Events)
				require.NotEmpty(t, run.Slug)
				require.Contains(t, run.Jobs, lease.Job)
				runs[run.ID] = true
				s.finish(lease)
			}
			for id := range runs {
				for key := range redistest.Dump(t, client) {
					require.False(t, strings.HasPrefix(key, "{estate:"+id.String()), key)
					require.NotEqual(t, format.RunIndexKey(id), key)
					require.NotEqual(t, format.SingletonRunKey(id), key)
				}
				require.Contains(t, s.ended, id)
			}
		})
	}
}

// sleepEnds is the transition of a job that ended a sleep.
func (s *site) sleepEnds(lease queue.Lease) {
	s.t.Helper()
	require.Equal(s.t, state.JobSleep, lease.Job.Kind)
	next := lease.Job
	next.Kind, next.Step, next.Outgoing, next.Due = state.JobEdge, "", lease.Job.Step, time.Now().UnixMilli()
	next.Attempt, next.Generation = 0, 0
	t := concluded(lease)
	t.Saves = []state.Save{{Step: lease.Job.Step, Memo: json.RawMessage("null")}}
	t.Discoveries = []state.Discovery{{Always: true, Job: next}}
	require.NoError(s.t, s.Commit(s.t.Context(), t))
}

// TestResumeCaptured: an event, an invoked function's end and a signal reach runs
// that the original let wait, which go on with the step's data.
func TestResumeCaptured(t *testing.T) {
	t.Parallel()
	far := time.Now().Add(time.Hour).UnixMilli()
	for name, c := range map[string]struct {
		step, memo string
		resume     func(*site) error
	}{
		"redis-state/s02-wait-for-event": {"538f4963f37d43a676e0e9343bd043a47df6267a", `"data":{"orderId":"o-1"}`, func(s *site) error {
			return s.Match(s.t.Context(), newEvent(s.t, "lab/reply", json.RawMessage(`{"orderId":"o-1"}`)))
		}},
		"redis-state/s04-wait-for-signal": {"b3ed2cf313e7546085c3c50622143ff31e467d23", `{"data":{"data":{"ok":true},"signal":"sig-1"}}`,
			func(s *site) error {
				_, err := s.Signal(s.t.Context(), "sig-1", json.RawMessage(`{"ok":true}`))
				return err
			}},
		"redis-state/s03-invoke": {"e21ae58e2ad53fcf7414f09907b74cf137b86e29", `{"data":{"answer":42}}`, func(s *site) error {
			data := `{"correlation_id":"01M8AFDYB9FN3T22BQMC4EY086.e21ae58e2ad53fcf7414f09907b74cf137b86e29",` +
				`"_inngest":{"status":"Completed"},"result":{"answer":42}}`
			return s.Match(s.t.Context(), newEvent(s.t, "inngest/function.finished", json.RawMessage(data)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := redistest.Open(t)
			var id ulid.ULID
			var keys []redistest.CapturedKey
			for _, k := range redistest.Captured(t, name) {
				// Waits last until an hour from now, and leases have ended.
				if strings.HasPrefix(k.Key, "{estate}:") {
					k.Value = later(t, k.Value, far)
				}
				pattern, parts, ok := format.Identify(k.Key)
				if ok && pattern.Template == "{estate}:pr:<run>" {
					id = ulid.MustParse(parts["run"])
				}
				keys = append(keys, k)
			}
			redistest.Load(t, client, keys)
			s := openOn(t, client, engine.Limits{})
			require.NoError(t, c.resume(s))
			run, err := s.Load(t.Context(), id)
			require.NoError(t, err)
			memo, ok := run.Memo(c.step)
			require.True(t, ok)
			require.Contains(t, string(memo), c.memo)
			require.Empty(t, run.Waits)
			require.Len(t, run.Jobs, 1, "the timeout is gone, the call is there")
			require.Equal(t, c.step, run.Jobs[0].Outgoing)
			require.Equal(t, state.JobEdge, run.Jobs[0].Kind)
		})
	}
}

// later sets when captured pauses expire.
func later(t *testing.T, value json.RawMessage, expires int64) json.RawMessage {
	t.Helper()
	var text string
	if json.Unmarshal(value, &text) == nil {
		return encoded(t, pauseLater(t, text, expires))
	}
	var fields map[string]string
	if json.Unmarshal(value, &fields) == nil {
		for id, text := range fields {
			fields[id] = pauseLater(t, text, expires)
		}
		return encoded(t, fields)
	}
	return value
}

func pauseLater(t *testing.T, text string, expires int64) string {
	t.Helper()
	p, err := format.Decode[format.Pause](format.Place{}, text)
	if err != nil {
		return text // it is none
	}
	p.Expires = expires
	out, err := format.Encode(p)
	require.NoError(t, err)
	return out
}

func encoded(t *testing.T, v any) json.RawMessage {
	t.Helper()
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return out
}
