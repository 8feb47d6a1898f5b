package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func pointer[T any](v T) *T { return &v }

// filled has one op of each kind in which no field is zero.
func filled() []Op {
	id := ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14")
	fn := uuid.MustParse("7b6161aa-4d50-5d0e-8544-170d69b22f7a")
	step := Step{"a", json.RawMessage(`{"data":1}`)}
	job := Job{
		ID: "1w0yzca941u2b", Kind: JobPause, Due: 1795646534470, Attempt: 1, MaxAttempts: 5, Generation: 2,
		Step: "p1", Outgoing: "a", Group: "0357c4d71929fbb8", Race: true,
	}
	wait := Wait{Kind: WaitSignal, Step: "w", Name: "sig", Group: "0357c4d71929fbb8", Race: true}
	def := Defer{ID: "d", Slug: "app-later", Status: DeferRejected, Input: json.RawMessage(`{}`), UserID: "later", Meta: json.RawMessage(`{}`)}
	watch := Watch{ID: "x", Event: "go", If: "async.ts > 1", RunID: id, Step: "w", Since: 9, Expires: 1795646534470}
	start := Start{
		RunID: id, FunctionID: fn, Idempotency: "i", Events: []json.RawMessage{[]byte(`{}`)}, EventIDs: []ulid.ULID{id},
		Trigger: "e", Correlations: []string{"r.s"}, Cron: "* * * * *", NotBefore: 1, Mark: 2, ClaimFor: 3,
		BatchID: id, Original: id, Steps: []Step{step}, Inputs: []Step{step}, Debug: &Debug{id, id},
	}
	event := SentEvent{
		InternalID: id, ID: "mine", Name: "e", Data: json.RawMessage(`{}`), User: json.RawMessage(`{}`), TS: 7, V: "1",
		Meta: json.RawMessage(`{}`),
	}
	flow := Flow{Priority: -9, Keys: []FlowKey{{"e", "v"}}, Singleton: &GateKey{7}, Admitted: true, BatchID: id}
	run := Run{
		ID: id, FunctionID: fn, FunctionVersion: 3, Slug: "app-fn", Idempotency: "i", Events: []json.RawMessage{[]byte(`{}`)},
		EventIDs: []ulid.ULID{id}, Trigger: "e", Correlations: []string{"r.s"}, Cron: "* * * * *", QueuedAt: 1, StartedAt: 2,
		Version: Undecided, ForcePlan: true, HasAI: true, Steps: []Step{step}, Inputs: []Step{step}, Pending: []string{"p1"},
		Jobs: []Job{job}, Waits: []Wait{wait}, Defers: []Defer{def}, Cancels: []string{"stop"}, Size: 12, Flow: &flow,
		Original: id, Endpoint: &Endpoint{AppID: fn, SDK: "go", Attempts: 4, AsyncAt: 3}, MetadataSize: 9, Debug: &Debug{id, id},
	}
	ops := []CalledOp{{
		Op: "StepRun", ID: "a", Name: "A", UserID: "a", UserIndex: 1, Type: "step.run", Start: 1, End: 2, Sleep: 3, Expires: 4,
		Wait: "e", If: "true", Input: json.RawMessage(`[1]`), Error: json.RawMessage(`{}`), Metadata: json.RawMessage(`[]`),
		GatewayStatus: 200, GatewaySize: 7,
	}}
	return []Op{
		&Owned{"node"},
		&Marks{Events: 1, Commands: 1 << 63, Received: []Mark{{EventsOf(2), 3}}, Reset: true},
		&Sent{To: 1, N: 2, Message: Message{
			Kind: MessageSignal, RunID: id, Step: "w", Name: "n", Text: "t", Memo: json.RawMessage(`{}`), Flag: true,
			Watch: &watch, Start: &start, Event: &event, Cause: id, Child: id,
		}},
		&Confirmed{1, 2},
		&RunPut{run},
		&RunChanged{
			RunID: id, StartedAt: 5, Version: pointer(-1), ForcePlan: pointer(true), HasAI: true, Pending: []string{"p1"},
			Steps: []Step{step}, JobsDone: []string{"j"}, JobsPut: []Job{job}, WaitsDone: []string{"w"}, WaitsPut: []Wait{wait},
			DefersPut: []Defer{def}, MetadataSize: 8,
		},
		&RunFinished{
			RunID: id, Status: Cancelled, Output: json.RawMessage(`"out"`), FunctionID: fn, QueuedAt: 1, StartedAt: 2,
			EventIDs: []ulid.ULID{id}, BatchID: id, Cron: "* * * * *", HasAI: true, CancelledBy: id, Original: id, Idempotency: "i",
		},
		&WatchPut{watch},
		&WatchRemoved{"x", "go"},
		&SignalPut{"sig", id, "w"},
		&SignalRemoved{"sig"},
		&CronTicked{fn, "* * * * *", 1795646534470},
		&KeyClaimed{[16]byte{1, 2}, id, 1795646534470},
		&RunAdmitted{id},
		&RunSkipped{id, fn, 3, "app-fn", []ulid.ULID{id}, "e", "* * * * *", SkipSingleton, id, id, id},
		&RateCharged{GateKey{3}, 1795646534470.3333, 1795646534470},
		&DebouncePut{Debounce{GateKey{4}, id, 1, 2, 3, start}},
		&DebounceRemoved{GateKey{4}},
		&BatchPut{Batch{GateKey{5}, id, 1, start, 2}},
		&BatchAppended{GateKey{5}, id, 1, json.RawMessage(`{}`), id, "r.s"},
		&BatchRemoved{GateKey{5}},
		&Called{
			RunID: id, FunctionID: fn, Job: job, RequestID: "01M8AET0YF1VEAYWNXD1BS5P14", URL: "http://localhost:3000/api/inngest",
			LeasedAt: 1, StartedAt: 2, EndedAt: 3, Status: 206, Size: 4, Headers: json.RawMessage(`{}`), SDK: "inngest-js:v4.24.0",
			Result: CallFailed, Output: json.RawMessage(`1`), RetryAt: 5, Ops: ops, About: About{id, "i"},
		},
		&Reported{RunID: id, FunctionID: fn, JobID: "j", Attempt: 1, Ops: ops},
		&StepEnded{RunID: id, FunctionID: fn, Step: "w", Kind: WaitInvoke, TimedOut: true, EventID: id, ChildRunID: id, About: About{id, "i"}},
		&Carried{},
		&Recalled{},
		&EndpointDetached{id, fn},
		&MetadataPut{
			RunID: id, FunctionID: fn, Step: "a", Attempt: -1, Span: "s",
			Items:   []Metadata{{Scope: "step", Kind: "userland.x", Op: "set", Values: json.RawMessage(`{"a":1}`)}},
			RunSize: 7,
		},
		&RunPlaced{id, 3},
		&RunForgotten{id},
	}
}

