package jobs_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

// timeline is a case of throttle.json.
type timeline struct {
	Kind   string `json:"kind"`
	Note   string `json:"note"`
	Limit  int    `json:"limit"`
	Period int64  `json:"period_s"`
	Burst  int    `json:"burst"`
	Start  int64  `json:"start_ms"`
	Steps  []struct {
		At      int64  `json:"at_ms"`
		Key     string `json:"idempotency_key"`
		Allowed bool   `json:"allowed"`
		TAT     string `json:"stored_tat"`
		TTL     int64  `json:"set_ttl_s"`
		Expired bool   `json:"key_expired_before"`
	} `json:"steps"`
}

func (c timeline) constraint() (format.Constraint, string) {
	if c.Kind == "throttle" {
		key := format.ThrottleKey(account, fn, format.Evaluated{Expression: "e", Value: "v"})
		return format.Constraint{Kind: format.ConstraintThrottle, Throttle: &format.ThrottleConstraint{
			Limit: c.Limit, Burst: c.Burst, Period: c.Period * 1000, Key: key,
		}}, key
	}
	key := format.RateLimitKey(account, fn, format.Evaluated{})
	return format.Constraint{Kind: format.ConstraintRateLimit, RateLimit: &format.RateConstraint{
		Limit: c.Limit, Burst: c.Limit / 10, Period: c.Period * int64(time.Second), Key: key,
	}}, key
}

// TestTimelines follows throttle.json: who may start, and to the byte what is
// stored. The keys' lives are the test's, whose time is not Redis's.
func TestTimelines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../tests/testdata/fixtures/throttle.json")
	require.NoError(t, err)
	var cases []timeline
	require.NoError(t, json.Unmarshal(text, &cases))
	for _, c := range cases {
		t.Run(c.Kind+" "+c.Note, func(t *testing.T) {
			t.Parallel()
			c.follow(open(t))
		})
	}
}

func (c timeline) follow(s *suite) {
	constraint, key := c.constraint()
	gone := int64(1 << 60)
	charged := map[string]int64{}
	for i, step := range c.Steps {
		require.Equal(s, step.Expired, step.At >= gone, "step %d", i)
		if step.At >= gone {
			require.NoError(s, s.client.Del(s.Context(), key).Err())
		}
		id := step.Key
		if id == "" {
			id = "item" + decimal(int64(i))
		}
		if at, ok := charged[id]; ok && step.At >= at+format.ChargedTTL*1000 {
			delete(charged, id)
			hashed := function.Hash(id)
			require.NoError(s, s.client.Del(s.Context(), format.ChargedKey(account, hashed)).Err())
		}
		now := time.UnixMilli(c.Start + step.At)
		item := newItem(id, format.KindStart, runAt(start), start)
		capacity, refused, err := s.Acquire(s.Context(), jobs.Ask(item, []format.Constraint{constraint}), now)
		require.NoError(s, err)
		require.Equal(s, step.Allowed, capacity != nil, "step %d", i)
		require.Equal(s, step.Allowed, refused == nil)
		if refused != nil {
			require.Greater(s, refused.Again, now.UnixMilli())
		} else if _, before := charged[id]; !before {
			charged[id] = step.At
		}
		require.Equal(s, step.TAT, s.client.Get(s.Context(), key).Val(), "step %d", i)
		if step.TTL > 0 {
			gone = step.At + step.TTL*1000
			require.InDelta(s, step.TTL, s.client.TTL(s.Context(), key).Val().Seconds(), 2)
		}
	}
}

func concurrency(key string, limit int) format.Constraint {
	return format.Constraint{Kind: format.ConstraintConcurrency, Concurrency: &format.ConcurrencyConstraint{
		Limit: limit, Key: key, RetryAfter: 2000,
	}}
}

func ofFunction(limit int) format.Constraint {
	return concurrency(format.ConcurrencyKeyOf(account, format.OfFunction, fn, format.Evaluated{}), limit)
}

func ofAccount(limit int) format.Constraint {
	c := concurrency(format.ConcurrencyKeyOf(account, format.OfAccount, account, format.Evaluated{}), limit)
	c.Concurrency.Scope = format.ScopeAccount
	return c
}

