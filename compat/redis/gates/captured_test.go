package gates_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/captured"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

const index = "../../../tests/testdata/fixtures/redis-queue/index/"

// capturedIndex says how the captured databases came about.
type capturedIndex struct {
	meta map[string]struct {
		Events    []map[string]any `json:"events_sent"`
		Functions []string
	}
	functions struct {
		Functions map[string]struct {
			ID     uuid.UUID
			Config json.RawMessage
		}
	}
}

func readIndex(t *testing.T) *capturedIndex {
	t.Helper()
	var x capturedIndex
	for name, into := range map[string]any{"meta.json": &x.meta, "functions.json": &x.functions} {
		text, err := os.ReadFile(index + name)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	return &x
}

func (x *capturedIndex) function(t *testing.T, slug string) *function.Function {
	t.Helper()
	known, ok := x.functions.Functions[slug]
	require.True(t, ok, slug)
	fn := newFunction(t, string(known.Config))
	fn.ID, fn.Slug = known.ID, slug
	return fn
}

// TestAsCaptured: what events leave in Redis is what they left there when the
// original got them: keys, types, times to live, members and fields. Ids and times
// are masked.
func TestAsCaptured(t *testing.T) {
	t.Parallel()
	x := readIndex(t)
	for _, name := range []string{
		"e01-start-plain", "e02-start-concurrency-keys", "e03-start-fn-concurrency", "e04-start-account-key",
		"e05-start-throttle-key", "e06-start-throttle-nokey", "e07-start-priority", "e08-debounce",
		"e09-debounce-updated", "e10-batch", "e11-singleton", "e12-start-timeout", "e13-ratelimit", "e14-start-future",
		"e15-cancel-on", "e16-start-event-id",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := x.function(t, x.meta[name].Functions[0])
			s := open(t, fn)
			for _, sent := range x.meta[name].Events {
				var fields []any
				for _, field := range []string{"id", "ts"} {
					if value, ok := sent[field]; ok {
						fields = append(fields, field, value)
					}
				}
				if ts, ok := sent["ts"].(float64); ok && ts > 0 { // an hour later than it was captured
					fields = append(fields, "ts", time.Now().Add(time.Hour).UnixMilli())
				}
				s.event(fn, newEvent(t, sent["name"].(string), sent["data"], fields...))
			}
			left := redistest.Open(t)
			redistest.Load(t, left, redistest.Captured(t, "redis-queue/"+name))
			captured.RequireSame(t, left, s.client)
		})
	}
}

// TestCronAsCaptured: of a schedule there is the job of its next tick, and that
// which looks after it.
func TestCronAsCaptured(t *testing.T) {
	t.Parallel()
	fn := readIndex(t).function(t, "rq-cron")
	s := open(t, fn)
	s.Node.StopLeasing() // the check may be due now
	require.NoError(t, s.Sync(t.Context(), []gates.Known{{Function: fn, App: app}}))
	left := redistest.Open(t)
	redistest.Load(t, left, redistest.Captured(t, "redis-queue/d08-cron"))
	for _, key := range []string{format.PartitionsKey} { // jobs that ask for this job are not needed
		require.NoError(t, left.HDel(t.Context(), key, format.QueueCronSync).Err())
	}
	for _, key := range []string{format.PointersKey, format.AccountPointersKey(function.AccountID)} {
		require.NoError(t, left.ZRem(t.Context(), key, format.QueueCronSync).Err())
	}
	captured.RequireSame(t, left, s.client)
}

// TestSemaphoresAsCaptured: how many runs may be in progress is known from what
// is registered (d18), and what starts take of it is as captured.
func TestSemaphoresAsCaptured(t *testing.T) {
	t.Parallel()
	x := readIndex(t)
	plain, keyed := x.function(t, "rq-semfn"), x.function(t, "rq-semkey")
	s := open(t, plain, keyed)
	require.NoError(t, s.Sync(t.Context(), s.registry.all()))
	for id, want := range map[string]string{"fn:" + plain.ID.String(): "1", "fnkey:24qnijbbbetw5": "2"} {
		got, err := s.client.Get(t.Context(), format.SemaphoreCapacityKey(function.AccountID, id)).Result()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	s.event(keyed, newEvent(t, "e", map[string]any{"customer": "c1"}))
	items := s.client.HVals(t.Context(), format.ItemsKey).Val()
	require.Len(t, items, 1)
	require.Equal(t, 2, strings.Count(items[0], `"sem":[{"id":"fnkey:24qnijbbbetw5","uv":"66tl9lbp7ri1","w":1,"r":1}]`), items[0])
	run := s.run()
	require.Equal(t, keyed.ID, run.FunctionID)
	used := s.client.Get(t.Context(), format.SemaphoreUsageKey(function.AccountID, "fnkey:24qnijbbbetw5", "66tl9lbp7ri1")).Val()
	require.Equal(t, "1", used)
}