// requireFilled fails when a field was added and filled does not know it.
func requireFilled(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		require.False(t, v.IsNil(), path)
		requireFilled(t, v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			requireFilled(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		require.Positive(t, v.Len(), path)
		for i := range v.Len() {
			requireFilled(t, v.Index(i), path)
		}
	case reflect.Uint8:
		// Of ids and keys, where single bytes may be zero.
	default:
		require.False(t, v.IsZero(), path)
	}
}

func TestEveryOpIsFilled(t *testing.T) {
	t.Parallel()
	known := map[uint8]bool{}
	for _, op := range filled() {
		known[op.tag()] = true
		if removed, ok := op.(*RunChanged); ok {
			require.NotNil(t, removed.ForcePlan)
		}
		requireFilled(t, reflect.ValueOf(op), fmt.Sprintf("%T", op))
	}
	for tag := range uint8(255) {
		require.Equal(t, newOp(tag) != nil, known[tag], "op with tag %d", tag)
	}
}

func TestOpsRoundTrip(t *testing.T) {
	t.Parallel()
	id := ulid.MustParse("01M8AET0YF1VEAYWNXD1BS5P14")
	long := strings.Repeat("x", 200_000)
	cases := map[string]Op{
		"nil memo":                &RunFinished{RunID: id, Status: Completed, Output: nil},
		"empty memo":              &RunFinished{RunID: id, Status: Completed, Output: json.RawMessage{}},
		"absent options":          &RunChanged{RunID: id},
		"option of a zero value":  &RunChanged{RunID: id, Version: pointer(0), ForcePlan: pointer(false)},
		"negative and large":      &CronTicked{At: -1 << 63},
		"largest":                 &Confirmed{To: -1, N: 1<<64 - 1},
		"long string":             &Owned{long},
		"long memo":               &RunFinished{RunID: id, Status: Failed, Output: json.RawMessage(long)},
		"long block in a block":   &Sent{Message: Message{Event: &SentEvent{Data: json.RawMessage(long)}}},
		"many":                    &RunChanged{RunID: id, Pending: make([]string, 1000), JobsPut: make([]Job, 1000)},
		"steps without a memo":    &RunChanged{RunID: id, Steps: []Step{{"a", nil}, {"", json.RawMessage(`1`)}}},
		"message without a part":  &Sent{To: EventsOf(255), N: 1, Message: Message{Kind: MessageCancel, RunID: id}},
		"text that is no UTF-8":   &WatchRemoved{"\xff\x00", "é"},
		"run with nothing in it":  &RunPut{Run{ID: id, Version: Undecided}},
		"run of a negative block": &RunPut{Run{Size: -1, Jobs: []Job{{Attempt: -5, Due: -9}}}},
	}
	for i, op := range filled() {
		cases[fmt.Sprintf("filled %d", i)] = op
	}
	for name, op := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, op, recode(t, op))
		})
	}
}

