package main

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/history"
	"jetstep/history/live"
	"jetstep/queue/partition"
	"jetstep/state"
	"jetstep/telemetry/metrics"
)

func TestRecorderTellsWhatNobodyHears(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	memory := newMemory()
	r := newRecorder(memory, newEngineMetrics(t), func(...ulid.ULID) {}, slog.New(slog.NewTextHandler(&log, nil)))
	said := func(text string) int { return strings.Count(log.String(), text) }

	for range 3 {
		r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "app/unheard"}, 0)
	}
	require.Equal(t, 1, said("event matched no function and no wait"), "once for each name")
	r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "app/heard"}, 1)
	r.EventReceived(&bus.Delivery{InternalID: ulid.Make(), Name: "inngest/function.finished"}, 0)
	require.Equal(t, 1, said("event matched"), "nothing about what is heard, or is the server's own")

	r.EventReceived(&bus.Delivery{Name: "app/raw", Seq: 7, StoredAt: time.Now(), Body: []byte(`{"name":"app/raw"}`)}, 0)
	require.Equal(t, 1, said("event=app/raw"))
	r.EventReceived(&bus.Delivery{Name: "app/junk", Seq: 8, StoredAt: time.Now(), Body: []byte(`junk`)}, 0)
	require.Equal(t, 1, said(`msg="message in EVENTS is no event" event=app/junk seq=8`))
}

// newMemory is an overlay without a database below it.
func newMemory() *live.Overlay {
	return live.New(live.Config{Past: nothing{}, Engine: idle{}})
}

// nothing is a history that is empty.
type nothing struct{ history.Reader }

func (nothing) Run(context.Context, ulid.ULID) (history.Run, error) {
	return history.Run{}, history.ErrRunNotFound
}
func (nothing) EventRuns(context.Context, ulid.ULID) ([]history.Run, error) { return nil, nil }

// idle is an engine without runs.
type idle struct{ live.Engine }

func (idle) Executing(ulid.ULID) (time.Time, bool) { return time.Time{}, false }

func TestRecorderShowsSkippedRuns(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	memory := newMemory()
	r := newRecorder(memory, newEngineMetrics(t), func(...ulid.ULID) {}, slog.New(slog.NewTextHandler(&log, nil)))
	at := r.since.Add(time.Second)
	skipped := &state.RunSkipped{
		RunID: ulid.Make(), FunctionID: uuid.New(), FunctionVersion: 3, Slug: "shop-pay", EventIDs: []ulid.ULID{ulid.Make()},
		Reason: state.SkipSingleton, Existing: ulid.Make(), Cron: "* * * * *", BatchID: ulid.Make(), Original: ulid.Make(),
	}
	r.RunSkipped(skipped, at)
	run, err := memory.Run(t.Context(), skipped.RunID)
	require.NoError(t, err)
	require.Equal(t, history.Run{
		ID: skipped.RunID, FunctionID: skipped.FunctionID, EventIDs: skipped.EventIDs, Status: state.Skipped,
		QueuedAt: at, EndedAt: at, Reason: "Singleton",
		Cron: "* * * * *", BatchID: &skipped.BatchID, ExistingRunID: &skipped.Existing, OriginalRunID: &skipped.Original,
	}, run)
	runs, err := memory.EventRuns(t.Context(), skipped.EventIDs[0])
	require.NoError(t, err)
	require.Empty(t, runs, "skipped runs are not among an event's runs")
	require.Contains(t, log.String(), `msg="run was skipped" function_id=shop-pay run_id=`+skipped.RunID.String()+
		" reason=Singleton existing_run_id="+skipped.Existing.String())

	again := *skipped
	again.RunID = ulid.Make()
	r.RunSkipped(&again, at)
	again.RunID, again.Reason, again.Existing = ulid.Make(), state.SkipPaused, ulid.ULID{}
	r.RunSkipped(&again, at)
	require.Equal(t, 2, strings.Count(log.String(), "run was skipped"), "once for each function and reason")
	require.Contains(t, log.String(), "reason=FunctionPaused\n")

	// After a restart, and after an owner loaded its log again.
	r.RunSkipped(skipped, at)
	again.RunID = ulid.Make()
	r.RunSkipped(&again, r.since.Add(-time.Second))
	_, err = memory.Run(t.Context(), again.RunID)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"Singleton": 2, "FunctionPaused": 1}, counted(t, r.skipped), "each is counted once")
}

// counted are the values of a metric by those of its one label.
func counted(t *testing.T, metric prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(metric))
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return values
}

func TestRecorderCountsStarts(t *testing.T) {
	t.Parallel()
	r := newRecorder(newMemory(), newEngineMetrics(t), func(...ulid.ULID) {}, slog.New(slog.DiscardHandler))
	want := map[string]float64{}
	for _, outcome := range partition.StartOutcomes {
		want[outcome] = 0
	}
	require.Equal(t, want, counted(t, r.starts), "all are shown from the beginning")
	r.StartDecided(uuid.New(), partition.StartDebounced)
	r.StartDecided(uuid.New(), partition.StartDebounced)
	want["debounced"] = 2
	require.Equal(t, want, counted(t, r.starts))
}

func TestRecorderShowsBatchesOfRuns(t *testing.T) {
	t.Parallel()
	memory := newMemory()
	r := newRecorder(memory, newEngineMetrics(t), func(...ulid.ULID) {}, slog.New(slog.DiscardHandler))
	run := &state.Run{ID: ulid.Make(), Flow: &state.Flow{BatchID: ulid.Make()}}
	r.RunScheduled(run)
	shown, err := memory.Run(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, &run.Flow.BatchID, shown.BatchID)
}

func TestSeldom(t *testing.T) {
	t.Parallel()
	s, now := newSeldom(), time.Now()
	require.True(t, s.worthSaying("a", now))
	require.False(t, s.worthSaying("a", now.Add(seldomEvery-1)))
	require.True(t, s.worthSaying("b", now))
	require.True(t, s.worthSaying("a", now.Add(seldomEvery)))
	for i := range 2 * seldomNames {
		s.worthSaying(strconv.Itoa(i), now)
	}
	require.LessOrEqual(t, len(s.said), seldomNames)
}

func newEngineMetrics(t *testing.T) *metrics.Engine {
	t.Helper()
	m, err := metrics.New(prometheus.NewRegistry(), time.Now())
	require.NoError(t, err)
	return m
}
