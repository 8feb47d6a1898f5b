package redisdata_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
	"jetstep/compat/migrate/redisdata"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

type ctx = context.Context

// derived are the kinds of keys that hold nothing which other keys do not have: a
// new kind has to be looked at.
var derived = []string{
	format.PauseIndexKey, "{estate}:pause-events:<environment>:<...>", "{estate}:pause-idx:add:<environment>:<...>",
	"{estate}:pause-idx:exp:<environment>:<...>", "{estate}:pr:<run>", "{estate}:invoke:<environment>", "{estate}:signal:<environment>",
	format.ItemsKey, format.PartitionsKey, format.PointersKey, "{queue}:accounts:<account>:partition:sorted",
	"{queue}:accounts:<account>:shadows:sorted", format.AccountsKey, format.LeasedKey, "{queue}:queue:sorted:<...>",
	"{queue}:scavenger:<...>:sorted", "{queue}:idx:run:<run>", "{queue}:queue:status:<function>:<status>", "{queue}:singleton-run:<run>",
	"{queue}:debounce-ptrs:<function>:<...>", format.DebouncesKey, format.BacklogsKey, format.ShadowsKey, "{queue}:backlog:sorted:<...>",
	format.ShadowAccountsKey, format.ShadowPointersKey, "{queue}:shadow:sorted:<...>", format.NormalizeKey,
	"{queue}:normalize:accounts:<account>:sorted", "{queue}:normalize:partition:<...>:sorted",
	"{queue:<function>}:workflows:<function>:batch", "{queue:<function>}:workflows:<function>:batch:<...>",
	"{queue:<function>}:batches:<batch>:metadata", format.SetAsideKey, format.PausesAsideKey,
}

// TestEveryPattern: it was decided about each kind of key what it is for a migration.
func TestEveryPattern(t *testing.T) {
	t.Parallel()
	for _, p := range format.Patterns() {
		if redisdata.Known(p.Template) {
			require.NotContains(t, derived, p.Template)
		} else {
			require.Contains(t, derived, p.Template, "a kind of keys that the migration does not know")
		}
	}
}