// Runs and messages are encoded while others read them.
func TestEncodingChangesNothing(t *testing.T) {
	t.Parallel()
	list := filled()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, op := range list {
				var c coder
				op.code(&c)
			}
		})
	}
	all.Wait() // the race detector has looked on
	require.Equal(t, filled(), list)
}

func TestRandomRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	seeds(t, func(t *testing.T, seed uint64) {
		records := newAuthor(seed).records(100)
		read := written(t, records)
		for i := range records {
			require.Equal(t, encodedRecord(records[i]), encodedRecord(read[i]))
			require.Equal(t, records[i].At, read[i].At)
			require.Len(t, read[i].Ops, len(records[i].Ops))
			for j, op := range records[i].Ops {
				require.Equal(t, recode(t, op), read[i].Ops[j])
			}
		}
	})
}

// A newer writer adds fields at the end, which this reader skips.
func TestUnknownTrailingFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	for _, op := range filled() {
		var record coder
		at, tag := int64(5), op.tag()
		record.int64(&at)
		record.uint8(&tag)
		record.block(func(c *coder) {
			op.code(c)
			c.b = append(c.b, 7, 'u', 'n', 'k', 'n', 'o', 'w', 'n')
		})
		next := &Owned{"after it"}
		tag = next.tag()
		record.uint8(&tag)
		record.block(next.code)

		got := decodeRecord(t, record.b)
		require.Equal(t, at, got.At)
		require.Equal(t, []Op{op, next}, got.Ops)
	}
}

// The parts of a run and of a message are extensible, too.
func TestUnknownTrailingFieldsOfParts(t *testing.T) {
	t.Parallel()
	longer := func(code func(*coder)) []byte {
		var inner, outer coder
		code(&inner)
		require.NoError(t, inner.err)
		block := inner.b[1:] // its length takes one byte
		outer.block(func(c *coder) { c.b = append(append(c.b, block...), 1, 2, 3) })
		return outer.b
	}
	for _, op := range filled() {
		o, ok := op.(*RunChanged)
		if !ok {
			continue
		}
		step, job, wait, def := o.Steps[0], o.JobsPut[0], o.WaitsPut[0], o.DefersPut[0]
		var gotStep Step
		codeStep(&coder{b: longer(func(c *coder) { codeStep(c, &step) }), reading: true}, &gotStep)
		require.Equal(t, step, gotStep)
		var gotJob Job
		codeJob(&coder{b: longer(func(c *coder) { codeJob(c, &job) }), reading: true}, &gotJob)
		require.Equal(t, job, gotJob)
		var gotWait Wait
		codeWait(&coder{b: longer(func(c *coder) { codeWait(c, &wait) }), reading: true}, &gotWait)
		require.Equal(t, wait, gotWait)
		var gotDefer Defer
		codeDefer(&coder{b: longer(func(c *coder) { codeDefer(c, &def) }), reading: true}, &gotDefer)
		require.Equal(t, def, gotDefer)
	}
}

