package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/compat/redis/redistest"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/projector"
)

// script are functions that do all that a history shows.
func script() *sdk {
	boom := &driver.UserError{Name: "TypeError", Message: "boom"}
	return &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"plain": func(*driver.Request) *driver.Response { return done(`{"ok":true}`) },
		"steps": func(r *driver.Request) *driver.Response {
			switch len(r.Stack) {
			case 0:
				return steps(driver.Opcode{Op: driver.OpStepRun, ID: "a", Name: "a", Data: json.RawMessage(`{"n":1}`)})
			case 1:
				return steps(driver.Opcode{Op: driver.OpSleep, ID: "nap", Name: "50ms"})
			}
			return done(`"ok"`)
		},
		"parallel": func(r *driver.Request) *driver.Response {
			switch {
			case r.StepID != "" && r.StepID != "step":
				return steps(driver.Opcode{Op: driver.OpStepRun, ID: r.StepID, Name: r.StepID, Data: json.RawMessage(`1`)})
			case len(r.Stack) < 2:
				return steps(driver.Opcode{Op: driver.OpStepPlanned, ID: "p1", Name: "p1"}, driver.Opcode{Op: driver.OpStepPlanned, ID: "p2", Name: "p2"})
			}
			return done(`2`)
		},
		"waits": func(r *driver.Request) *driver.Response {
			switch len(r.Stack) {
			case 0:
				return steps(driver.Opcode{Op: driver.OpWaitForEvent, ID: "late", Name: "never", Opts: json.RawMessage(`{"timeout":"50ms"}`)})
			case 1:
				return steps(driver.Opcode{Op: driver.OpInvokeFunction, ID: "i", Opts: json.RawMessage(`{"function_id":"callee","payload":{"data":{"n":2}}}`)})
			case 2:
				return steps(driver.Opcode{Op: driver.OpWaitForEvent, ID: "w", Name: "go", Opts: json.RawMessage(`{"timeout":"1m","if":"event.data.k == async.data.k"}`)})
			case 3:
				return steps(driver.Opcode{Op: driver.OpWaitForSignal, ID: "sig", Opts: json.RawMessage(`{"signal":"s1","timeout":"1m"}`)})
			}
			return done(`"waited"`)
		},
		"callee": func(*driver.Request) *driver.Response { return done(`42`) },
		"fails": func(r *driver.Request) *driver.Response {
			if len(r.Stack) == 0 && r.Attempt == 0 {
				return steps(driver.Opcode{Op: driver.OpStepError, ID: "a", Name: "a", Error: boom})
			}
			if len(r.Stack) == 0 {
				return steps(driver.Opcode{Op: driver.OpStepRun, ID: "a", Name: "a", Data: json.RawMessage(`1`)})
			}
			return &driver.Response{Kind: driver.KindError, ErrorText: "bad", NoRetry: r.Attempt > 0,
				Error: &driver.RunError{Error: "bad", Name: "Error", Message: "bad"}}
		},
	}}
}

func scripted() []function.Function {
	return []function.Function{
		on("plain", "do/plain"), on("steps", "do/steps"), on("parallel", "do/parallel"), on("waits", "do/waits"), on("callee", "never"),
		on("fails", "do/fails"),
	}
}

// play plays the script by what sends events and signals.
func play(t *testing.T, send func(name, data string), signal func() error, await func(int)) {
	for _, name := range []string{"plain", "steps", "parallel", "waits", "fails"} {
		send("do/"+name, `{"k":"a"}`)
	}
	require.Eventually(t, func() bool {
		send("go", `{"k":"a"}`) // whoever does not wait yet misses it
		return signal() == nil
	}, time.Minute, 50*time.Millisecond)
	await(len(scripted()))
}

// TestRedisIsToldAsNative: a run has the same rows whichever path has executed it.
func TestRedisIsToldAsNative(t *testing.T) {
	t.Parallel()
	sdk := script()
	native := startWith(t, bus.Config{StoreDir: t.TempDir(), Partitions: 1}, sdk)
	native.register(scripted()...)
	play(t, native.send, func() error {
		_, err := native.node.Signal(t.Context(), "s1", json.RawMessage(`{"x":1}`))
		return err
	}, native.await)

	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer b.Close()
	redis := startOnRedis(t, redistest.Open(t), b, script(), scripted()...)
	play(t, redis.send, func() error {
		_, err := redis.Signal(t.Context(), "s1", json.RawMessage(`{"x":1}`))
		return err
	}, redis.await)

	want := project(t, native.bus, redis, func() (string, uint64) {
		_, last, err := native.bus.LogBounds(t.Context(), 0)
		require.NoError(t, err)
		return projector.LogSource(0), last
	})
	got := project(t, b, redis, func() (string, uint64) {
		_, last, err := b.ToldBounds(t.Context())
		require.NoError(t, err)
		return projector.ToldSource, last
	})
	for _, fn := range scripted() {
		require.NotEmpty(t, want[fn.Slug], fn.Slug)
		assert.Equal(t, want[fn.Slug], got[fn.Slug], fn.Slug)
	}
}

