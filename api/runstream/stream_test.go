package runstream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

var (
	run      = ulid.MustParse("01M8AFXH2MZX2KYF8QXVZKBF7M")
	begin    = time.Date(2026, 11, 25, 23, 16, 10, 0, time.UTC)
	errGone  = errors.New("no such run")
	sleepFor = time.Sleep // in a bubble of synctest, where it costs no time
)

// source is a run that tests change.
type source struct {
	mu      sync.Mutex
	shown   string
	ended   bool
	rows    []trace.Row
	err     error
	rowsErr error
	looks   int
}

func (s *source) Run(context.Context, ulid.ULID) (json.RawMessage, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return json.RawMessage(s.shown), s.ended, s.err
}

func (s *source) Spans(context.Context, ulid.ULID) ([]trace.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows, s.rowsErr
}

func (s *source) set(change func(*source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// row is a row of spans.
func row(name, id, dynamic, parent, status string, attributes string) trace.Row {
	return trace.Row{
		Name: name, SpanID: id, DynamicID: dynamic, ParentID: parent, TraceID: "t", RunID: run.String(),
		Start: begin, End: begin.Add(time.Duration(len(id)) * time.Millisecond),
		Attributes: json.RawMessage(`{"_inngest.dynamic.status":"` + status + `"` + attributes + `}`),
	}
}

var (
	rowRun   = row(trace.NameRun, "r", "r", trace.NoParent, "Running", "")
	rowZero  = row(trace.NameStep, "s0", "s0", "r", "Completed", `,"_inngest.step.name":"zero"`)
	rowStep  = row(trace.NameStep, "s1", "s1", "r", "Completed", `,"_inngest.step.id":"x","_inngest.step.name":"first","_inngest.step.op":"StepRun"`)
	rowEnded = row(trace.NameExtension, "r-ended", "r", trace.NoParent, "Completed", `,"_inngest.ended_at":"1795648570663"`)
)

// recorded is a sink that keeps what is sent.
type recorded struct {
	mu      sync.Mutex
	events  []string // "event data"
	beats   int
	ids     []string
	lastErr error
}

func (r *recorded) send(changes []change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(changes) == 0 {
		r.beats++
	}
	for _, c := range changes {
		r.events = append(r.events, c.Event+" "+string(c.Data))
		if c.ID != "" {
			r.ids = append(r.ids, c.ID)
		}
	}
	return r.lastErr
}

func (r *recorded) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

const (
	spanRun      = `{"id":"r","name":"Run","status":"RUNNING","queued_at":"2026-11-25T23:16:10Z"}`
	spanZero     = `{"id":"s0","parent_id":"r","name":"zero","status":"COMPLETED","queued_at":"2026-11-25T23:16:10Z"}`
	spanStep     = `{"id":"s1","parent_id":"r","name":"first","status":"COMPLETED","step_id":"x","step_op":"RUN","step_type":"RUN","queued_at":"2026-11-25T23:16:10Z"}`
	spanRunEnded = `{"id":"r","name":"Run","status":"COMPLETED","queued_at":"2026-11-25T23:16:10Z","ended_at":"2026-11-25T23:16:10.663Z"}`
)

// started is a viewer that follows the source in the background.
func started(t *testing.T, src *source) (hub *Hub, to *recorded, done chan error) {
	t.Helper()
	hub = NewHub(&broker{}, quiet)
	server := New(src, hub, quiet)
	w, err := hub.watch(run)
	require.NoError(t, err)
	v := &viewer{server: server, run: run}
	first, err := v.look(t.Context())
	require.NoError(t, err)
	to, done = &recorded{}, make(chan error, 1)
	ctx, cancel := context.WithCancel(hub.closing)
	go func() {
		defer cancel()
		defer w.stop()
		_, err := v.follow(ctx, w, to, first)
		done <- err
	}()
	synctest.Wait()
	return hub, to, done
}

// TestFollow: the whole first, then what changes, then the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{shown: `{"status":"Running"}`, rows: []trace.Row{rowRun, rowZero}}
		hub, to, done := started(t, src)
		require.Equal(t, []string{`snapshot {"run":{"status":"Running"},"spans":[` + spanRun + "," + spanZero + `]}`}, to.take())

		src.set(func(s *source) { s.rows = append(s.rows, rowStep) })
		hub.Changed(run)
		sleepFor(pause)
		synctest.Wait()
		require.Equal(t, []string{"span " + spanStep}, to.take())

		hub.Changed(run)
		sleepFor(pause)
		synctest.Wait()
		require.Empty(t, to.take(), "nothing differs")

		src.set(func(s *source) { s.shown = `{"status":"Running","waiting_for":"concurrency"}` })
		sleepFor(patience)
		synctest.Wait()
		require.Equal(t, []string{`run {"status":"Running","waiting_for":"concurrency"}`}, to.take(), "looked at without being told")

		src.set(func(s *source) {
			s.shown, s.ended, s.rows = `{"status":"Completed"}`, true, append(s.rows, rowEnded)
		})
		hub.Changed(run)
		require.NoError(t, <-done)
		require.Equal(t, []string{`run {"status":"Completed"}`, "span " + spanRunEnded, `end {"status":"Completed"}`}, to.take())
		require.Len(t, to.ids, 4, "one for each view")
		hub.Close()
		synctest.Wait()
	})
}

