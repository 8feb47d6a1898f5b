package state

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

var appID = uuid.MustParse("e8b1706e-51a0-58c7-9104-eb0a23aee45e")

func raw(s string) json.RawMessage { return json.RawMessage(s) }

func raws(list ...string) []json.RawMessage {
	var out []json.RawMessage
	for _, s := range list {
		out = append(out, raw(s))
	}
	return out
}

// The captured events of sdk-protocol §16.2-16.4.
func TestFinishEventsAreThoseCaptured(t *testing.T) {
	t.Parallel()
	type event struct{ id, name, data string }
	cases := map[string]struct {
		run    Run
		finish Finish
		want   []event
	}{
		"completed": {
			run: Run{
				ID: ulid.MustParse("01M8ACJ53Q4C9CY2R4XF81WTHD"), Slug: "cap-app-hello", Trigger: "cap/hello",
				Events: raws(`{"data":{"n":1},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/hello","ts":1795645051931,"user":{}}`),
			},
			finish: Finish{Status: Completed, Output: raw(`{"n":1,"ok":true}`)},
			want:   []event{{"", EventFinished, `{"_inngest":{"status":"Completed"},"event":{"data":{"n":1},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/hello","ts":1795645051931,"user":{}},"events":[{"data":{"n":1},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/hello","ts":1795645051931}],"function_id":"cap-app-hello","result":{"n":1,"ok":true},"run_id":"01M8ACJ53Q4C9CY2R4XF81WTHD"}`}},
		},
		"failed": {
			run: Run{
				ID: ulid.MustParse("01M8ACK0J1WPNSDJ7AP5PJF8GJ"), Slug: "cap-app-fn-err", Trigger: "cap/err",
				Events: raws(`{"data":{},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/err","ts":1795645051931,"user":{}}`),
			},
			finish: Finish{
				Status: Failed, Output: raw(`{"__serialized":true,"message":"fnboom","name":"TypeError","stack":"s"}`),
				Error: raw(`{"error":"NonRetriableError","message":"fnboom","name":"TypeError","stack":"TypeError: fnboom\n    at f"}`),
			},
			want: []event{
				{"", EventFinished, `{"_inngest":{"status":"Failed"},"error":{"error":"NonRetriableError","message":"fnboom","name":"TypeError","stack":"TypeError: fnboom\n    at f"},"event":{"data":{},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/err","ts":1795645051931,"user":{}},"events":[{"data":{},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/err","ts":1795645051931}],"function_id":"cap-app-fn-err","result":{"__serialized":true,"message":"fnboom","name":"TypeError","stack":"s"},"run_id":"01M8ACK0J1WPNSDJ7AP5PJF8GJ"}`},
				{"01M8ACK0J1WPNSDJ7AP5PJF8GJ", EventFailed, `{"_inngest":{"status":"Failed"},"error":{"error":"NonRetriableError","message":"fnboom","name":"TypeError","stack":"TypeError: fnboom\n    at f"},"event":{"data":{},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/err","ts":1795645051931,"user":{}},"events":[{"data":{},"id":"01M8ACJ50VTG0RJ0KSAYD334WB","name":"cap/err","ts":1795645051931}],"function_id":"cap-app-fn-err","result":{"__serialized":true,"message":"fnboom","name":"TypeError","stack":"s"},"run_id":"01M8ACK0J1WPNSDJ7AP5PJF8GJ"}`},
			},
		},
		"cancelled": {
			run: Run{
				ID: ulid.MustParse("01M8ACKS1VXW3ET2Z7C19F33E0"), Slug: "cap-app-canceller", Trigger: "cap/cl",
				Events: raws(`{"data":{"id":"Q"},"id":"01M8ACKS1M7X53V793FN7WT3CZ","name":"cap/cl","ts":1795645105204,"user":{}}`),
			},
			finish: Finish{Status: Cancelled},
			want: []event{
				{"", EventFinished, `{"_inngest":{"status":"Cancelled"},"event":{"data":{"id":"Q"},"id":"01M8ACKS1M7X53V793FN7WT3CZ","name":"cap/cl","ts":1795645105204,"user":{}},"events":[{"data":{"id":"Q"},"id":"01M8ACKS1M7X53V793FN7WT3CZ","name":"cap/cl","ts":1795645105204}],"function_id":"cap-app-canceller","run_id":"01M8ACKS1VXW3ET2Z7C19F33E0"}`},
				{"01M8ACKS1VXW3ET2Z7C19F33E0", EventCancelled, `{"_inngest":{"status":"Cancelled"},"event":{"data":{"id":"Q"},"id":"01M8ACKS1M7X53V793FN7WT3CZ","name":"cap/cl","ts":1795645105204,"user":{}},"events":[{"data":{"id":"Q"},"id":"01M8ACKS1M7X53V793FN7WT3CZ","name":"cap/cl","ts":1795645105204}],"function_id":"cap-app-canceller","run_id":"01M8ACKS1VXW3ET2Z7C19F33E0"}`},
			},
		},
		"user and version stay in the stored form": {
			run:    Run{ID: ulid.ULID{}, Slug: "s", Trigger: "e", Events: raws(`{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1},"v":"2"}`)},
			finish: Finish{Status: Completed},
			want:   []event{{"", EventFinished, `{"_inngest":{"status":"Completed"},"event":{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1},"v":"2"},"events":[{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1},"v":"2"}],"function_id":"s","run_id":"00000000000000000000000000"}`}},
		},
		"empty user before a version": {
			run:    Run{ID: ulid.ULID{}, Slug: "s", Trigger: "e", Events: raws(`{"data":{},"id":"i","name":"e","ts":1,"user":{},"v":"2\""}`)},
			finish: Finish{Status: Completed},
			want:   []event{{"", EventFinished, `{"_inngest":{"status":"Completed"},"event":{"data":{},"id":"i","name":"e","ts":1,"user":{},"v":"2\""},"events":[{"data":{},"id":"i","name":"e","ts":1,"v":"2\""}],"function_id":"s","run_id":"00000000000000000000000000"}`}},
		},
		"empty user inside another user before a version": {
			run:    Run{ID: ulid.ULID{}, Slug: "s", Trigger: "e", Events: raws(`{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"},"v":"2"}`)},
			finish: Finish{Status: Completed},
			want:   []event{{"", EventFinished, `{"_inngest":{"status":"Completed"},"event":{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"},"v":"2"},"events":[{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"},"v":"2"}],"function_id":"s","run_id":"00000000000000000000000000"}`}},
		},
		"empty user inside another user": {
			run:    Run{ID: ulid.ULID{}, Slug: "s", Trigger: "e", Events: raws(`{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"}}`)},
			finish: Finish{Status: Completed},
			want:   []event{{"", EventFinished, `{"_inngest":{"status":"Completed"},"event":{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"}},"events":[{"data":{},"id":"i","name":"e","ts":1,"user":{"a":1,"user":{},"v":"x"}}],"function_id":"s","run_id":"00000000000000000000000000"}`}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []event
			for _, e := range FinishEvents(&c.run, appID, &c.finish) {
				require.True(t, json.Valid(e.Data))
				got = append(got, event{e.ID, e.Name, string(e.Data)})
			}
			require.Equal(t, c.want, got)
		})
	}
}

