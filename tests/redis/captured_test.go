package redis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/captured"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/tests/harness"
)

// TestCaptured: what the original left in a Redis is carried to its end by a real
// server on it, with a real SDK app that has the same functions; steps that are done
// do not run again, and nothing is left.
func TestCaptured(t *testing.T) {
	t.Parallel()
	eachCapture(t, &taken, func(k *taking) {
		k.serve("--engine", "redis", "--redis-uri", k.url())
		k.act()
		k.requireEnds()
		k.requireNothingLeft()
	})
}

// TestCapturedDrained: it is all the same beside a server on NATS.
func TestCapturedDrained(t *testing.T) {
	t.Parallel()
	eachCapture(t, &drained, func(k *taking) {
		k.serve("--drain-redis", k.url())
		k.act()
		k.requireEnds()
		k.requireNothingLeft()
	})
}

// TestCapturedMoved: it is all the same on NATS, after it was moved there.
func TestCapturedMoved(t *testing.T) {
	t.Parallel()
	eachCapture(t, &moved, func(k *taking) {
		k.serve() // so that its functions are known
		require.NoError(k.t, k.server.Stop(time.Minute))
		k.move("redis-to-nats")
		k.move("verify")
		require.NoError(k.t, k.server.Restart(k.ctx))
		k.act()
		k.requireEnds()
	})
}

// eachCapture takes all captured databases over, with an app.
func eachCapture(t *testing.T, app *sharedApp, over func(*taking)) {
	for _, c := range captures {
		if testing.Short() && !c.short {
			continue
		}
		t.Run(c.title(), func(t *testing.T) {
			t.Parallel()
			over(take(t, c, app))
		})
	}
}

// taking is the taking over of a captured database.
type taking struct {
	t      *testing.T
	ctx    context.Context
	of     capture
	app    *leftApp
	redis  *redis.Client
	data   string          // directory of servers
	runs   map[string]bool // that there were
	server *harness.Server
}

func take(t *testing.T, c capture, app *sharedApp) *taking {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	k := &taking{t: t, ctx: ctx, of: c, app: app.get(t), redis: redistest.Open(t), data: t.TempDir(), runs: map[string]bool{}}
	captured.Load(t, k.redis, c.file, c.ago)
	for name := range redistest.Dump(t, k.redis) {
		if pattern, parts, ok := format.Identify(name); ok && pattern.Template == "{estate:<run>}:metadata:<run>" {
			k.runs[parts["run"]] = true
		}
	}
	return k
}

func (k *taking) url() string {
	o := k.redis.Options()
	return fmt.Sprintf("redis://%s/%d", o.Addr, o.DB)
}

// serve starts a server that the app is registered with.
func (k *taking) serve(args ...string) {
	k.t.Helper()
	path, err := binary.Path()
	require.NoError(k.t, err)
	server, err := harness.StartServer(k.ctx, harness.ServerConfig{
		Binary: path, Mode: harness.ModeDev, Dir: k.t.TempDir(), Args: append([]string{"--persist", "--no-poll", "--data-dir", k.data}, args...),
	})
	require.NoError(k.t, err)
	k.server = server
	k.t.Cleanup(func() {
		if k.t.Failed() {
			k.t.Logf("server %v:\n%s", args, server.Log().Tail(40))
		}
		_ = server.Kill()
	})
	if k.of.reports {
		k.app, err = startLeftApp(k.ctx, k.t.TempDir(), server.URL(), quick)
		require.NoError(k.t, err)
		k.t.Cleanup(func() { _ = k.app.Kill() })
	}
	require.NoError(k.t, k.app.register(k.ctx, server.Client(), k.of.cron))
}

// act does what happens from outside.
func (k *taking) act() {
	k.t.Helper()
	if k.of.act != nil {
		require.NoError(k.t, k.of.act(k.ctx, k.server.Client()))
	}
}

// move runs a migration command from the Redis to the server's data.
func (k *taking) move(command string) {
	k.t.Helper()
	path, err := binary.Path()
	require.NoError(k.t, err)
	cmd := exec.CommandContext(k.ctx, path, "migrate", command, "--redis-uri", k.url(), "--data-dir", k.data)
	cmd.Dir = k.t.TempDir()
	cmd.Env = harness.Environment(cmd.Dir)
	text, err := cmd.CombinedOutput()
	require.NoError(k.t, err, "%s", text)
}

