package command_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/history/trace"
	"jetstep/history/view"
	"jetstep/history/view/viewtest"
)

// lagging is a history that is written a while after it is asked for the first
// time; before, runs are as told.
type lagging struct {
	*viewtest.Store
	written time.Time
	before  func(view.Run) (view.Run, error)
}

func (l *lagging) current() bool { return !time.Now().Before(l.written) }

func (l *lagging) Run(ctx context.Context, id ulid.ULID) (view.Run, error) {
	run, err := l.Store.Run(ctx, id)
	if err != nil || l.current() {
		return run, err
	}
	return l.before(run)
}

func (l *lagging) Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error) {
	if !l.current() {
		return nil, nil
	}
	return l.Store.Spans(ctx, run)
}

func (l *lagging) EventsByID(ctx context.Context, ids []ulid.ULID) ([]view.Event, error) {
	if !l.current() {
		return nil, nil
	}
	return l.Store.EventsByID(ctx, ids)
}

func unknownYet(view.Run) (view.Run, error) { return view.Run{}, view.ErrNotFound }

func runningYet(run view.Run) (view.Run, error) {
	run.Status = view.Running
	return run, nil
}

// lag makes the history of a fixture lag for so long, of runs that are young.
func (f *fixture) lag(d time.Duration, before func(view.Run) (view.Run, error)) {
	f.Reader = &lagging{Store: f.history, written: time.Now().Add(d), before: before}
	f.Now = func() time.Time { return captured.Add(-4 * time.Minute) }
}

func TestRerunOfWhatHasJustEnded(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(view.Run) (view.Run, error){"unknown yet": unknownYet, "running yet": runningYet} {
		f := newFixture(t)
		synctest.Test(t, func(t *testing.T) {
			f.lag(3*time.Second, before)
			_, err := f.Rerun(t.Context(), command.Rerun{Run: f.latestRun(t, "two-steps"), Step: "second"})
			require.NoError(t, err, name)
			require.Len(t, f.engine.started[0].Steps, 1)
		})
	}
}

func TestResendOfWhatHasJustComeIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	synctest.Test(t, func(t *testing.T) {
		f.lag(time.Second, unknownYet)
		for _, event := range f.history.EventRows {
			if event.ID == "order-1001" {
				_, err := f.Resend(t.Context(), event.InternalID)
				require.NoError(t, err)
			}
		}
		require.Len(t, f.events.bodies, 1)
	})
}

// TestHistoryThatLagsForLong is not waited for without end, nor for what is old.
func TestHistoryThatLagsForLong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	synctest.Test(t, func(t *testing.T) {
		f.lag(time.Hour, unknownYet)
		id := f.latestRun(t, "two-steps")
		begun := time.Now()
		_, err := f.Rerun(t.Context(), command.Rerun{Run: id})
		require.ErrorIs(t, err, view.ErrNotFound)
		require.Equal(t, 15*time.Second, time.Since(begun))

		f.Now = func() time.Time { return captured.Add(time.Hour) }
		begun = time.Now()
		_, err = f.Rerun(t.Context(), command.Rerun{Run: id})
		require.ErrorIs(t, err, view.ErrNotFound)
		_, err = f.Resend(t.Context(), id)
		require.ErrorIs(t, err, view.ErrNotFound)
		require.Equal(t, begun, time.Now())
	})
}
