package metrics

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"jetstep/queue"
	"jetstep/state"
)

var begin = time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)

// values are the counts and sums of a registry: name{label,…} of counters and
// gauges, and name_count and name_sum of histograms.
func values(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for i, label := range m.GetLabel() {
				if i == 0 {
					name += "{"
				} else {
					name += ","
				}
				name += label.GetValue()
				if i == len(m.GetLabel())-1 {
					name += "}"
				}
			}
			switch {
			case m.GetHistogram() != nil:
				got[name+" count"] = float64(m.GetHistogram().GetSampleCount())
				got[name+" sum"] = m.GetHistogram().GetSampleSum()
			case m.GetCounter() != nil:
				got[name] = m.GetCounter().GetValue()
			default:
				got[name] = m.GetGauge().GetValue()
			}
		}
	}
	return got
}

func TestEngine(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(registry, begin)
	require.NoError(t, err)
	require.Contains(t, values(t, registry), "jetstep_run_seconds{Completed} count", "shown before there is any")

	o := e.Observer()
	o.Matched(250 * time.Millisecond)
	o.Matched(-time.Second) // by another clock
	o.Late(500 * time.Millisecond)
	o.Appended(1000, 3, 2*time.Second)
	o.Compacted(5000)
	e.EventReceived(0)
	e.EventReceived(2)

	run := ulid.MustNew(ulid.Timestamp(begin.Add(time.Second)), nil)
	e.RunScheduled(&state.Run{ID: run, QueuedAt: begin.Add(time.Second).UnixMilli()})
	e.RunFinished(run, state.Completed, begin.Add(4*time.Second))
	at := begin.UnixMilli()
	e.Called(&state.Called{
		Job: state.Job{Kind: state.JobStart, Due: at}, StartedAt: at + 100, EndedAt: at + 600, Size: 42, Result: state.CallSteps,
		Ops: []state.CalledOp{{Op: "StepRun"}, {Op: "Sleep"}, {Op: "made up"}},
	})
	e.Called(&state.Called{Job: state.Job{Kind: state.JobStart, Attempt: 1}, StartedAt: at + 100, EndedAt: at, Result: state.CallFailed, RetryAt: at + 1000}) // the clock was set
	e.Called(&state.Called{Result: state.CallDone})

	got := values(t, registry)
	for name, want := range map[string]float64{
		"jetstep_event_match_lag_seconds count": 2, "jetstep_event_match_lag_seconds sum": 0.25,
		"jetstep_timer_late_seconds sum": 0.5, "jetstep_log_append_seconds sum": 2, "jetstep_log_append_bytes_total": 1000,
		"jetstep_log_records_total": 3, "jetstep_log_compactions_total": 1, "jetstep_log_compacted_bytes_total": 5000,
		"jetstep_events_matched_total{yes}": 1, "jetstep_events_matched_total{no}": 1,
		"jetstep_runs_scheduled_total": 1, "jetstep_runs_started_total": 1,
		"jetstep_run_seconds{Completed} count": 1, "jetstep_run_seconds{Completed} sum": 3, "jetstep_run_seconds{Failed} count": 0,
		"jetstep_sdk_call_seconds{steps} sum": 0.5, "jetstep_sdk_call_seconds{failed} count": 1, "jetstep_sdk_call_seconds{failed} sum": 0,
		"jetstep_sdk_call_seconds{done} count": 1, "jetstep_sdk_call_delay_seconds sum": 0.1,
		"jetstep_sdk_response_bytes_total": 42, "jetstep_retries_total": 1,
		"jetstep_steps_total{StepRun}": 1, "jetstep_steps_total{Sleep}": 1, "jetstep_steps_total{other}": 1,
	} {
		require.InDelta(t, want, got[name], 1e-9, name)
	}
	_, err = New(registry, begin)
	require.Error(t, err, "they are registered already")
}