// TestPoison: what cannot be read is reported with its place and reason, stays
// where it is, and keeps nothing else from being copied.
func TestPoison(t *testing.T) {
	t.Parallel()
	run := ulid.MustParse("01M8AFD44GEAS21CWY6S6WK2XR") // of s01
	fn := uuid.MustParse("62755c39-95cf-5e64-a26b-73152f904cd8")
	gone := ulid.MustParse("01M8AFD44GEAS21CWY6S6WK2XZ")
	pause := uuid.MustParse("6f1f6514-ee89-5e75-b57e-b44b4c06b068")
	for name, c := range map[string]struct {
		damage      func(ctx, *redis.Client) error
		key, reason string
		runs        int // that are copied still
	}{
		"metadata without status": {func(ctx ctx, r *redis.Client) error { return r.HDel(ctx, format.MetadataKey(run), "status").Err() },
			format.MetadataKey(run) + " [status]", "missing", 0},
		"metadata of another type": {func(ctx ctx, r *redis.Client) error {
			return r.Set(ctx, format.MetadataKey(run), "x", 0).Err()
		}, format.MetadataKey(run), "should be a hash", 0},
		"identifier is no JSON": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.MetadataKey(run), "id", `{"runID":`).Err()
		}, format.MetadataKey(run) + " [id]", "not JSON", 0},
		"no events": {func(ctx ctx, r *redis.Client) error { return r.Del(ctx, format.EventsKey(run, fn)).Err() },
			format.MetadataKey(run), "events of run", 0},
		"step is no JSON": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ActionsKey(run, fn), "e0996a37c13d44c3b06074939d43fa3759bd32c1", "{").Err()
		}, format.MetadataKey(run), "step", 0},
		"stack of another type": {func(ctx ctx, r *redis.Client) error {
			r.Del(ctx, format.StackKey(run))
			return r.Set(ctx, format.StackKey(run), "x", 0).Err()
		}, format.StackKey(run), "should be a list", 0},
		"state without metadata": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ActionsKey(gone, fn), "s", "1").Err()
		}, format.ActionsKey(gone, fn), "metadata are gone", 1},
		"pause without run": {func(ctx ctx, r *redis.Client) error {
			text, err := format.Encode(format.Pause{ID: pause, Run: format.PauseRun{RunID: gone, FunctionID: fn}, Metadata: []byte("null")})
			return cmpErr(err, r.Set(ctx, format.PauseKey(pause), text, 0).Err())
		}, format.PauseKey(pause), "which is not there", 1},
		"pause that its run does not know": {func(ctx ctx, r *redis.Client) error {
			text, err := format.Encode(format.Pause{ID: pause, Run: format.PauseRun{RunID: run, FunctionID: fn}, Metadata: []byte("null")})
			return cmpErr(err, r.Set(ctx, format.PauseKey(pause), text, 0).Err())
		}, format.PauseKey(pause), "does not know", 1},
		"pause is cut off": {func(ctx ctx, r *redis.Client) error { return r.Set(ctx, format.PauseKey(pause), `{"id":"6f`, 0).Err() },
			format.PauseKey(pause), "not JSON", 1},
		"item is cut off": {func(ctx ctx, r *redis.Client) error { return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc"`).Err() },
			format.ItemsKey + " [abc]", "not JSON", 1},
		"item of unknown kind": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc","data":{"kind":"magic"}}`).Err()
		}, format.ItemsKey + " [abc]", "unknown kind", 1},
		"item of a run that is gone": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc","data":{"kind":"edge","identifier":{"runID":"`+gone.String()+`"}}}`).Err()
		}, format.ItemsKey + " [abc]", "which is not there", 1},
		"item that its run does not know": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc","data":{"kind":"edge","identifier":{"runID":"`+run.String()+`"}}}`).Err()
		}, format.ItemsKey + " [abc]", "does not know", 1},
		"a job of the run is cut off": {func(ctx ctx, r *redis.Client) error {
			return cmpErr(r.HSet(ctx, format.ItemsKey, "abc", `{`).Err(), r.ZAdd(ctx, format.RunIndexKey(run), redis.Z{Member: "abc", Score: 1}).Err())
		}, format.ItemsKey + " [abc]", "not JSON", 0},
		"cron with a wrong payload": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc","data":{"kind":"cron","payload":[]}}`).Err()
		}, format.ItemsKey + " [abc]", "payload", 1},
		"timeout with a wrong payload": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.ItemsKey, "abc", `{"id":"abc","data":{"kind":"cancel","payload":1}}`).Err()
		}, format.ItemsKey + " [abc]", "payload", 1},
		"idempotency key of no run": {func(ctx ctx, r *redis.Client) error {
			return r.Set(ctx, format.ClaimKey(function.AccountID, "a-b"), "nonsense", time.Hour).Err()
		}, format.ClaimKey(function.AccountID, "a-b"), "no ULID", 1},
		"singleton of a run that is gone": {func(ctx ctx, r *redis.Client) error {
			return r.Set(ctx, format.SingletonKey(fn.String()), gone.String(), 0).Err()
		}, format.SingletonKey(fn.String()), "not there", 1},
		"rate that is no number": {func(ctx ctx, r *redis.Client) error {
			return r.Set(ctx, format.RateLimitKey(function.AccountID, fn, format.Evaluated{}), "soon", time.Hour).Err()
		}, format.RateLimitKey(function.AccountID, fn, format.Evaluated{}), "time of a limit", 1},
		"semaphore that is no number": {func(ctx ctx, r *redis.Client) error {
			return cmpErr(r.Set(ctx, format.SemaphoreCapacityKey(function.AccountID, "fn:x"), 1, 0).Err(),
				r.Set(ctx, format.SemaphoreUsageKey(function.AccountID, "fn:x", ""), "many", 0).Err())
		}, format.SemaphoreUsageKey(function.AccountID, "fn:x", ""), "invalid syntax", 1},
		"event of a batch": {func(ctx ctx, r *redis.Client) error { return r.RPush(ctx, format.BatchKey(fn, gone), "{").Err() },
			format.BatchKey(fn, gone) + " [0]", "not JSON", 1},
		"debounce": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.DebouncesKey, gone.String(), "{").Err()
		},
			format.DebouncesKey + " [" + gone.String() + "]", "not JSON", 1},
		"debounce with a wrong id": {func(ctx ctx, r *redis.Client) error { return r.HSet(ctx, format.DebouncesKey, "x", "{}").Err() },
			format.DebouncesKey + " [x]", "no ULID", 1},
		"key of no known kind": {func(ctx ctx, r *redis.Client) error { return r.Set(ctx, "{queue}:mystery", 1, 0).Err() },
			"{queue}:mystery", "no known kind", 1},
		"debounces of another type": {func(ctx ctx, r *redis.Client) error { return r.Set(ctx, format.DebouncesKey, 1, 0).Err() },
			format.DebouncesKey, "should be a hash", 1},
		"set aside before": {func(ctx ctx, r *redis.Client) error {
			return r.HSet(ctx, format.SetAsideKey, "abc", `{"reason":"bad luck","item":"{"}`).Err()
		}, format.SetAsideKey + " [abc]", "set aside: bad luck", 1},
		"key set aside before": {func(ctx ctx, r *redis.Client) error {
			return r.Set(ctx, format.AsideKey("{queue}:partition:item", gone), "x", 0).Err()
		}, format.AsideKey("{queue}:partition:item", gone), "set aside", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := loaded(t, "redis-state/s01-sleep"), redistest.Open(t)
			require.NoError(t, from.Del(t.Context(), "{queue}:queue:item:none").Err())
			if name == "metadata of another type" {
				require.NoError(t, from.Del(t.Context(), format.MetadataKey(run)).Err())
			}
			require.NoError(t, c.damage(t.Context(), from))
			before := redistest.Dump(t, from)
			summary, reports := copied(t, side(from), side(to))
			require.Equal(t, c.runs, summary.Of(migrate.KindRun).Written)
			require.NotZero(t, summary.Lost())
			found := false
			for _, r := range reports {
				require.Equal(t, migrate.KindBad, r.Kind)
				if r.Key == c.key {
					found = true
					require.Contains(t, r.Reason, c.reason)
				}
			}
			require.True(t, found, "%+v", reports)
			require.Equal(t, redistest.Keys(before), redistest.Keys(redistest.Dump(t, from)), "it stays where it is")
		})
	}
}

// TestForeignKeys: keys of other programs are counted and left alone.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	from, to := loaded(t, "redis-state/s01-sleep"), redistest.Open(t)
	require.NoError(t, from.MSet(t.Context(), "session:1", "x", "{user}:2", "y").Err())
	summary, reports := copied(t, side(from), side(to))
	require.Empty(t, reports)
	require.Equal(t, 2, summary.Of(migrate.KindForeign).Found)
	require.Zero(t, to.Exists(t.Context(), "session:1", "{user}:2").Val())
}

// cmpErr is the first of two errors.
func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