// sdk-protocol §16.2: no loops, and which events of a batch are told about.
func TestWhichFinishEventsArePublished(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		trigger      string
		status       Status
		correlations []string
		names        []string
		about        []string // correlation of each
	}{
		"completed":                    {"e", Completed, nil, []string{EventFinished}, []string{""}},
		"failed":                       {"e", Failed, nil, []string{EventFinished, EventFailed}, []string{"", ""}},
		"cancelled":                    {"e", Cancelled, nil, []string{EventFinished, EventCancelled}, []string{"", ""}},
		"run about finished":           {EventFinished, Completed, nil, nil, nil},
		"failed run about failed":      {EventFailed, Failed, nil, []string{EventFailed}, []string{""}},
		"run about cancelled":          {EventCancelled, Completed, nil, []string{EventFinished}, []string{""}},
		"invoked":                      {"e", Completed, []string{"r.s"}, []string{EventFinished}, []string{"r.s"}},
		"batch":                        {"e", Completed, []string{"", "", ""}, []string{EventFinished}, []string{""}},
		"batch with two invokes":       {"e", Failed, []string{"", "r.b", "r.c"}, []string{EventFinished, EventFailed, EventFinished, EventFailed, EventFinished, EventFailed}, []string{"", "", "r.b", "r.b", "r.c", "r.c"}},
		"batch of less known invokes":  {"e", Completed, []string{"r.a"}, []string{EventFinished}, []string{"r.a"}},
		"skipped says nothing special": {"e", Skipped, nil, []string{EventFinished}, []string{""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := Run{Trigger: c.trigger, Correlations: c.correlations, Events: raws(`{"n":1}`, `{"n":2}`, `{"n":3}`)}
			var names, about []string
			for _, e := range FinishEvents(&run, appID, &Finish{Status: c.status, Error: raw(`{}`)}) {
				var data struct {
					CorrelationID string            `json:"correlation_id"`
					Event         struct{ N int }   `json:"event"`
					Events        []json.RawMessage `json:"events"`
				}
				require.NoError(t, json.Unmarshal(e.Data, &data))
				require.Len(t, data.Events, 3)
				names = append(names, e.Name)
				about = append(about, data.CorrelationID)
				if data.CorrelationID != "" && data.CorrelationID != "r.a" {
					require.Equal(t, map[string]int{"r.s": 1, "r.b": 2, "r.c": 3}[data.CorrelationID], data.Event.N)
				}
			}
			require.Equal(t, c.names, names)
			require.Equal(t, c.about, about)
		})
	}
}

