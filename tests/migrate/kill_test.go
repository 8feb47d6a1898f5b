package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/redistest"
	"jetstep/tests/harness"
)

// sleeping is a captured database of one run that sleeps, and what there is in it
// of which each run has its own.
const (
	sleeping = "redis-state/s01-sleep"
	ofRun    = "01M8AFD44GEAS21CWY6S6WK2XR"
	ofClaim  = "gqn82qaxsoy1-37t2cx4ib5wxp"
	ofItem   = "37oo4hmhy33v"
)

// fill puts captured databases of all kinds into a Redis, and many sleeping runs.
func fill(t *testing.T, r *harness.Redis, runs int) {
	t.Helper()
	options, err := redis.ParseURL(r.URL(0))
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	for _, name := range []string{
		"redis-state/s02-wait-for-event", "redis-state/s05-parallel-early", "redis-state/s06-batch", "redis-state/s07-debounce",
		"redis-state/s08-rate-limit", "redis-state/s09-singleton", "redis-state/s10-cancel-on", "redis-state/s13-defers", "redis-queue/d16-finish-timeout",
	} {
		redistest.Load(t, client, redistest.Captured(t, name))
	}
	template := redistest.Captured(t, sleeping)
	for n := range runs {
		id := fmt.Sprintf("%s%05d", ofRun[:len(ofRun)-5], n)
		ids := strings.NewReplacer(ofRun, id, ofClaim, fmt.Sprintf("%s%d", ofClaim, n), ofItem, fmt.Sprintf("%s%d", ofItem, n))
		var own []redistest.CapturedKey
		for _, k := range template {
			k.Key, k.Value = ids.Replace(k.Key), json.RawMessage(ids.Replace(string(k.Value)))
			if strings.Contains(string(k.Value), id) || strings.Contains(k.Key, id) || strings.Contains(k.Key, ":queue:sorted:") {
				own = append(own, k)
			}
		}
		redistest.Load(t, client, own)
	}
	// What had these roles is gone.
	require.NoError(t, client.Del(t.Context(), "{queue}:queue:sequential", "{queue}:queue:scavenger").Err())
}

// TestKilled: a copy that is killed 20 times at random moments, and then is let end,
// has copied everything once.
func TestKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	from, to, dir := startRedis(t, ctx), startRedis(t, ctx), t.TempDir()
	fill(t, from, 1500)
	sides := []string{"--redis-uri", from.URL(0), "--to-redis-uri", to.URL(0)}
	copying := append([]string{"migrate", "redis-to-redis"}, sides...)

	out, code := run(t, ctx, dir, append(copying, "--dry-run")...)
	require.Zero(t, code, out)
	require.Contains(t, out, "Nothing was written")
	killedAtRandom(t, ctx, dir, copying...)
	out, code = run(t, ctx, dir, copying...)
	require.Zero(t, code, out)
	require.Contains(t, out, "The runs have")
	out, code = run(t, ctx, dir, append([]string{"migrate", "verify"}, sides...)...)
	require.Zero(t, code, out)
	require.Contains(t, out, " 0 differ")
}

// TestReported: what cannot be read is listed in a file, the rest is copied, and the
// command fails.
func TestReported(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	defer cancel()
	from, to, dir := startRedis(t, ctx), startRedis(t, ctx), t.TempDir()
	fill(t, from, 3)
	options, err := redis.ParseURL(from.URL(0))
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	require.NoError(t, client.HSet(ctx, "{queue}:queue:item", "broken", `{"id":`).Err())
	sides := []string{"--redis-uri", from.URL(0), "--to-redis-uri", to.URL(0)}

	out, code := run(t, ctx, dir, append([]string{"migrate", "redis-to-redis", "--report", "lost.jsonl"}, sides...)...)
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "1 things were not copied: lost.jsonl")
	require.FileExists(t, dir+"/lost.jsonl")
	out, code = run(t, ctx, dir, append([]string{"migrate", "verify"}, sides...)...)
	require.Zero(t, code, out)

	require.NoError(t, client.HSet(ctx, "{estate:"+ofRun[:21]+"00001}:actions:62755c39-95cf-5e64-a26b-73152f904cd8:"+ofRun[:21]+"00001",
		"e0996a37c13d44c3b06074939d43fa3759bd32c1", `{"data":2}`).Err())
	out, code = run(t, ctx, dir, append([]string{"migrate", "verify"}, sides...)...)
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "step 0: ")
	require.Contains(t, out, " 1 differ")
}