// TestHistoryIsBehind: the end is held back until the trace shows it, but not
// for ever.
func TestHistoryIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{shown: `{"status":"Running"}`}
		hub, to, done := started(t, src)
		require.Equal(t, []string{`snapshot {"run":{"status":"Running"},"spans":[]}`}, to.take())
		src.set(func(s *source) { s.shown, s.ended, s.rowsErr = `{"status":"Failed"}`, true, errors.New("down") })
		hub.Changed(run)
		sleepFor(grace / 2)
		synctest.Wait()
		require.Equal(t, []string{`run {"status":"Failed"}`}, to.take())
		require.NoError(t, <-done)
		require.Equal(t, []string{`end {"status":"Failed"}`}, to.take())
		hub.Close()
		synctest.Wait()
	})
}

// TestUnreadable: what was shown stays while the run cannot be read.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{shown: `{"n":1}`, rows: []trace.Row{rowRun, rowZero}}
		hub, to, done := started(t, src)
		to.take()
		src.set(func(s *source) { s.err = errors.New("down") })
		sleepFor(heartbeat + patience)
		synctest.Wait()
		require.Empty(t, to.take())
		require.Equal(t, 1, to.beats, "a sign of life")
		src.set(func(s *source) { s.err, s.shown = nil, `{"n":2}` })
		sleepFor(patience)
		synctest.Wait()
		require.Equal(t, []string{`run {"n":2}`}, to.take())
		hub.Close()
		require.ErrorIs(t, <-done, context.Canceled)
		synctest.Wait()
	})
}

// TestClientIsGone ends the stream.
func TestClientIsGone(t *testing.T) {
	t.Parallel()
	for _, quietly := range []bool{false, true} { // found out by a change, or by the sign of life
		synctest.Test(t, func(t *testing.T) {
			src := &source{shown: `{"n":1}`}
			hub, to, done := started(t, src)
			to.mu.Lock()
			to.lastErr = errGone
			to.mu.Unlock()
			if !quietly {
				src.set(func(s *source) { s.shown = `{"n":2}` })
			}
			require.ErrorIs(t, <-done, errGone)
			hub.Close()
			synctest.Wait()
		})
	}
}

// TestManyChanges: however much happens, the run is not read all the time.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &source{shown: `{}`}
		hub, _, done := started(t, src)
		for range 1000 {
			hub.Changed(run)
			sleepFor(time.Millisecond)
		}
		hub.Close()
		<-done
		require.LessOrEqual(t, src.looks, 22)
		synctest.Wait()
	})
}

// TestSpansThatGo: attempts become one line when a step has succeeded; then the
// client gets the whole again.
func TestSpansThatGo(t *testing.T) {
	t.Parallel()
	before := view{run: json.RawMessage(`{}`), spans: []shownSpan{{"a", json.RawMessage(`1`)}, {"b", json.RawMessage(`2`)}}}
	after := view{run: json.RawMessage(`{}`), spans: []shownSpan{{"a", json.RawMessage(`3`)}}}
	require.Equal(t, []change{{Event: eventSnapshot, Data: json.RawMessage(`{"run":{},"spans":[3]}`)}}, before.changes(&after))
	require.Equal(t, []change{{Event: eventSpan, Data: json.RawMessage(`1`)}, {Event: eventSpan, Data: json.RawMessage(`2`)}}, after.changes(&before))
	require.NotEqual(t, before.digest(), after.digest())
	require.Empty(t, after.changes(&after))

	late := row(trace.NameRun, "r", "r", trace.NoParent, "Running", "")
	late.Start = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	spans, _ := spansOf([]trace.Row{late})
	require.Empty(t, spans, "a time that JSON does not have")
}