// sdk-protocol §16.2: sessions of the trigger go on to what it caused.
func TestFinishEventsKeepTheSessions(t *testing.T) {
	t.Parallel()
	run := Run{Trigger: "e", Events: raws(`{"data":{"meta":1},"id":"i","meta":{"sessions":{"a":"b"}},"name":"e","ts":1,"user":{}}`)}
	events := FinishEvents(&run, appID, &Finish{Status: Failed})
	require.Len(t, events, 2)
	for _, e := range events {
		require.JSONEq(t, `{"sessions":{"a":"b"}}`, string(e.Meta))
	}
	run.Events = raws(`{"data":{"meta":1},"id":"i","name":"e","ts":1,"user":{}}`)
	require.Nil(t, FinishEvents(&run, appID, &Finish{Status: Completed})[0].Meta)
}

// sdk-protocol §16.6.
func TestDeferredFunctionsAreScheduled(t *testing.T) {
	t.Parallel()
	run := Run{
		ID: ulid.MustParse("01M8ACJ53Q4C9CY2R4XF81WTHD"), FunctionID: uuid.MustParse("7b6161aa-4d50-5d0e-8544-170d69b22f7a"),
		Slug: "app-parent", Trigger: EventFinished,
		Defers: []Defer{
			{ID: "d1", Slug: "app-later", Status: DeferAfterRun, Input: raw(`{"a":1}`), UserID: "later", Meta: raw(`{"sessions":{"s":"1"}}`)},
			{ID: "d2", Slug: "app-never", Status: DeferAborted, Input: raw(`{"a":2}`)},
			{ID: "d3", Slug: "app-wrong", Status: DeferRejected, Input: nil},
			{ID: "d4", Slug: "app-empty", Status: DeferAfterRun, Input: nil},
			{ID: "d5", Slug: "app-null", Status: DeferAfterRun, Input: raw(`null`)},
		},
	}
	for _, status := range []Status{Completed, Failed, Cancelled} {
		var got []string
		var ids []string
		for _, e := range FinishEvents(&run, appID, &Finish{Status: status}) {
			require.Equal(t, EventDeferred, e.Name)
			got = append(got, string(e.Data))
			ids = append(ids, e.ID)
		}
		about := func(id, slug string) string {
			return `"_inngest":{"fn_slug":"` + slug + `","hashed_id":"` + id + `","parent_app_id":"` + appID.String() + `","parent_fn_id":"7b6161aa-4d50-5d0e-8544-170d69b22f7a","parent_fn_slug":"app-parent","parent_run_id":"01M8ACJ53Q4C9CY2R4XF81WTHD"}`
		}
		require.Equal(t, []string{`{` + about("d1", "app-later") + `,"a":1}`, `{` + about("d4", "app-empty") + `}`, `{` + about("d5", "app-null") + `}`}, got)
		require.Equal(t, []string{
			function.DeferEventID(run.ID, "d1").String(), function.DeferEventID(run.ID, "d4").String(), function.DeferEventID(run.ID, "d5").String(),
		}, ids, "the same run always schedules the same events")
	}
}

