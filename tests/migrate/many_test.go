package migrate_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/captured"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/tests/harness"
)

// mould is a captured database of one run, from which many are made.
type mould struct {
	run, claim, item, pause string // its ids; there may be no pause
	function                uuid.UUID
	step                    string // in which it waits
	keys                    []redistest.CapturedKey
}

// newMould reads a captured run that waits in a step.
func newMould(t *testing.T, name, step string) *mould {
	t.Helper()
	digest := sha1.Sum([]byte(step))
	m := &mould{step: hex.EncodeToString(digest[:])}
	all := captured.Keys(t, name, time.Second)
	for _, k := range all {
		pattern, parts, ok := format.Identify(k.Key)
		require.True(t, ok, k.Key)
		switch pattern.Template {
		case "{estate:<run>}:actions:<function>:<run>":
			m.run, m.function = parts["run"], uuid.MustParse(parts["function"])
		case "{estate:<account>}:key:<...>":
			m.claim = parts["..."]
		case "{estate}:pauses:<pause>":
			m.pause = parts["pause"]
		}
	}
	m.item = m.itemOf(m.claim)
	known := false
	for _, k := range all {
		known = known || strings.Contains(k.Key+string(k.Value), m.item)
		if text := k.Key + string(k.Value); strings.Contains(text, m.run) || strings.Contains(text, m.item) || m.pause != "" && strings.Contains(text, m.pause) {
			m.keys = append(m.keys, k)
		}
	}
	require.True(t, known, "the run waits in step %s", step)
	return m
}

// itemOf is the id of the job that ends what a run with such a key waits for.
func (m *mould) itemOf(claim string) string {
	return function.PauseTimeoutJob(function.RunKey(m.function, claim), m.step)
}

// cast are the keys of another run.
func (m *mould) cast(n int) []redistest.CapturedKey {
	ofFunction, _, _ := strings.Cut(m.claim, "-")
	claim := ofFunction + "-" + function.Hash(fmt.Sprint(n))
	change := []string{m.run, fmt.Sprintf("%s%08d", m.run[:len(m.run)-8], n), m.claim, claim, m.item, m.itemOf(claim)}
	if m.pause != "" {
		change = append(change, m.pause, fmt.Sprintf("%s%012x", m.pause[:len(m.pause)-12], n))
	}
	ids := strings.NewReplacer(change...)
	keys := make([]redistest.CapturedKey, len(m.keys))
	for i, k := range m.keys {
		k.Key, k.Value = ids.Replace(k.Key), json.RawMessage(ids.Replace(string(k.Value)))
		keys[i] = k
	}
	return keys
}

// fillWith puts many runs into a Redis: half of them sleep, half wait for an event.
func fillWith(t *testing.T, client *redis.Client, count int) {
	t.Helper()
	moulds := []*mould{newMould(t, "redis-state/s01-sleep", "nap"), newMould(t, "redis-state/s02-wait-for-event", "wait-reply")}
	for _, name := range []string{"redis-state/s01-sleep", "redis-state/s02-wait-for-event"} {
		captured.Load(t, client, name, time.Second)
	}
	require.NoError(t, client.Del(t.Context(), "{queue}:queue:sequential", "{queue}:queue:scavenger").Err())
	const atOnce = 500
	for first := 0; first < count; first += atOnce {
		_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for n := first; n < min(first+atOnce, count); n++ {
				redistest.Add(t, p, moulds[n%2].cast(n))
			}
			return nil
		})
		require.NoError(t, err)
	}
}

// connect is a client of a Redis.
func connect(t *testing.T, r *harness.Redis) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(r.URL(0))
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// runsVariable says how many runs TestMany moves.
const runsVariable = "JETSTEP_TEST_RUNS"