// serve makes a web server of a source.
func serve(t *testing.T, src *source) (url string, hub *Hub) {
	t.Helper()
	hub = NewHub(&broker{}, quiet)
	server := New(src, hub, quiet)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := server.Serve(w, r, run); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}))
	t.Cleanup(web.Close)
	t.Cleanup(hub.Close) // first
	return web.URL, hub
}

func get(t *testing.T, url, since string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	if since != "" {
		r.Header.Set("Last-Event-ID", since)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// next reads one event or comment.
func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	var event []string
	for lines.Scan() {
		if lines.Text() == "" {
			return strings.Join(event, "\n")
		}
		event = append(event, lines.Text())
	}
	return strings.Join(append(event, "EOF"), "\n")
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	src := &source{shown: `{"status":"Running"}`, rows: []trace.Row{rowRun, rowZero}}
	url, hub := serve(t, src)
	answer := get(t, url, "")
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	lines := bufio.NewScanner(answer.Body)
	snapshot := next(t, lines)
	id, rest, _ := strings.Cut(snapshot, "\n")
	require.Equal(t, "event: snapshot\ndata: {\"run\":{\"status\":\"Running\"},\"spans\":["+spanRun+","+spanZero+"]}", rest)

	again := get(t, url, strings.TrimPrefix(id, "id: "))
	require.Equal(t, 200, again.StatusCode)
	againLines := bufio.NewScanner(again.Body)
	require.Equal(t, ":", next(t, againLines), "it has the snapshot")
	stale := bufio.NewScanner(get(t, url, "0123456789abcdef").Body)
	require.Equal(t, snapshot, next(t, stale), "from another time")

	src.set(func(s *source) {
		s.shown, s.ended, s.rows = `{"status":"Completed"}`, true, append(s.rows, rowEnded)
	})
	hub.Changed(run)
	for _, l := range []*bufio.Scanner{lines, againLines, stale} {
		require.Equal(t, "event: run\ndata: {\"status\":\"Completed\"}", next(t, l))
		require.Equal(t, "event: span\ndata: "+spanRunEnded, next(t, l))
		end := next(t, l)
		id, rest, _ = strings.Cut(end, "\n")
		require.Equal(t, "event: end\ndata: {\"status\":\"Completed\"}", rest)
		require.Equal(t, "EOF", next(t, l))
	}
	require.Equal(t, 204, get(t, url, strings.TrimPrefix(id, "id: ")).StatusCode, "nothing will come any more")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	src := &source{err: errGone}
	url, hub := serve(t, src)
	require.Equal(t, http.StatusTeapot, get(t, url, "").StatusCode)
	require.Zero(t, hub.watched.Load())
	hub.Close()
	require.Equal(t, http.StatusTeapot, get(t, url, "").StatusCode)
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	src := &source{shown: `{"status":"Running"}`, rows: []trace.Row{rowRun, rowZero}}
	url, hub := serve(t, src)
	read := func(conn *websocket.Conn) (c change) {
		_, frame, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(frame, &c))
		return c
	}
	conn, _, err := websocket.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	snapshot := read(conn)
	require.Equal(t, eventSnapshot, snapshot.Event)
	require.JSONEq(t, `{"run":{"status":"Running"},"spans":[`+spanRun+","+spanZero+`]}`, string(snapshot.Data))
	again, _, err := websocket.Dial(t.Context(), url+"?last_event_id="+snapshot.ID, nil)
	require.NoError(t, err)

	src.set(func(s *source) {
		s.shown, s.ended, s.rows = `{"status":"Completed"}`, true, append(s.rows, rowEnded)
	})
	hub.Changed(run)
	for _, c := range []*websocket.Conn{conn, again} {
		require.Equal(t, eventRun, read(c).Event)
		require.Equal(t, eventSpan, read(c).Event)
		require.Equal(t, eventEnd, read(c).Event)
		_, _, err = c.Read(t.Context())
		require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
	}

	src.set(func(s *source) { s.ended, s.rows = false, nil })
	conn, _, err = websocket.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	require.Equal(t, eventSnapshot, read(conn).Event)
	gone, _, err := websocket.Dial(t.Context(), url, nil)
	require.NoError(t, err)
	require.NoError(t, gone.CloseNow())
	hub.Close()
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
}

// TestForeignPage: a page of another site cannot use what a browser remembers.
func TestForeignPage(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, &source{shown: `{}`})
	_, answer, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	require.Error(t, err)
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
}