// TestToldAgain: what was before the start is not counted once more.
func TestToldAgain(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(registry, begin)
	require.NoError(t, err)
	old := begin.Add(-time.Minute)
	e.RunScheduled(&state.Run{QueuedAt: old.UnixMilli()})
	e.RunFinished(ulid.ULID{}, state.Failed, old)
	got := values(t, registry)
	require.Zero(t, got["jetstep_runs_scheduled_total"])
	require.Zero(t, got["jetstep_run_seconds{Failed} count"])
}

func TestByFunction(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(registry, begin)
	require.NoError(t, err)
	fn, run, forgotten := uuid.New(), ulid.Make(), ulid.Make()
	names := Functions{
		Slug:  func(uuid.UUID) string { return "shop-pay" },
		OfRun: func(id ulid.ULID) (uuid.UUID, bool) { return fn, id == run },
	}
	require.NoError(t, e.ByFunction(registry, names))
	e.RunScheduled(&state.Run{ID: run, FunctionID: fn, QueuedAt: begin.UnixMilli()})
	for _, id := range []ulid.ULID{run, forgotten} {
		e.RunFinished(id, state.Cancelled, begin)
	}
	e.Called(&state.Called{FunctionID: fn, Job: state.Job{Kind: state.JobStart}, Result: state.CallDone})
	e.Called(&state.Called{FunctionID: fn, Job: state.Job{Kind: state.JobEdge}, Result: state.CallFailed})
	got := values(t, registry)
	for name, want := range map[string]float64{
		"inngest_function_run_scheduled_total{shop-pay}": 1, "inngest_function_run_started_total{shop-pay}": 1,
		"inngest_function_run_ended_total{shop-pay,cancelled}": 1, "inngest_sdk_req_scheduled_total{shop-pay}": 2,
		"inngest_sdk_req_started_total{shop-pay}": 2, "inngest_sdk_req_ended_total{shop-pay,success}": 1,
		"inngest_sdk_req_ended_total{shop-pay,errored}": 1,
	} {
		require.InDelta(t, want, got[name], 0, name)
	}
	require.Error(t, e.ByFunction(registry, names), "they are registered already")
}

func TestDepths(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	require.NoError(t, registry.Register(Depths{
		Count: func() map[uuid.UUID]queue.Depth {
			return map[uuid.UUID]queue.Depth{a: {Waiting: 2, Out: 1}, b: {Waiting: 3}, c: {Out: 4}}
		},
		Slug: func(id uuid.UUID) string {
			if id == c {
				return "other"
			}
			return "same"
		},
	}))
	require.Equal(t, map[string]float64{
		"jetstep_function_jobs{same,ready}": 5, "jetstep_function_jobs{same,leased}": 1,
		"jetstep_function_jobs{other,ready}": 0, "jetstep_function_jobs{other,leased}": 4,
	}, values(t, registry))
}

// failing is a store that fails at will.
type failing struct {
	state.Store
	err error
}

func (f failing) Commit(context.Context, *state.Transition) error { return f.err }

func TestStore(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(registry, begin)
	require.NoError(t, err)
	report := &state.Transition{Reported: &state.Reported{Ops: []state.CalledOp{{Op: "StepRun"}, {Op: "StepRun"}}}}
	down := errors.New("down")
	require.ErrorIs(t, e.Store(failing{err: down}).Commit(t.Context(), report), down)
	require.NoError(t, e.Store(failing{}).Commit(t.Context(), &state.Transition{}))
	require.Zero(t, values(t, registry)["jetstep_steps_total{StepRun}"])
	require.NoError(t, e.Store(failing{}).Commit(t.Context(), report))
	require.InDelta(t, 2, values(t, registry)["jetstep_steps_total{StepRun}"], 0)
}

// BenchmarkCalled is what a call costs more.
func BenchmarkCalled(b *testing.B) {
	e, err := New(prometheus.NewRegistry(), begin)
	require.NoError(b, err)
	call := &state.Called{StartedAt: 1, EndedAt: 2, Ops: []state.CalledOp{{Op: "StepRun"}}}
	for b.Loop() {
		e.Called(call)
	}
}
