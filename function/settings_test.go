package function

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestTriggerNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"app/user.created", "app/*", "app/user.*"}, TriggerNames("app/user.created"))
	require.Equal(t, []string{"a/b/c", "a/*", "a/b/*"}, TriggerNames("a/b/c"))
	require.Equal(t, []string{"signup"}, TriggerNames("signup"))
	require.Equal(t, []string{".", ".*"}, TriggerNames("."))
}

// A trigger matches exactly the events whose names list it.
func TestTriggerMatches(t *testing.T) {
	t.Parallel()
	events := []string{"app/user.created", "app/", "app", "a/b/c", "signup", ".", "app/user", "/"}
	triggers := []string{"app/user.created", "app/*", "app/user.*", "*", "app/user*", "*.created", "a/b/*", "", "signup", ".*", "/*", "app/user.created.*"}
	for _, event := range events {
		names := TriggerNames(event)
		for _, text := range triggers {
			want := false
			for _, name := range names {
				want = want || name == text
			}
			require.Equal(t, want, Trigger{Event: text}.Matches(event), "%q against %q", text, event)
		}
	}
}

func TestFunctionTriggers(t *testing.T) {
	t.Parallel()
	f := Function{Triggers: []Trigger{{Cron: "* * * * *", Jitter: "5s"}, {Event: "a/*"}, {Event: "b"}, {Event: "a/b", Expression: "true"}}}
	require.Equal(t, []Trigger{{Event: "a/*"}, {Event: "a/b", Expression: "true"}}, f.EventTriggers("a/b"))
	require.Empty(t, f.EventTriggers("c"))
	trigger, ok := f.CronTrigger("* * * * *")
	require.True(t, ok)
	jitter, err := trigger.MaxJitter()
	require.NoError(t, err)
	require.Equal(t, 5*time.Second, jitter)
	for _, schedule := range []string{"", "0 * * * *"} {
		_, ok = f.CronTrigger(schedule)
		require.False(t, ok)
	}
}

func TestConcurrencyAccessors(t *testing.T) {
	t.Parallel()
	var none *Concurrency
	require.True(t, none.IsZero())
	require.Equal(t, DefaultConcurrency, none.FunctionLimit())
	require.Empty(t, none.Keyed())
	_, ok := none.RunLimit()
	require.False(t, ok)

	var c Concurrency
	require.NoError(t, json.Unmarshal([]byte(`{"step":[{"limit":9},{"limit":3,"key":"k"},{"limit":4,"key":"k","scope":"env"}],"fn":[{"limit":2,"id":"app:x"}]}`), &c))
	require.False(t, c.IsZero())
	require.Equal(t, 9, c.FunctionLimit())
	require.Equal(t, []StepLimit{
		{Limit: 3, Key: "k", Scope: ScopeFunction, Hash: Hash("k")}, {Limit: 4, Key: "k", Scope: ScopeEnvironment, Hash: Hash("k")},
	}, c.Keyed())
	limit, ok := c.RunLimit()
	require.True(t, ok)
	require.Equal(t, RunLimit{Limit: 2, ID: "app:x"}, limit)

	require.NoError(t, json.Unmarshal([]byte(`-1`), &c))
	require.Equal(t, DefaultConcurrency, c.FunctionLimit())
	require.NoError(t, json.Unmarshal([]byte(`{"limit":2,"key":"k"}`), &c))
	require.Equal(t, DefaultConcurrency, c.FunctionLimit(), "a keyed limit is not the function's")
	for _, bad := range []string{`[1]`, `{"limit":"x"}`, `{"fn":1}`, `1.5`, `{"step":[{"scope":"x"}]}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &c), bad)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	require.Zero(t, (&Debounce{}).Limit())
	require.Zero(t, (&Debounce{Timeout: "soon"}).Limit())
	require.Equal(t, time.Minute, (&Debounce{Timeout: "1m"}).Limit())

	var none *Timeouts
	for _, read := range []func() (time.Duration, error){none.StartLimit, none.FinishLimit, (&Timeouts{}).StartLimit, (&Timeouts{}).FinishLimit} {
		d, err := read()
		require.NoError(t, err)
		require.Zero(t, d)
	}
	for _, read := range []func() (time.Duration, error){
		(&EventBatch{Timeout: "24h"}).Wait, (&Debounce{Period: "1d"}).Wait, (&RateLimit{Period: "1d"}).Window, (&Throttle{Period: "1d"}).Window,
		(&Timeouts{Start: "1d"}).StartLimit, (&Timeouts{Finish: "1d"}).FinishLimit,
	} {
		d, err := read()
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, d)
	}

	for timeout, want := range map[string]time.Time{
		"": now.Add(365 * 24 * time.Hour), "1h": now.Add(time.Hour), "2026-03-04T06:00:00Z": now.Truncate(time.Hour).Add(time.Hour),
	} {
		got, err := Cancel{Timeout: timeout}.Expires(now)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := Cancel{Timeout: "1y"}.Expires(now)
	require.Error(t, err)
}

func TestMergeFunctions(t *testing.T) {
	t.Parallel()
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	old := &App{
		Functions: []Function{{Slug: "kept", ID: id(1), Version: 3, Name: "old"}, {Slug: "gone", ID: id(2), Version: 5}},
		Archived:  []Function{{Slug: "back", ID: id(3), Version: 2}, {Slug: "long-gone", ID: id(4), Version: 1}},
	}
	active, archived := MergeFunctions(old, []Function{
		{Slug: "back", ID: id(9), Name: "returned"}, {Slug: "new", ID: id(5)}, {Slug: "kept", ID: id(8), Name: "first"}, {Slug: "kept", ID: id(7), Name: "last"},
	})
	require.Equal(t, []Function{
		{Slug: "back", ID: id(3), Version: 3, Name: "returned"}, {Slug: "new", ID: id(5), Version: 1}, {Slug: "kept", ID: id(1), Version: 4, Name: "last"},
	}, active)
	require.Equal(t, []Function{{Slug: "gone", ID: id(2), Version: 5}, {Slug: "long-gone", ID: id(4), Version: 1}}, archived)
	require.Equal(t, 3, old.Functions[0].Version, "the stored app is left alone")

	active, archived = MergeFunctions(nil, []Function{{Slug: "a", ID: id(1)}})
	require.Equal(t, []Function{{Slug: "a", ID: id(1), Version: 1}}, active)
	require.Empty(t, archived)

	active, archived = MergeFunctions(old, nil)
	require.NotNil(t, active)
	require.Empty(t, active)
	require.Len(t, archived, 4)
}

func TestSync(t *testing.T) {
	t.Parallel()
	created, now := time.Unix(1, 0), time.Unix(2, 0)
	registered := App{ID: AppID("a"), Name: "a", CreatedAt: now, SyncedAt: now}
	first := Sync(nil, registered, []Function{{Slug: "f"}})
	require.Equal(t, now, first.CreatedAt)
	require.Empty(t, first.Error)

	old := App{ID: uuid.UUID{1}, CreatedAt: created, Error: "unreachable", ArchivedAt: now, Functions: first.Functions}
	again := Sync(&old, registered, []Function{{Slug: "f"}})
	require.Equal(t, old.ID, again.ID)
	require.Equal(t, created, again.CreatedAt)
	require.Zero(t, again.ArchivedAt)
	require.Equal(t, 2, again.Functions[0].Version)

	empty := Sync(&again, registered, nil)
	require.Equal(t, ErrorNoFunctions, empty.Error)
	require.Len(t, empty.Archived, 1)
}