// sdk-protocol §12.7, §13.
func TestInvokeMemo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		finish Finish
		want   string
	}{
		"result":             {Finish{Status: Completed, Output: raw(`{"x":42}`)}, `{"data":{"x":42}}`},
		"no result":          {Finish{Status: Completed}, `{"data":null}`},
		"null":               {Finish{Status: Completed, Output: raw(`null`)}, `{"data":null}`},
		"failed":             {Finish{Status: Failed, Output: raw(`1`), Error: raw(`{"message":"callee boom","name":"Error"}`)}, `{"error":{"message":"callee boom","name":"Error"}}`},
		"failed, no reason":  {Finish{Status: Failed}, `{"error":{"message":"function failed","name":"Error"}}`},
		"cancelled":          {Finish{Status: Cancelled}, `{"error":{"message":"function cancelled","name":"Error"}}`},
		"cancelled by error": {Finish{Status: Cancelled, Error: raw(`{"message":"m","name":"n"}`)}, `{"error":{"message":"m","name":"n"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, string(InvokeMemo(&c.finish)))
		})
	}
}

func TestMemosOfThePlatform(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, got string }{
		{`{"data":{"data":{"hello":1},"signal":"sig-1"}}`, string(SignalMemo("sig-1", raw(`{"hello":1}`)))},
		{`{"data":{"data":null,"signal":"<a&b>"}}`, string(SignalMemo("<a&b>", nil))},
		{`{"error":{"message":"could not find function with ID: fake-nope","name":"Error"}}`, string(InvokeErrorMemo("Error", "could not find function with ID: fake-nope"))},
		{`{"message":"say \"hi\" <b>","name":"Error"}`, string(ErrorObject("Error", `say "hi" <b>`))},
		{`{"correlation_id":"r.s","error":{"message":"m","name":"Error"},"function_id":"","run_id":""}`, string(UnknownFunctionFinished("r.s", "m"))},
	} {
		require.Equal(t, c.want, c.got)
		require.True(t, json.Valid([]byte(c.got)))
	}
}

func TestParseCorrelation(t *testing.T) {
	t.Parallel()
	run, step, ok := ParseCorrelation("01M8ACJ72C76PY00CCNQENXH4K.a22c81f9e58d3e183314100cda7df50c66582b16")
	require.True(t, ok)
	require.Equal(t, "01M8ACJ72C76PY00CCNQENXH4K", run.String())
	require.Equal(t, "a22c81f9e58d3e183314100cda7df50c66582b16", step)
	_, step, ok = ParseCorrelation("01M8ACJ72C76PY00CCNQENXH4K.a.b")
	require.True(t, ok)
	require.Equal(t, "a.b", step)
	for _, bad := range []string{"", ".", "x.y", "01M8ACJ72C76PY00CCNQENXH4K", "01M8ACJ72C76PY00CCNQENXH4K.", "01M8ACJ72C76PY00CCNQENXH4I.a"} {
		_, _, ok := ParseCorrelation(bad)
		require.False(t, ok, "%q", bad)
	}
}
