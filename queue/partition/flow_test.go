package partition

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// limited is a function that an event starts, with flow control.
func limited(slug, event string, change func(*function.Function)) function.Function {
	fn := on(slug, event)
	change(&fn)
	return fn
}

// decided waits until so many starts had each outcome, in text such as
// "success:2 debounced:1", and no others.
func (s *site) decided(want string) {
	s.t.Helper()
	s.passed()
	total := 0
	for _, part := range strings.Fields(want) {
		_, text, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(text)
		require.NoError(s.t, err)
		total += n
	}
	s.eventually(func() bool { return s.told(total) }, "%s", want)
	s.passed()
	require.Equal(s.t, want, s.outcomes())
}

// told tells whether so many starts were decided, and what they made is
// durable.
func (s *site) told(total int) bool {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	for _, n := range s.rec.decided {
		total -= n
	}
	return total <= 0 && len(s.rec.scheduled) >= s.rec.decided[StartSuccess] && len(s.rec.skipped) >= s.rec.decided[StartSkipped]
}

func (s *site) outcomes() string {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	var parts []string
	for _, outcome := range StartOutcomes {
		if n := s.rec.decided[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s:%d", outcome, n))
		}
	}
	return strings.Join(parts, " ")
}

// numbers are the "n" in the data of the events of each run of a function, in
// order of the runs' ids.
func (s *site) numbers(slug string) (runs []string) {
	s.t.Helper()
	for _, run := range s.runs(slug) {
		var numbers []string
		for _, event := range run.Events {
			var e struct{ Data struct{ N json.Number } }
			require.NoError(s.t, json.Unmarshal(event, &e))
			numbers = append(numbers, e.Data.N.String())
		}
		runs = append(runs, strings.Join(numbers, " "))
	}
	return runs
}

// runs are those of a function that were scheduled, in order of their ids.
func (s *site) runs(slug string) (runs []*state.Run) {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	for _, run := range s.rec.scheduled {
		if run.Slug == slug {
			runs = append(runs, run)
		}
	}
	slices.SortFunc(runs, func(a, b *state.Run) int { return a.ID.Compare(b.ID) })
	return runs
}

// only waits for the one run of a function.
func (s *site) only(slug string) *state.Run {
	s.t.Helper()
	s.eventually(func() bool { return len(s.runs(slug)) > 0 })
	s.passed()
	runs := s.runs(slug)
	require.Len(s.t, runs, 1)
	return runs[0]
}

// skips are the runs that were skipped.
func (s *site) skips() (skips []state.RunSkipped) {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	for _, skipped := range s.rec.skipped {
		skips = append(skips, *skipped)
	}
	slices.SortFunc(skips, func(a, b state.RunSkipped) int { return a.RunID.Compare(b.RunID) })
	return skips
}

// reload makes every owner load again, and requires that nothing is lost.
func (s *site) reload() {
	s.t.Helper()
	s.delivered()
	want := s.images()
	for p := range s.bus.Partitions() {
		s.replaceOwner(p)
	}
	requireImages(s.t, want, s.images())
}

// numbered sends events with n in their data, and more fields.
func (s *site) numbered(name, fields string, numbers ...int) {
	s.t.Helper()
	for _, n := range numbers {
		s.send(name, fmt.Sprintf(`{"n":%d%s}`, n, fields))
	}
}

// archive takes all functions away, as a registration without them does.
func (s *site) archive() {
	s.t.Helper()
	_, err := s.bus.Registry().Update(s.t.Context(), function.AppID("app"), func(old *function.App) (*function.App, error) {
		app := *old
		app.Archived, app.Functions = old.Functions, nil
		return &app, nil
	})
	require.NoError(s.t, err)
}

// pause pauses or unpauses a function.
func (s *site) pause(slug string, paused bool) {
	s.t.Helper()
	require.NoError(s.t, s.bus.Registry().SetPaused(s.t.Context(), function.FunctionID(slug, slug), paused))
}

// calls leases jobs until it gets one of a function; the others stay leased.
func (s *site) calls(slug string) queue.Lease {
	s.t.Helper()
	for {
		lease := s.call()
		if s.load(lease.RunID).Slug == slug {
			return lease
		}
	}
}

func raws(texts ...string) (list []json.RawMessage) {
	for _, text := range texts {
		list = append(list, json.RawMessage(text))
	}
	return list
}

// reloads are ways in which owners change.
var reloads = map[string]func(*site){
	"undisturbed":       func(*site) {},
	"owners load again": (*site).reload,
	"restart":           (*site).restart,
}
