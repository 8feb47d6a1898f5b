package gates_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/captured"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

// TestInterrupted: what breaks off at any command, and is asked again, leaves in
// Redis what it leaves when it does not.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		// before are the events that came before the one that breaks off.
		before int
		// job is the kind of the job that breaks off, "" for the last event.
		job string
	}{
		"a start": {config: `{"timeouts":{"start":"1h"},"cancel":[{"event":"stop","if":"event.data.k == async.data.k"}],
			"concurrency":{"fn":[{"limit":1}],"step":[{"limit":2,"key":"event.data.k"}]},"rateLimit":{"limit":1,"period":"1h"}}`},
		"a singleton":                  {config: `{"singleton":{"mode":"skip"}}`},
		"a singleton that is taken":    {config: `{"singleton":{"mode":"skip"}}`, before: 1},
		"a singleton that is replaced": {config: `{"singleton":{"mode":"cancel"}}`, before: 1},
		"a debounce":                   {config: `{"debounce":{"period":"1h","timeout":"3h"}}`},
		"a debounce's next event":      {config: `{"debounce":{"period":"1h","timeout":"3h"}}`, before: 1},
		"the end of a debounce":        {config: `{"debounce":{"period":"1h"}}`, before: 2, job: format.KindDebounce},
		"a batch":                      {config: `{"batchEvents":{"maxSize":3,"timeout":"1h"}}`},
		"a batch's next event":         {config: `{"batchEvents":{"maxSize":3,"timeout":"1h"}}`, before: 1},
		"a batch's end":                {config: `{"batchEvents":{"maxSize":3,"timeout":"1h"}}`, before: 2, job: format.KindBatch},
		"a tick":                       {config: `{"triggers":[{"cron":"0 0 1 1 *"}]}`, job: format.KindCron},
		"a check of schedules":         {config: `{"triggers":[{"cron":"0 0 1 1 *"}]}`, job: format.KindCronHealthCheck},
		"a start that is late":         {config: `{"timeouts":{"start":"1h"}}`, before: 1, job: format.KindCancel},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := redistest.Open(t)
			interrupted := func(at int, after bool) ([]string, int) {
				fn := newFunction(t, c.config)
				fn.ID = function.FunctionID(name, name)
				require.NoError(t, database.FlushDB(t.Context()).Err())
				client := redis.NewClient(database.Options())
				defer func() { _ = client.Close() }()
				f := redistest.NewFaults(after)
				client.AddHook(f)
				s := openOn(t, client, newRegistry(fn))
				defer s.Node.Close()
				s.Node.StopLeasing() // only the test does what is due
				require.NoError(t, s.Sync(t.Context(), s.registry.all()))
				for range c.before {
					s.event(fn, newEvent(t, "e", nil))
				}
				again := s.last(fn, c.job)
				f.Arm(at)
				if at >= 0 {
					// The error may be the process's alone.
					_ = again(redistest.Marked(t.Context()))
				}
				f.Arm(-1)
				require.NoError(t, again(redistest.Marked(t.Context())))
				return captured.Masked(t, redistest.Dump(t, client)), f.Commands()
			}
			want, commands := interrupted(-1, false)
			require.Positive(t, commands)
			for _, after := range []bool{false, true} {
				for n := range commands {
					got, _ := interrupted(n, after)
					require.Equal(t, want, got, "broken off at command %d, after it: %v", n, after)
				}
			}
		})
	}
}

// last is what an event of the function does, or a job of a kind that is there.
func (s *site) last(fn *function.Function, kind string) func(context.Context) error {
	if kind == "" {
		e := newEvent(s.t, "e", nil)
		return func(ctx context.Context) error {
			_, err := s.Event(ctx, fn.ID, e)
			return err
		}
	}
	item := s.item(kind)
	if kind == format.KindCancel {
		fn.Timeouts = &function.Timeouts{Start: "1ns"}
	}
	return func(ctx context.Context) error { return s.Do(ctx, item) }
}

// item is the job of a kind that is in the queue.
func (s *site) item(kind string) *format.Item {
	s.t.Helper()
	item := s.find(kind)
	if item == nil {
		s.t.Fatalf("there is no job of kind %s", kind)
	}
	return item
}

// find is item, nil when there is none.
func (s *site) find(kind string) *format.Item {
	s.t.Helper()
	for id, text := range s.client.HGetAll(s.t.Context(), format.ItemsKey).Val() {
		item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: id}, text)
		require.NoError(s.t, err)
		if item.Data.Kind == kind {
			return &item
		}
	}
	return nil
}