// An older writer ended earlier: what it did not know is zero. A value cut
// anywhere else is corrupt, never something made up.
func TestMissingTrailingFieldsAreZero(t *testing.T) {
	t.Parallel()
	for _, op := range filled() {
		var whole coder
		op.code(&whole)
		accepted := 0
		for n := range len(whole.b) {
			got := newOp(op.tag())
			r := coder{b: whole.b[:n], reading: true}
			got.code(&r)
			if r.err != nil {
				require.ErrorIs(t, r.err, ErrCorrupt)
				continue
			}
			accepted++
			requirePart(t, reflect.ValueOf(op).Elem(), reflect.ValueOf(got).Elem(), fmt.Sprintf("%T cut to %d of %d bytes", op, n, len(whole.b)))
		}
		if len(whole.b) > 0 { // all but an op without fields
			require.Positive(t, accepted, "%T", op)
		}
		empty := newOp(op.tag())
		empty.code(&coder{reading: true})
		require.Equal(t, newOp(op.tag()), empty, "%T without any field", op)
	}
}

// requirePart fails when a field of got is neither that of whole nor zero.
func requirePart(t *testing.T, whole, got reflect.Value, path string) {
	t.Helper()
	switch {
	case got.IsZero():
	case got.Kind() == reflect.Struct:
		for i := range got.NumField() {
			requirePart(t, whole.Field(i), got.Field(i), path+"."+got.Type().Field(i).Name)
		}
	case got.Kind() == reflect.Pointer:
		requirePart(t, whole.Elem(), got.Elem(), path)
	default:
		require.Equal(t, whole.Interface(), got.Interface(), path)
	}
}