func (s *suite) acquire(id string, now time.Time, constraints ...format.Constraint) (*jobs.Capacity, *jobs.Refused) {
	s.Helper()
	capacity, refused, err := s.Acquire(s.Context(), jobs.Ask(newItem(id, format.KindEdge, runAt(now), now), constraints), now)
	require.NoError(s, err)
	return capacity, refused
}

// TestCapacityAsCaptured: capacity for the captured item that is executed (d02)
// has the captured keys.
func TestCapacityAsCaptured(t *testing.T) {
	t.Parallel()
	original := open(t)
	redistest.Load(t, original.client, redistest.Captured(t, "redis-queue/d02-in-progress"))
	want := map[string]redistest.Key{}
	var item format.Item
	for key, held := range redistest.Dump(t, original.client) {
		if strings.HasPrefix(key, "{cs}:") && !strings.Contains(key, ":ik:op:") {
			want[key] = held
		}
		if key == format.ItemsKey {
			var err error
			item, err = format.Decode[format.Item](format.Place{}, held.Things["34e8ma0rbg1h2"])
			require.NoError(t, err)
		}
	}
	s := open(t)
	limits := []format.Constraint{ofAccount(1000), concurrency(
		format.ConcurrencyKeyOf(account, format.OfFunction, item.FunctionID, format.Evaluated{}), 1000)}
	now := time.UnixMilli(1795645543315)
	capacity, refused, err := s.Acquire(t.Context(), jobs.Ask(&item, limits), now)
	require.NoError(t, err)
	require.Nil(t, refused)
	got := redistest.Dump(t, s.client)
	require.Equal(t, templates(t, want), templates(t, got))
	for key, held := range got {
		pattern, _, _ := format.Identify(key)
		switch pattern.Template {
		case format.ConstraintAccountsKey:
			require.Equal(t, want[key].Things, held.Things)
		case "{cs}:a:<account>:rs:<request>":
			var captured string
			for name, h := range want {
				if strings.Contains(name, ":rs:") {
					captured = h.Text
				}
			}
			require.JSONEq(t, captured, held.Text)
		case "{cs}:a:<account>:ld:<lease>":
			require.Equal(t, "1ek9s4ov90pm", held.Things["lik"])
			require.Equal(t, item.Data.Identifier.RunID.String(), held.Things["rid"])
		case "{cs}:a:<account>:leaseq", "{cs}:a:<account>:concurrency:<scope>:<scoped><limit>":
			for lease, score := range held.Things {
				require.Equal(t, score, decimal(format.LeaseText(lease)))
				require.Equal(t, "1795645573315", score)
			}
		}
	}
	require.NoError(t, s.ReleaseCapacity(t.Context(), capacity, false))
	require.NoError(t, s.ReleaseCapacity(t.Context(), capacity, false), "once more is no harm")
	require.Equal(t, []string{"{cs}:a:<account>:ik:cc:<hash>"}, templates(t, redistest.Dump(t, s.client)))
}

// templates are the patterns of a dump's keys.
func templates(t *testing.T, dump map[string]redistest.Key) []string {
	t.Helper()
	var names []string
	for key := range dump {
		pattern, _, ok := format.Identify(key)
		require.True(t, ok, key)
		names = append(names, pattern.Template)
	}
	slices.Sort(names)
	return names
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, _ := s.acquire("a", start, ofAccount(3), ofFunction(2))
	_, _ = s.acquire("b", start, ofAccount(3), ofFunction(2))
	_, refused := s.acquire("c", start, ofAccount(3), ofFunction(2))
	require.Equal(t, ofFunction(2), refused.Constraint)
	require.Equal(t, start.UnixMilli()+2000, refused.Again)
	require.NoError(t, s.ReleaseCapacity(t.Context(), first, false))
	third, _ := s.acquire("c", start, ofAccount(3), ofFunction(2))
	require.NotNil(t, third)

	later := start.Add(20 * time.Second)
	extended, err := s.ExtendCapacity(t.Context(), third, later)
	require.NoError(t, err)
	_, err = s.ExtendCapacity(t.Context(), third, later)
	require.ErrorIs(t, err, jobs.ErrCapacityLost)
	require.NoError(t, s.ReleaseCapacity(t.Context(), third, false), "it is the other one that counts")
	after := start.Add(jobs.CapacityLease + time.Second)
	_, refused = s.acquire("d", after, ofFunction(1))
	require.NotNil(t, refused, "what was extended counts")
	fourth, _ := s.acquire("d", after, ofFunction(2))
	require.NotNil(t, fourth, "and what has ended does not")

	released, err := s.ScavengeCapacity(t.Context(), after)
	require.NoError(t, err)
	require.Equal(t, 1, released)
	require.Len(t, redistest.Dump(t, s.client)[format.CapacityLeasesKey(account)].Things, 2)
	require.NoError(t, s.ReleaseCapacity(t.Context(), extended, false))
	require.NoError(t, s.ReleaseCapacity(t.Context(), fourth, false))
	for _, template := range templates(t, redistest.Dump(t, s.client)) {
		require.Equal(t, "{cs}:a:<account>:ik:cc:<hash>", template)
	}
	released, err = s.ScavengeCapacity(t.Context(), after)
	require.NoError(t, err)
	require.Zero(t, released)
}