// TestMany: whatever the number of runs, they are moved each way, and compared, in
// bounded memory: what the partitions' own index takes comes besides. The figures in
// docs/performance.md are what it logs with a million.
func TestMany(t *testing.T) {
	t.Parallel()
	count := 2000
	if text := os.Getenv(runsVariable); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout+time.Duration(count)*10*time.Millisecond)
	defer cancel()
	m := &moving{t: t, ctx: ctx, count: count, dir: t.TempDir()}
	from, other, back := startRedis(t, ctx), startRedis(t, ctx), startRedis(t, ctx)
	data := t.TempDir()
	m.registered(data)
	begun := time.Now()
	fillWith(t, connect(t, from), count)
	t.Logf("%d runs made in %v", count, time.Since(begun).Round(time.Second))

	const withIndex = 2048 // bytes of each run
	nats := []string{"--data-dir", data}
	m.command(0, "redis-to-redis", "--redis-uri", from.URL(0), "--to-redis-uri", other.URL(0))
	m.command(0, "verify", "--redis-uri", from.URL(0), "--to-redis-uri", other.URL(0))
	require.NoError(t, other.Close())
	m.command(withIndex, "redis-to-nats", append(nats, "--redis-uri", from.URL(0))...)
	m.command(withIndex, "verify", append(nats, "--redis-uri", from.URL(0))...)
	m.command(withIndex, "nats-to-redis", append(nats, "--redis-uri", back.URL(0))...)
	m.command(withIndex, "verify", append(nats, "--redis-uri", back.URL(0))...)
}

// moving is moves of many runs.
type moving struct {
	t     *testing.T
	ctx   context.Context
	count int
	dir   string
}

// memory is what a command may take, in bytes, besides what it keeps of each run.
const memory = 320 << 20

// command runs a migration command, and requires that it ends well and takes no more
// memory than that for each run besides.
func (m *moving) command(each int64, name string, args ...string) {
	m.t.Helper()
	begun := time.Now()
	cmd := exec.CommandContext(m.ctx, mustPath(m.t), append([]string{"migrate", name}, args...)...)
	cmd.Dir, cmd.Env = m.dir, harness.Environment(m.dir)
	text, err := cmd.CombinedOutput()
	require.NoError(m.t, err, "%s", text)
	took := time.Since(begun)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	used := usage.Maxrss << 10
	if runtime.GOOS == "darwin" {
		used = usage.Maxrss
	}
	m.t.Logf("%s: %v, %.0f runs/s, %d MiB, %v of processor time\n%s", name, took.Round(10*time.Millisecond), float64(m.count)/took.Seconds(), used>>20,
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(10*time.Millisecond), text)
	require.Less(m.t, used, memory+each*int64(m.count))
}

// registered makes the runs' functions known in a data directory.
func (m *moving) registered(data string) {
	m.t.Helper()
	server, err := harness.StartServer(m.ctx, harness.ServerConfig{
		Binary: mustPath(m.t), Mode: harness.ModeDev, Dir: m.t.TempDir(), Args: []string{"--persist", "--no-poll", "--data-dir", data},
	})
	require.NoError(m.t, err)
	defer func() { _ = server.Kill() }()
	// The functions' ids are made of where the app was (sdk-protocol §4.2).
	const app = "http://localhost:18210/api/inngest"
	var functions []map[string]any
	for name, event := range map[string]string{"sleeper": "lab/sleep", "waiter": "lab/wait"} {
		id := "state-lab-" + name
		functions = append(functions, map[string]any{
			"id": id, "name": name, "triggers": []map[string]string{{"event": event}}, "steps": map[string]any{"step": map[string]any{
				"id": "step", "name": "step", "runtime": map[string]string{"type": "http", "url": app + "?fnId=" + id + "&stepId=step"},
			}},
		})
	}
	body, err := json.Marshal(map[string]any{
		"url": app, "deployType": "ping", "framework": "test", "appName": "state-lab", "functions": functions, "sdk": "js:v4.24.0", "v": "0.1",
	})
	require.NoError(m.t, err)
	require.NoError(m.t, server.Client().Register(m.ctx, "js:v4.24.0", body))
	require.NoError(m.t, server.Stop(time.Minute))
}