// requireEnds waits until there are the runs that there are to be, and all have ended,
// and requires how.
func (k *taking) requireEnds() {
	k.t.Helper()
	lines, err := harness.Await(k.ctx, "the ends of all runs", func(ctx context.Context) ([]string, error) {
		var lines []string
		live := 0
		runs, err := k.list(ctx)
		for _, run := range runs {
			if !slices.Contains([]string{"COMPLETED", "FAILED", "CANCELLED"}, run.Status) {
				live++
			}
			line, err := k.line(ctx, &run)
			if err != nil {
				return nil, err
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
		if err == nil && (live > 0 || len(lines) < len(k.of.want)) {
			err = fmt.Errorf("%d live, of %q", live, lines)
		}
		return lines, err
	})
	require.NoError(k.t, err)
	require.Equal(k.t, k.of.want, lines)
}

// shown is a run as the history shows it.
type shown struct {
	ID, Status   string
	CronSchedule *string
	Function     struct{ Slug string }
}

// line says how a run ended: with which result, if it has one, and which steps ran. Of
// one that failed it does not matter how often they did.
func (k *taking) line(ctx context.Context, run *shown) (string, error) {
	steps, err := k.app.ran(ctx, run.ID)
	if err != nil {
		return "", err
	}
	words := []string{run.Function.Slug, run.Status}
	switch run.Status {
	case "COMPLETED":
		ended, err := k.server.Client().Run(ctx, run.ID)
		if err != nil {
			return "", err
		}
		if !k.of.unseen {
			words = append(words, string(ended.Output))
		}
	case "FAILED":
		steps = slices.Compact(steps)
	}
	return strings.Join(append(words, fmt.Sprint(steps)), " "), nil
}

// list are the runs that there were, and those that were made since, but for what a
// schedule has made.
func (k *taking) list(ctx context.Context) (runs []shown, err error) {
	const document = `query($f:RunsFilterV2!,$o:[RunsV2OrderBy!]!){runs(first:100,filter:$f,orderBy:$o){edges{node{
		id status cronSchedule function{slug}}}}}`
	var data struct {
		Runs struct{ Edges []struct{ Node shown } }
	}
	err = k.server.Client().GraphQL(ctx, document, map[string]any{
		"f": map[string]any{"from": "2026-01-01T00:00:00Z"}, "o": []any{map[string]any{"field": "QUEUED_AT", "direction": "DESC"}},
	}, &data)
	for _, edge := range data.Runs.Edges {
		if run := edge.Node; run.CronSchedule == nil || k.runs[run.ID] {
			runs = append(runs, run)
		}
	}
	return runs, err
}

// requireNothingLeft requires that of what the original left nothing is left where it
// was.
func (k *taking) requireNothingLeft() {
	k.t.Helper()
	_, err := harness.Await(k.ctx, "the Redis to be empty", func(context.Context) (struct{}, error) {
		for name, key := range redistest.Dump(k.t, k.redis) {
			if err := leftOver(name, key); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	require.NoError(k.t, err)
	path, err := binary.Path()
	require.NoError(k.t, err)
	cmd := exec.CommandContext(k.ctx, path, "doctor", "redis", "--redis-uri", k.url())
	text, _ := cmd.CombinedOutput() // it fails for what is allowed, too
	require.Contains(k.t, string(text), "looked at ")
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "found ") { // the original itself leaves pointers of accounts behind
			require.Contains(k.t, line, "pointer_to_nothing", "%s", text)
		}
	}
}

// leftOver tells what of a key belongs to a run.
func leftOver(name string, key redistest.Key) error {
	pattern, parts, ok := format.Identify(name)
	switch {
	case !ok:
		return fmt.Errorf("%s is of no known kind", name)
	case name == format.ItemsKey:
		for id, text := range key.Things {
			var item format.Item
			if err := json.Unmarshal([]byte(text), &item); err != nil {
				return err
			}
			switch kind := item.Data.Kind; kind {
			case format.KindCron, format.KindCronHealthCheck, format.KindCancel: // timeouts stay until they are due
			default:
				return fmt.Errorf("there is item %s of kind %s", id, kind)
			}
		}
	case parts["run"] != "", parts["pause"] != "", parts["batch"] != "", strings.HasPrefix(pattern.Template, "{queue}:singleton:"),
		name == format.DebouncesKey, strings.HasPrefix(pattern.Template, "{queue}:backlog"):
		return fmt.Errorf("there is %s", name)
	}
	return nil
}