func TestSemaphores(t *testing.T) {
	t.Parallel()
	s := open(t)
	semaphore := func(id string, release int) format.Constraint {
		return format.Constraint{Kind: format.ConstraintSemaphore, Semaphore: &format.SemaphoreConstraint{
			Usage: format.SemaphoreUsageKey(account, id, ""), Capacity: format.SemaphoreCapacityKey(account, id), Weight: 1, Release: release,
		}}
	}
	used := func(id string) string {
		return s.client.Get(t.Context(), format.SemaphoreUsageKey(account, id, "")).Val()
	}
	manual, auto := semaphore("fn:x", format.ReleaseManual), semaphore("app:y", format.ReleaseAuto)
	_, refused := s.acquire("a", start, manual)
	require.Equal(t, manual, refused.Constraint, "nothing is there until it is set")
	require.NoError(t, s.SetSemaphore(t.Context(), account, "fn:x", 1))
	require.NoError(t, s.SetSemaphore(t.Context(), account, "app:y", 1))
	first, _ := s.acquire("a", start, manual, auto)
	require.NotNil(t, first)
	require.NoError(t, s.ReleaseCapacity(t.Context(), first, false))
	require.Equal(t, "1", used("fn:x"), "until the run ends")
	require.Equal(t, "0", used("app:y"))
	_, refused = s.acquire("b", start, auto, manual)
	require.Equal(t, manual, refused.Constraint)
	require.Equal(t, "0", used("app:y"), "nothing is taken")
	require.NoError(t, s.SetSemaphore(t.Context(), account, "fn:x", 2))
	_, _ = s.acquire("b", start, manual)
	require.Equal(t, "2", used("fn:x"))
	_, err := s.Enqueue(t.Context(), start, newItem("b", format.KindStart, runAt(start), start))
	require.NoError(t, err)
	_, err = s.ScavengeCapacity(t.Context(), start.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, "1", used("fn:x"), "whoever had it is gone")
	for range 2 {
		require.NoError(t, s.ReleaseSemaphore(t.Context(), account, format.Semaphore{ID: "fn:x", Weight: 1}, runAt(start)))
	}
	require.Equal(t, "0", used("fn:x"), "and never less than nothing")
	_, _ = s.acquire("c", start, manual)
	_, _ = s.acquire("d", start, manual)
	run := runAt(start)
	for range 2 {
		require.NoError(t, s.ReleaseSemaphore(t.Context(), account, format.Semaphore{ID: "fn:x", Weight: 1}, run))
	}
	require.Equal(t, "1", used("fn:x"), "once for a run")
}