func decodeRecord(t *testing.T, record []byte) *Record {
	t.Helper()
	payload := coder{b: []byte{formatVersion}}
	payload.block(func(c *coder) { c.b = append(c.b, record...) })
	var got *Record
	require.NoError(t, Decode(payload.b, func(r *Record) error {
		require.Nil(t, got)
		got = r
		return nil
	}))
	return got
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string][]byte{
		"nothing":                 {},
		"another format":          {2},
		"record cut":              {formatVersion, 5, 0},
		"length cut":              {formatVersion, 0x80},
		"number too long":         bytes.Repeat([]byte{0x80}, 12),
		"unknown op":              {formatVersion, 3, 0, 99, 0},
		"tag that is no byte":     {formatVersion, 4, 0, 0x80, 0x02, 0},
		"op cut":                  {formatVersion, 3, 0, tagOwned, 9},
		"string longer than op":   {formatVersion, 4, 0, tagOwned, 1, 9},
		"list longer than op":     {formatVersion, 5, 0, tagMarks, 3, 0, 0},
		"list of a huge length":   {formatVersion, 14, 0, tagMarks, 11, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"ulid cut":                {formatVersion, 6, 0, tagRunFinished, 3, 1, 2, 3},
		"memo longer than op":     {formatVersion, 21, 0, tagRunFinished, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1, 9},
		"second record cut":       {formatVersion, 1, 0, 9},
		"block of a block's size": {formatVersion, 6, 0, tagSent, 3, 0, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Decode(payload, func(*Record) error { return nil })
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
}

func TestDecodeStopsWhereItsVisitorStops(t *testing.T) {
	t.Parallel()
	var e Encoder
	require.Zero(t, e.Len())
	for i := range 3 {
		e.Add(&Record{At: int64(i)})
	}
	stop := errors.New("stop")
	visited := 0
	err := Decode(e.Bytes(), func(*Record) error {
		visited++
		if visited == 2 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.NotErrorIs(t, err, ErrCorrupt)
	require.Equal(t, 2, visited)
}

func TestEncoderIsReusable(t *testing.T) {
	t.Parallel()
	var e Encoder
	record := &Record{At: 1, Ops: []Op{&Owned{"node"}}}
	e.Add(record)
	first := string(e.Bytes())
	require.Len(t, first, e.Len())
	e.Reset()
	require.Zero(t, e.Len())
	e.Add(record)
	require.Equal(t, first, string(e.Bytes()))
	e.Add(&Record{Ops: []Op{&Owned{strings.Repeat("x", 2<<20)}}})
	e.Reset()
	require.Zero(t, cap(e.Bytes()), "large memory is given back")
}

func TestCommandRoundTrip(t *testing.T) {
	t.Parallel()
	for _, op := range filled() {
		sent, ok := op.(*Sent)
		if !ok {
			continue
		}
		for _, from := range []int{0, 3, Outside} {
			c := &Command{From: from, Sent: *sent, Next: true, After: 7, Seen: 9, Registry: 8}
			got, err := UnmarshalCommand(c.Marshal())
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	}
	_, err := UnmarshalCommand([]byte{0, 100})
	require.ErrorIs(t, err, ErrCorrupt)
}

// FuzzDecode: no bytes make a reader panic; what it refuses it calls corrupt;
// what it accepts means the same when written again, and can be applied.
// What is told changes no Index, so whoever only wants that need not read it.
func TestDecodeState(t *testing.T) {
	t.Parallel()
	var e Encoder
	var want []Op
	for _, op := range filled() {
		e.Add(&Record{At: 7, Ops: []Op{op, &Carried{}, &Owned{Node: "n"}}})
		if !isTold(op.tag()) {
			want = append(want, op)
		}
		want = append(want, &Owned{Node: "n"})
	}
	var got []Op
	require.NoError(t, DecodeState(e.Bytes(), func(r *Record) error {
		require.EqualValues(t, 7, r.At)
		got = append(got, r.Ops...)
		return nil
	}))
	require.Equal(t, want, got)

	cut := e.Bytes()[:e.Len()-1]
	require.ErrorIs(t, DecodeState(cut, func(*Record) error { return nil }), ErrCorrupt)
}

func TestWhatIsToldChangesNoIndex(t *testing.T) {
	t.Parallel()
	var told []Op
	for _, op := range filled() {
		if isTold(op.tag()) {
			told = append(told, op)
		}
	}
	require.Len(t, told, 5)
	for seed := range uint64(20) {
		all, rest := NewIndex(), NewIndex()
		var e Encoder
		var at int64
		for _, r := range newAuthor(seed).records(50) {
			r.Ops = append(slices.Clone(told), r.Ops...)
			e.Add(r)
			at = r.At
		}
		require.NoError(t, Decode(e.Bytes(), func(r *Record) error { all.Apply(r); return nil }))
		require.NoError(t, DecodeState(e.Bytes(), func(r *Record) error {
			require.Less(t, len(r.Ops), 5, "nothing of what is told")
			rest.Apply(r)
			return nil
		}))
		require.Equal(t, dump(t, all, at), dump(t, rest, at))
	}
}

func FuzzDecode(f *testing.F) {
	for _, op := range filled() {
		f.Add([]byte(encodedRecord(&Record{At: 1, Ops: []Op{op}})))
	}
	for seed := range uint64(5) {
		var e Encoder
		for _, r := range newAuthor(seed).records(5) {
			e.Add(r)
		}
		f.Add(bytes.Clone(e.Bytes()))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var records []*Record
		var again Encoder
		x := NewIndex()
		err := Decode(payload, func(r *Record) error {
			records = append(records, r)
			again.Add(r)
			x.Apply(r)
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		}
		if len(records) == 0 {
			return
		}
		i := 0
		require.NoError(t, Decode(again.Bytes(), func(r *Record) error {
			require.Equal(t, records[i], r)
			i++
			return nil
		}))
		require.Len(t, records, i)
		for r := range x.Runs() {
			x.View(r.ID)
		}
	})
}

// FuzzCommand: what anybody puts into a command stream is read or refused.
func FuzzCommand(f *testing.F) {
	for _, op := range filled() {
		if sent, ok := op.(*Sent); ok {
			f.Add((&Command{From: 1, Sent: *sent}).Marshal())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := UnmarshalCommand(data)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		again, err := UnmarshalCommand(c.Marshal())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
