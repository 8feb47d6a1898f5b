package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/captured"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/tests/harness"
)

// TestWrittenAsCaptured: after the same events, a real server with a real SDK app
// leaves in the middle of its runs what the original left there: keys, types, times to
// live, members and fields, and how far all times are ahead. Ids are masked.
func TestWrittenAsCaptured(t *testing.T) {
	t.Parallel()
	for _, course := range courses {
		if testing.Short() && !course.short {
			continue
		}
		t.Run(course.stages[len(course.stages)-1].file, func(t *testing.T) {
			t.Parallel()
			w := startWriting(t, &course)
			for _, s := range course.stages {
				for _, act := range s.acts {
					require.NoError(t, act(w))
				}
				w.requireAsCaptured(s)
			}
		})
	}
}

// writing is a server that writes into a Redis what a captured database has.
type writing struct {
	t      *testing.T
	ctx    context.Context
	app    *leftApp
	redis  *redis.Client
	server *harness.Server
}

func startWriting(t *testing.T, c *course) *writing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &writing{t: t, ctx: ctx, app: asCaptured.get(t), redis: redistest.Open(t)}
	path, err := binary.Path()
	require.NoError(t, err)
	o := w.redis.Options()
	w.server, err = harness.StartServer(ctx, harness.ServerConfig{
		Binary: path, Mode: harness.ModeDev, Dir: t.TempDir(),
		Args: []string{"--no-poll", "--retry-interval", "30", "--engine", "redis", "--redis-uri", fmt.Sprintf("redis://%s/%d", o.Addr, o.DB)},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server:\n%s", w.server.Log().Tail(40))
		}
		_ = w.server.Kill()
	})
	if c.reports {
		w.app, err = startLeftApp(ctx, t.TempDir(), w.server.URL(), asCaptured.env)
		require.NoError(t, err)
		t.Cleanup(func() { _ = w.app.Kill() })
	}
	require.NoError(t, w.register(c))
	return w
}

// register makes the app known that was known there.
func (w *writing) register(c *course) error {
	set, _ := filepath.Split(c.stages[0].file)
	app := map[string]string{"redis-queue/": "rq", "redis-state/": "state-lab"}[set]
	for _, r := range w.app.registrations {
		if !strings.HasPrefix(r.app, app) {
			continue
		}
		if err := r.register(w.ctx, w.server.Client(), r.without(c.cron)); err != nil {
			return err
		}
	}
	return nil
}

// requireAsCaptured waits until the Redis has what a captured database has.
func (w *writing) requireAsCaptured(s stage) {
	w.t.Helper()
	left := redistest.Open(w.t)
	captured.Load(w.t, left, s.file, soon)
	mask := captured.Timed
	if s.untimed {
		mask = captured.Masked
	}
	want := mask(w.t, redistest.Dump(w.t, left))
	nearest := math.MaxInt
	var differs error // where it was nearest to it
	_, err := harness.Await(w.ctx, s.file, func(context.Context) (struct{}, error) {
		missing, more := captured.Differ(want, mask(w.t, redistest.Dump(w.t, w.redis)))
		missing, more = slices.DeleteFunc(missing, s.explained), slices.DeleteFunc(more, s.explained)
		more = slices.DeleteFunc(more, capacity)
		count := len(missing) + len(more)
		if count == 0 {
			return struct{}{}, nil
		}
		if count < nearest {
			nearest = count
			differs = fmt.Errorf("missing:\n%s\nmore:\n%s", strings.Join(missing, "\n"), strings.Join(more, "\n"))
		}
		return struct{}{}, differs
	})
	require.NoError(w.t, err)
}

// capacity tells of a line whether it says how many runs of a function there may be:
// that is there for each that is registered, unless the Redis was emptied since, as
// before most captures.
func capacity(line string) bool {
	return strings.Contains(line, ":sem:") && strings.Contains(line, ":cap = ")
}

// act does something from outside.
type act func(*writing) error

func sent(events ...harness.Event) act {
	return func(w *writing) error {
		_, err := w.server.Client().Send(w.ctx, events...)
		return err
	}
}

// of is an event.
func of(name string, data any) harness.Event { return harness.Event{Name: name, Data: data} }

// raw sends an event with all its members.
func raw(event string) act {
	return func(w *writing) error {
		return w.server.Client().Post(w.ctx, "/e/test", json.RawMessage(event), &struct{}{})
	}
}

// signalled sends a signal as soon as a run waits for it.
func signalled(name string, data any) act {
	return func(w *writing) error { return signal(name, data)(w.ctx, w.server.Client()) }
}

// waits comes when a run waits for an event.
func waits(w *writing) error {
	_, err := harness.Await(w.ctx, "a wait", func(ctx context.Context) (int64, error) {
		n, err := w.redis.SCard(ctx, format.PauseIndexKey).Result()
		if err == nil && n == 0 {
			err = errors.New("none")
		}
		return n, err
	})
	return err
}

// enough ends the steps that are being executed.
func enough(w *writing) error {
	for name := range redistest.Dump(w.t, w.redis) {
		_, parts, ok := format.Identify(name)
		if !ok || parts["run"] == "" {
			continue
		}
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.app.URL()+"/enough?token="+parts["run"], nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
	}
	return nil
}