// TestSemaphoresOfTheDead: what a run holds until its end is given back for a
// process that died only if the run has not begun: what goes on holds it.
func TestSemaphoresOfTheDead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    string // of what there is, "" for nothing
		attempt int
		left    string
	}{
		"it had not begun":    {format.KindStart, 0, "0"},
		"it is tried again":   {format.KindStart, 1, "1"},
		"it has gone on":      {"", 0, "1"},
		"it goes on as a job": {format.KindEdge, 0, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			require.NoError(t, s.SetSemaphore(t.Context(), account, "fn:x", 1))
			capacity, _ := s.acquire("a", start, format.Constraint{Kind: format.ConstraintSemaphore, Semaphore: &format.SemaphoreConstraint{
				Usage: format.SemaphoreUsageKey(account, "fn:x", ""), Capacity: format.SemaphoreCapacityKey(account, "fn:x"),
				Weight: 1, Release: format.ReleaseManual,
			}})
			require.NotNil(t, capacity)
			if c.kind != "" {
				item := newItem("a", c.kind, runAt(start), start)
				item.Data.Attempt = c.attempt
				_, err := s.Enqueue(t.Context(), start, item)
				require.NoError(t, err)
			}
			released, err := s.ScavengeCapacity(t.Context(), start.Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, 1, released)
			require.Equal(t, c.left, s.client.Get(t.Context(), format.SemaphoreUsageKey(account, "fn:x", "")).Val())
		})
	}
}

// TestExtendedTwice: an answer that got lost does not make capacity seem lost.
func TestExtendedTwice(t *testing.T) {
	t.Parallel()
	s := open(t)
	first, _ := s.acquire("a", start, ofFunction(1))
	again := redis.NewClient(s.client.Options())
	t.Cleanup(func() { _ = again.Close() })
	again.AddHook(repeating{})
	extended, err := jobs.NewQueue(again).ExtendCapacity(t.Context(), first, start.Add(10*time.Second))
	require.NoError(t, err)
	require.NoError(t, s.ReleaseCapacity(t.Context(), extended, false))
	require.Zero(t, s.client.Exists(t.Context(), format.CapacityLeasesKey(account)).Val())
}

// repeating sends each script twice, as a client does that got no answer to the
// first.
type repeating struct{}

func (repeating) DialHook(next redis.DialHook) redis.DialHook { return next }
func (repeating) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (repeating) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil || !strings.HasPrefix(cmd.Name(), "eval") {
			return err
		}
		return next(ctx, cmd)
	}
}

// TestCapacityRace: of many that ask at once as many are granted as the limit says.
func TestCapacityRace(t *testing.T) {
	t.Parallel()
	s := open(t)
	var wg sync.WaitGroup
	granted := make(chan *jobs.Capacity, 30)
	for i := range 30 {
		wg.Go(func() {
			item := newItem("i"+decimal(int64(i)), format.KindEdge, runAt(start), start)
			capacity, _, err := s.Acquire(t.Context(), jobs.Ask(item, []format.Constraint{ofAccount(100), ofFunction(7)}), start)
			if err != nil {
				t.Error(err)
			}
			if capacity != nil {
				granted <- capacity
			}
		})
	}
	wg.Wait()
	require.Len(t, granted, 7)
}

// TestScavengeCapturedCapacity: the capacity of a killed server is free again
// (d17), and one that is damaged does not keep others from it.
func TestScavengeCapturedCapacity(t *testing.T) {
	t.Parallel()
	s := open(t)
	redistest.Load(t, s.client, redistest.Captured(t, "redis-queue/d17-crashed-worker"))
	stray := ulid.MustParse("01M8AD2263XEYDB6PNARNG1KCY")
	require.NoError(t, s.client.ZAdd(t.Context(), format.CapacityLeasesKey(account), z("damaged", 1), z(stray.String(), 2)).Err())
	_, err := s.ScavengeCapacity(t.Context(), time.UnixMilli(1795645889750).Add(time.Minute))
	require.NoError(t, err)
	for key := range redistest.Dump(t, s.client) {
		if strings.HasPrefix(key, "{cs}:") {
			require.Contains(t, key, ":ik:", "left of a capacity lease")
		}
	}
}

func TestBadConstraint(t *testing.T) {
	t.Parallel()
	s := open(t)
	item := newItem("a", format.KindEdge, runAt(start), start)
	_, _, err := s.Acquire(t.Context(), jobs.Ask(item, []format.Constraint{{Kind: format.ConstraintThrottle}}), start)
	require.ErrorContains(t, err, "constraint of kind 3 without")
}
