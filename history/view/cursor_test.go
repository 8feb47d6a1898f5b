package view_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/view"
)

var id = ulid.MustParse("01M8AG7158C8SK1X9CHY7V4WNH")

// TestRunCursor has the captured cursors of one run in both lists (graphql §9).
func TestRunCursor(t *testing.T) {
	t.Parallel()
	queued := time.UnixMicro(1795648881833777).UTC()
	run := view.Run{ID: id, QueuedAt: queued, StartedAt: queued, EndedAt: queued.Add(time.Second)}
	by := func(source view.Source, fields ...view.TimeField) string {
		q := view.RunQuery{RunFilter: view.RunFilter{Source: source}}
		for _, field := range fields {
			q.Orders = append(q.Orders, view.Order{Field: field})
		}
		text, err := base64.StdEncoding.DecodeString(q.Cursor(&run).Encode())
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{"start_time":{"f":"start_time","v":1795648881833777}}}`, by(view.FromSpans, view.QueuedAt))
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{"queued_at":{"f":"queued_at","v":1795648881833}}}`, by(view.FromRuns, view.QueuedAt))
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{"started_at":{"f":"started_at","v":1795648881833}}}`, by(view.FromRuns, view.StartedAt))
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{"ended_at":{"f":"ended_at","v":1795648882833}}}`, by(view.FromRuns, view.EndedAt))
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{"end_time":{"f":"end_time","v":1795648882833777}}}`, by(view.FromSpans, view.EndedAt))
	require.Equal(t, `{"id":"01M8AG7158C8SK1X9CHY7V4WNH","c":{}}`, by(view.FromSpans))
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	q := view.RunQuery{Orders: []view.Order{{Field: view.QueuedAt}}}
	cursor := q.Cursor(&view.Run{ID: id, QueuedAt: time.UnixMilli(5)})
	parsed, err := view.ParseCursor(cursor.Encode())
	require.NoError(t, err)
	require.Equal(t, cursor, *parsed)

	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, text := range []string{"", "!", encode("x"), encode("{}"), encode(`{"id":"' OR 1=1 --"}`), encode(`{"id":5}`)} {
		_, err := view.ParseCursor(text)
		require.ErrorContains(t, err, "invalid cursor", text)
	}
}

func TestEventCursor(t *testing.T) {
	t.Parallel()
	event := ulid.MustParse("01M8AG711MS2YW8B1T87P7J6PB")
	text := view.EventCursor(event)
	require.Equal(t, "eyJJRCI6IjAxTThBRzcxMU1TMllXOEIxVDg3UDdKNlBCIn0=", text, "as captured (graphql §8)")
	parsed, err := view.ParseEventCursor(text)
	require.NoError(t, err)
	require.Equal(t, event, parsed)
	for _, text := range []string{"", "!", "e30="} {
		_, err := view.ParseEventCursor(text)
		require.ErrorContains(t, err, "invalid cursor", text)
	}
}

func TestWorkerCursor(t *testing.T) {
	t.Parallel()
	worker := view.Worker{ID: id, ConnectedAt: time.UnixMilli(1), LastHeartbeatAt: time.UnixMilli(2), DisconnectedAt: time.UnixMilli(3)}
	q := view.WorkerQuery{Orders: []view.WorkerOrder{{Field: view.ConnectedAt}, {Field: view.LastHeartbeatAt}, {Field: view.DisconnectedAt}}}
	require.Equal(t, map[string]view.CursorValue{
		"connected_at": {Field: "connected_at", Value: 1}, "last_heartbeat_at": {Field: "last_heartbeat_at", Value: 2},
		"disconnected_at": {Field: "disconnected_at", Value: 3},
	}, q.Cursor(&worker).Keys)
}

func TestEnded(t *testing.T) {
	t.Parallel()
	for status, ended := range map[view.Status]bool{
		view.Queued: false, view.Running: false, view.Completed: true, view.Failed: true, view.Cancelled: true, view.Skipped: true,
	} {
		require.Equal(t, ended, status.Ended(), status)
	}
}
