package database_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/database"
)

const expected = "../../tests/testdata/fixtures/postgres/expected/"

var (
	fixtureFrom  = time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)
	fixtureUntil = time.Date(2026, 11, 25, 23, 17, 30, 0, time.UTC)
)

// allOf reads everything that a store has, by all of its reads.
func allOf(t *testing.T, s *database.Store) (records database.Records, reads map[string]any) {
	t.Helper()
	ctx := t.Context()
	reads = map[string]any{}
	must := func(err error) { t.Helper(); require.NoError(t, err) }
	var err error
	records.Apps, err = s.Apps(ctx, true)
	must(err)
	records.Functions, err = s.Functions(ctx, true)
	must(err)
	records.Events, err = s.Events(ctx, database.EventFilter{Internal: true})
	must(err)
	var events []ulid.ULID
	for _, e := range records.Events {
		events = append(events, e.InternalID)
		reads["function runs of "+e.InternalID.String()], err = s.FunctionRunsOfEvent(ctx, e.InternalID)
		must(err)
	}
	byEvent, err := s.RunsOfEvents(ctx, events)
	must(err)
	reads["runs of events"] = byEvent
	seen := map[ulid.ULID]bool{}
	for _, id := range events {
		for _, run := range byEvent[id] {
			if !seen[run.ID] {
				seen[run.ID] = true
				readRun(t, s, run, &records, reads)
			}
		}
	}
	reads["runs"], err = s.Runs(ctx, database.RunQuery{Limit: 100})
	must(err)
	reads["page of events"], err = s.Events(ctx, database.EventFilter{
		Names: []string{"fx/hello", "fx/steps"}, From: fixtureFrom, Until: fixtureUntil, Before: events[3], Limit: 2,
	})
	must(err)
	reads["trace runs"], err = s.TraceRuns(ctx, fixtureFrom, fixtureUntil, 100)
	must(err)
	reads["active functions"], err = s.Functions(ctx, false)
	must(err)
	return records, reads
}

func readRun(t *testing.T, s *database.Store, run database.Run, records *database.Records, reads map[string]any) {
	t.Helper()
	ctx := t.Context()
	spans, err := s.Spans(ctx, run.ID)
	require.NoError(t, err)
	records.Spans = append(records.Spans, spans...)
	history, err := s.History(ctx, run.ID)
	require.NoError(t, err)
	records.History = append(records.History, history...)
	traceRun, err := s.TraceRun(ctx, run.ID)
	require.NoError(t, err)
	records.TraceRuns = append(records.TraceRuns, traceRun)
	reads["run "+run.ID.String()] = run
	var withOutput []string
	for _, span := range spans {
		withOutput = append(withOutput, span.SpanID)
	}
	reads["outputs "+run.ID.String()], err = s.Outputs(ctx, run.ID, withOutput)
	require.NoError(t, err)
	reads["output "+run.ID.String()], err = s.RunOutputs(ctx, []ulid.ULID{run.ID})
	require.NoError(t, err)
	if !run.BatchID.IsZero() {
		batch, err := s.Batch(ctx, run.BatchID)
		require.NoError(t, err)
		records.Batches = append(records.Batches, batch)
	}
	functionRun, err := s.FunctionRun(ctx, run.ID)
	if run.Status == database.Skipped {
		require.ErrorIs(t, err, database.ErrNotFound)
		return
	}
	require.NoError(t, err)
	require.NotNil(t, functionRun.Finish)
	records.Runs = append(records.Runs, functionRun)
	records.Finishes = append(records.Finishes, *functionRun.Finish)
}

// TestFixtureReadsTheSameEverywhere copies the database of the original, by its
// reads, to each kind of database.
func TestFixtureReadsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	original := openFixture(t)
	n, err := original.TakeUp(t.Context())
	require.NoError(t, err)
	require.Equal(t, 28, n)
	records, reads := allOf(t, original)
	counts := []int{
		len(records.Apps), len(records.Functions), len(records.Events), len(records.Batches), len(records.Runs),
		len(records.Finishes), len(records.History), len(records.TraceRuns), len(records.Spans),
	}
	require.Equal(t, []int{2, 24, 62, 1, 27, 27, 189, 28, 350}, counts)

	each(t, func(t *testing.T, s *database.Store) {
		require.NoError(t, s.Write(t.Context(), &records))
		again, copied := allOf(t, s)
		require.Equal(t, records, again)
		require.Equal(t, reads, copied)
		n, err := s.TakeUp(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "the index of runs was kept while writing")
	})
}

// TestRunListsOfTheFixture compares with what the original answered.
func TestRunListsOfTheFixture(t *testing.T) {
	t.Parallel()
	original := openFixture(t)
	_, err := original.TakeUp(t.Context())
	require.NoError(t, err)
	records, _ := allOf(t, original)
	each(t, func(t *testing.T, s *database.Store) {
		require.NoError(t, s.Write(t.Context(), &records))
		for file, statuses := range map[string][]database.RunStatus{
			"gql-runs.json": nil, "gql-runs-page1.json": nil,
			"gql-runs-status-completed.json": {database.Completed},
			"gql-runs-status-failed.json":    {database.Failed},
			"gql-runs-status-cancelled.json": {database.Cancelled},
		} {
			want := expectedRuns(t, file)
			filter := database.RunFilter{From: fixtureFrom, Until: fixtureUntil, Statuses: statuses}
			got, err := s.Runs(t.Context(), database.RunQuery{RunFilter: filter, Limit: len(want.Edges)})
			require.NoError(t, err)
			require.Len(t, got, len(want.Edges))
			for i, edge := range want.Edges {
				require.Equal(t, edge.Node.ID, got[i].ID, file)
				require.Equal(t, edge.Node.QueuedAt, got[i].StartedAt)
				require.Equal(t, edge.Node.EndedAt, got[i].EndedAt)
				require.Equal(t, edge.Node.TraceID, got[i].TraceID)
				require.Equal(t, edge.Node.TriggerIDs, got[i].EventIDs)
				require.Equal(t, edge.Node.Cron, got[i].Cron)
				require.Equal(t, edge.Node.Status, strings.ToUpper(string(got[i].Status)))
			}
			n, err := s.CountRuns(t.Context(), filter)
			require.NoError(t, err)
			require.Equal(t, want.TotalCount, n, file)
		}
	})
}

type runList struct {
	TotalCount int `json:"totalCount"`
	Edges      []struct {
		Node struct {
			ID         ulid.ULID   `json:"id"`
			TraceID    string      `json:"traceID"`
			QueuedAt   time.Time   `json:"queuedAt"`
			EndedAt    time.Time   `json:"endedAt"`
			Status     string      `json:"status"`
			TriggerIDs []ulid.ULID `json:"triggerIDs"`
			Cron       string      `json:"cronSchedule"`
		} `json:"node"`
	} `json:"edges"`
}

func expectedRuns(t *testing.T, file string) runList {
	t.Helper()
	text, err := os.ReadFile(expected + file)
	require.NoError(t, err)
	var answer struct {
		Response struct {
			Data struct {
				Runs runList `json:"runs"`
			} `json:"data"`
		} `json:"response"`
	}
	require.NoError(t, json.Unmarshal(text, &answer))
	require.NotEmpty(t, answer.Response.Data.Runs.Edges)
	return answer.Response.Data.Runs
}
