package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// beginningOf is a run that an app begins, whose app is called after an hour of
// silence.
func beginningOf(t *testing.T, claim string) *state.Beginning {
	t.Helper()
	data := json.RawMessage(`{"body":"","content_type":"","domain":"http://app","fn":"","ip":"","method":"GET","path":"/a","query_params":"x=1"}`)
	request, err := function.ParseEndpointRequest(data)
	require.NoError(t, err)
	fn, event := request.Function(3), ulid.Make()
	input := json.RawMessage(`{"data":` + string(data) + `,"id":"` + event.String() + `","name":"inngest/http.request","ts":5,"user":{}}`)
	run := state.Run{
		ID: ulid.Make(), FunctionID: fn.ID, FunctionVersion: 1, Slug: fn.Slug, Events: []json.RawMessage{input}, EventIDs: []ulid.ULID{event},
		Trigger: "inngest/http.request", StartedAt: time.Now().UnixMilli(), Version: 2,
		Endpoint: &state.Endpoint{AppID: request.AppID(), SDK: "go", Attempts: 4},
	}
	run.Jobs = []state.Job{{ID: run.PatienceJob(), Kind: state.JobEdge, Due: time.Now().Add(time.Hour).UnixMilli(), MaxAttempts: 4}}
	return &state.Beginning{Run: run, Claim: claim}
}

func (s *site) loaded(id ulid.ULID) *state.Run {
	s.t.Helper()
	run, err := s.Load(s.t.Context(), id)
	require.NoError(s.t, err)
	return run
}

// TestBegin: a run that its app began is kept once, with what the original says of
// such, and called by nobody.
func TestBegin(t *testing.T) {
	t.Parallel()
	s := open(t)
	b := beginningOf(t, "key")
	begun, existed, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.False(t, existed)
	again, existed, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.True(t, existed)
	require.Equal(t, begun.EventIDs, again.EventIDs)
	require.Len(t, again.Jobs, 1)
	require.Equal(t, again.PatienceJob(), again.Jobs[0].ID)
	require.Equal(t, b.Run.Jobs[0].Due, again.Jobs[0].Due)
	require.Equal(t, b.Run.Endpoint, again.Endpoint)
	require.True(t, again.Sync())
	require.Equal(t, 2, again.Version)
	require.Equal(t, b.Run.StartedAt, again.StartedAt)
	hash := s.client.HGetAll(t.Context(), format.MetadataKey(b.Run.ID)).Val()
	require.Contains(t, hash["ctx"], `"url":"http://app/a?x=1"`)
	s.nothing(queue.LaneCall)
	require.True(t, s.OfEndpoint(t.Context(), begun.FunctionID))
	require.False(t, s.OfEndpoint(t.Context(), uuid.New()))

	other := beginningOf(t, "key")
	_, _, err = s.Begin(t.Context(), other)
	require.ErrorIs(t, err, engine.ErrRunExists, "another run has the key")
	other.Claim, other.Run.ID, other.Run.FunctionID = "", b.Run.ID, uuid.New()
	_, _, err = s.Begin(t.Context(), other)
	require.ErrorIs(t, err, engine.ErrRunExists, "a run of another function has the id")

	end := &state.Transition{RunID: b.Run.ID, Finish: &state.Finish{Status: state.Completed, Output: json.RawMessage(`1`)}}
	require.NoError(t, s.Commit(t.Context(), end))
	require.Zero(t, s.client.HLen(t.Context(), format.ItemsKey).Val())
	ended, _, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.Nil(t, ended)
}

// TestReports: what an app reports of its run postpones that it is called, until the
// run goes on by itself.
func TestReports(t *testing.T) {
	t.Parallel()
	s := open(t)
	b := beginningOf(t, "")
	_, _, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	later := time.Now().Add(2 * time.Hour).UnixMilli()
	report := &state.Transition{RunID: b.Run.ID, Patience: later, Saves: []state.Save{{Step: "a", Memo: json.RawMessage(`{"data":1}`)}}}
	require.NoError(t, s.Commit(t.Context(), report))
	run := s.loaded(b.Run.ID)
	require.Len(t, run.Steps, 1)
	require.Len(t, run.Jobs, 1, "nothing else is called")
	require.Equal(t, later, run.Jobs[0].Due)
	require.NoError(t, s.Commit(t.Context(), &state.Transition{RunID: b.Run.ID, Patience: later - 1}))
	require.Equal(t, later, s.loaded(b.Run.ID).Jobs[0].Due)

	detach := &state.Transition{RunID: b.Run.ID, Detach: true, Jobs: []state.Job{{
		ID: "nap", Kind: state.JobSleep, Step: "n", Due: time.Now().Add(time.Hour).UnixMilli(), MaxAttempts: 4,
	}}}
	require.NoError(t, s.Commit(t.Context(), detach))
	run = s.loaded(b.Run.ID)
	require.False(t, run.Sync())
	require.NotZero(t, run.Endpoint.AsyncAt)
	require.Equal(t, "go", run.Endpoint.SDK)
	require.Len(t, run.Jobs, 1)
	require.Equal(t, "nap", run.Jobs[0].ID)

	b = beginningOf(t, "")
	_, _, err = s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), &state.Transition{RunID: b.Run.ID, Detach: true}))
	lease := s.lease(queue.LaneCall)
	require.Equal(t, b.Run.ID, lease.RunID, "with nothing else to do it is called at once")
}

// TestSilence: the app of a run that is silent is called, and the run goes on by
// itself.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := open(t)
	b := beginningOf(t, "")
	b.Run.Jobs[0].Due = time.Now().UnixMilli()
	_, _, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	lease := s.lease(queue.LaneCall)
	require.Equal(t, 4, lease.Job.MaxAttempts)
	late := &state.Transition{RunID: b.Run.ID, Patience: time.Now().Add(time.Hour).UnixMilli()}
	require.NoError(t, s.Commit(t.Context(), late), "a report during the call")
	require.Less(t, s.loaded(b.Run.ID).Jobs[0].Due, late.Patience)
	tr := concluded(lease)
	tr.Jobs = []state.Job{{ID: "nap", Kind: state.JobSleep, Step: "n", Due: time.Now().Add(time.Hour).UnixMilli(), MaxAttempts: 4}}
	require.NoError(t, s.Commit(t.Context(), tr))
	run := s.loaded(b.Run.ID)
	require.False(t, run.Sync())
	require.Len(t, run.Jobs, 1)
}

// TestBegunByTheOriginal: of its runs nothing says since when they go on by
// themselves: those that have something to go on with do. The others get a job when
// their app reports.
func TestBegunByTheOriginal(t *testing.T) {
	t.Parallel()
	s := open(t)
	b := beginningOf(t, "")
	_, _, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	require.NoError(t, s.client.HDel(t.Context(), format.MetadataKey(b.Run.ID), format.FieldEndpoint).Err())
	run := s.loaded(b.Run.ID)
	require.False(t, run.Sync())
	require.Equal(t, b.Run.Endpoint.AppID, run.Endpoint.AppID)
	require.NoError(t, s.client.Del(t.Context(), format.ItemsKey, format.RunIndexKey(b.Run.ID)).Err())
	run = s.loaded(b.Run.ID)
	require.True(t, run.Sync())
	later := time.Now().Add(time.Hour).UnixMilli()
	require.NoError(t, s.Commit(t.Context(), &state.Transition{RunID: b.Run.ID, Patience: later}))
	jobs := s.client.HKeys(t.Context(), format.ItemsKey).Val()
	require.Equal(t, []string{run.PatienceJob()}, jobs)
}