// project writes what a bus has into a new database, and gives the rows of each
// function's run, masked. source is the stream with the records, and its end.
func project(t *testing.T, b *bus.Bus, functions projector.Functions, source func() (string, uint64)) map[string][]string {
	t.Helper()
	store, err := database.Open(t.Context(), database.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	// As an instance among others it folds nothing: where a batch ends is chance.
	p, err := projector.New(projector.Config{Bus: b, Store: store, Functions: functions, Instance: "i", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	name, last := source()
	require.Eventually(t, func() bool {
		position, err := store.Position(t.Context(), name+"@i")
		return err == nil && position >= last
	}, time.Minute, 20*time.Millisecond)
	stop()
	<-done
	runs, err := store.Runs(t.Context(), database.RunQuery{Limit: 100})
	require.NoError(t, err)
	rows := map[string][]string{}
	for _, run := range runs {
		fn, _, _ := functions.Executable(run.FunctionID)
		rows[fn.Slug] = rowsOf(t, store, run.ID)
	}
	return rows
}

// masks are what differs between two runs of one function.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`), "ULID"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "SHA"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "SPAN"},
	{regexp.MustCompile(`\b1[0-9]{12}\b`), "MS"},
	{regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`job\.id":"[0-9a-z]+"`), `job.id":"JOB"`},
	{regexp.MustCompile(`duration_ms":[0-9]+`), `duration_ms":N`},
}

func masked(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.with)
	}
	return text
}

func rowsOf(t *testing.T, store *database.Store, run ulid.ULID) []string {
	t.Helper()
	ctx := t.Context()
	spans, err := store.Spans(ctx, run)
	require.NoError(t, err)
	var rows []string
	for _, s := range spans {
		rows = append(rows, masked("span %s %s %s in=%s out=%s parent=%v events=%d", s.Name, s.Status, s.Attributes, s.Input, s.Output,
			s.ParentSpanID != "0000000000000000", len(s.EventIDs)))
	}
	entries, err := store.History(ctx, run)
	require.NoError(t, err)
	for _, h := range entries {
		rows = append(rows, masked("entry %s %d %s %s %s %s v%d event=%t key=%t cancel=%s sleep=%s wait=%s/%s invoke=%s/%s result=%s", h.Type, h.Attempt,
			h.StepName, h.StepID, h.StepType, h.URL, h.FunctionVersion, !h.EventID.IsZero(), h.IdempotencyKey != "", h.CancelRequest, h.Sleep,
			h.WaitForEvent, h.WaitResult, h.InvokeFunction, h.InvokeResult, h.Result))
	}
	slices.Sort(rows)
	summary, err := store.TraceRun(ctx, run)
	require.NoError(t, err)
	execution, err := store.FunctionRun(ctx, run)
	require.NoError(t, err)
	require.NotNil(t, execution.Finish)
	return append(rows, masked("run %d %s %d started=%t; %s %s", summary.Status, summary.Output, len(summary.TriggerIDs), !summary.StartedAt.IsZero(),
		execution.Finish.Status, execution.Finish.Output))
}

// TestRecalled: a run that began elsewhere is shown once it has ended here, and is
// there once, though it was told twice.
func TestRecalled(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer b.Close()
	slow := on("steps", "do/steps")
	first := startOnRedis(t, client, nil, &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"steps": func(*driver.Request) *driver.Response {
			return steps(driver.Opcode{Op: driver.OpSleep, ID: "nap", Name: "1s"})
		},
	}}, slow)
	first.send("do/steps", `{"k":"a"}`)
	require.Eventually(t, func() bool {
		kept, err := client.Keys(t.Context(), "*:stack:*").Result()
		sleeping, _ := client.ZCard(t.Context(), "{queue}:queue:sorted:"+function.FunctionID("steps", "steps").String()).Result()
		return err == nil && len(kept) == 0 && sleeping == 1
	}, time.Minute, 10*time.Millisecond)
	first.stop()
	second := startOnRedis(t, client, b, script(), slow)
	second.await(1)
	rows := project(t, b, second, func() (string, uint64) {
		_, last, err := b.ToldBounds(t.Context())
		require.NoError(t, err)
		return projector.ToldSource, last
	})["steps"]
	require.Contains(t, rows[len(rows)-1], `run 300 "ok" 1 started=true; Completed "ok"`)
	roots := 0
	for _, row := range rows {
		if regexp.MustCompile(`^span executor\.run Queued`).MatchString(row) {
			roots++
		}
	}
	require.Equal(t, 1, roots, "%q", rows)
}
