package projector

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/state"
)

var benchBegan = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()

// aRun is the n-th of runs that follow each other by a millisecond.
func aRun(n int) ulid.ULID {
	var id ulid.ULID
	_ = id.SetTime(uint64(benchBegan + int64(n)))
	id[6], id[13], id[14], id[15] = byte(n*7), byte(n>>16), byte(n>>8), byte(n)
	return id
}

var benchFunction = uuid.MustParse("20be5504-9564-5440-b9c9-15d46067966b")

var benchHeaders = json.RawMessage(`{"Content-Type":"application/json","Date":"Wed, 25 Nov 2026 23:16:00 GMT","User-Agent":"inngest-js:v4.24.0","X-Inngest-Framework":"nodejs","X-Inngest-Req-Version":"2","X-Inngest-Sdk":"inngest-js:v4.24.0"}`)

// recordsOfRun are the records of a run with so many steps, each of which takes
// a call of its own.
func recordsOfRun(n, steps int) []*state.Record {
	id, at := aRun(n), benchBegan+int64(n)
	event := json.RawMessage(fmt.Sprintf(`{"data":{"n":%d,"text":"some words of an event"},"id":"%s","name":"shop/order.created","ts":%d,"user":{}}`, n, id, at))
	job := state.Job{ID: function.Hash("start" + id.String()), Kind: state.JobStart, Due: at, MaxAttempts: 4}
	records := []*state.Record{{At: at, Ops: []state.Op{&state.RunPut{Run: state.Run{
		ID: id, FunctionID: benchFunction, FunctionVersion: 2, Slug: "shop-order", Idempotency: "3w0o3wenlbv1g-1xk09yfrb8czw",
		Events: []json.RawMessage{event}, EventIDs: []ulid.ULID{id}, Trigger: "shop/order.created", QueuedAt: at, Jobs: []state.Job{job},
	}}}}}
	call := func(i int) *state.Called {
		return &state.Called{
			RunID: id, FunctionID: benchFunction, Job: job, RequestID: id.String(), URL: "http://localhost:3000/api/inngest?fnId=shop-order&stepId=step",
			LeasedAt: at + int64(i), StartedAt: at + int64(i), EndedAt: at + int64(i) + 3, Status: 206, Size: 80, Headers: benchHeaders,
			SDK: "inngest-js:v4.24.0",
		}
	}
	for i := range steps {
		step := function.HashHex(fmt.Sprintf("step %d", i))
		c := call(i)
		c.Ops = []state.CalledOp{{Op: "StepRun", ID: step, Name: fmt.Sprintf("step %d", i), UserID: fmt.Sprintf("step %d", i), Start: at + 1, End: at + 2}}
		change := &state.RunChanged{RunID: id, Steps: []state.Step{{ID: step, Memo: json.RawMessage(`{"data":{"id":17,"ok":true}}`)}}, JobsDone: []string{job.ID}}
		if i == 0 {
			change.StartedAt = at
		}
		job.ID, job.Kind = function.Hash(step+id.String()), state.JobEdge
		change.JobsPut = []state.Job{job}
		records = append(records, &state.Record{At: at + int64(i) + 3, Ops: []state.Op{c, change}})
	}
	last := call(steps)
	last.Result, last.Ops = state.CallDone, []state.CalledOp{{Op: "RunComplete", ID: "0737c22d3bfae812339732d14d8c7dbd6dc4e09c"}}
	change := &state.RunChanged{RunID: id, JobsDone: []string{job.ID}}
	if steps == 0 {
		change.StartedAt = at
	}
	return append(records, &state.Record{At: at + int64(steps) + 3, Ops: []state.Op{last, change, &state.RunFinished{
		RunID: id, FunctionID: benchFunction, Status: state.Completed, Output: json.RawMessage(`{"ok":true,"text":"what was done"}`),
		QueuedAt: at, StartedAt: at, EventIDs: []ulid.ULID{id},
	}}})
}

// eventsOfRun are the rows of the event that starts a run, and of the one that
// says that it has finished.
func eventsOfRun(n int) []database.Event {
	var rows []database.Event
	for i, name := range []string{"shop/order.created", "inngest/function.finished"} {
		id := aRun(n)
		id[7] = byte(i)
		rows = append(rows, database.Event{
			InternalID: id, ReceivedAt: moment(benchBegan + int64(n)), ID: id.String(), Name: name, Timestamp: moment(benchBegan + int64(n)),
			Data: json.RawMessage(`{"_inngest":{"status":"Completed"},"event":{"n":1,"text":"some words of an event"},"events":[{}],"function_id":"shop-order"}`), Resent: i == 1,
		})
	}
	return rows
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// benchPayloads are logs of runs: a payload has the records of a hundred, as
// under load.
func benchPayloads(runs, steps int) [][]byte {
	var payloads [][]byte
	for from := 0; from < runs; from += 100 {
		var e state.Encoder
		var all [][]*state.Record
		for n := from; n < from+100; n++ {
			all = append(all, recordsOfRun(n, steps))
		}
		for i := range all[0] {
			for _, records := range all {
				e.Add(records[i])
			}
		}
		payloads = append(payloads, append([]byte(nil), e.Bytes()...))
	}
	return payloads
}

// BenchmarkProject decodes, translates and writes runs with their events; it
// tells the CPU of this process and the time for each run.
func BenchmarkProject(b *testing.B) {
	for _, steps := range []int{0, 3} {
		for _, kind := range []string{"nowhere", sqlite, postgres} {
			b.Run(fmt.Sprintf("steps=%d/%s", steps, kind), func(b *testing.B) {
				payloads := benchPayloads(200_000/(1+steps), steps)
				var store *database.Store
				if kind != "nowhere" {
					store = open(b, options(b, kind))
				}
				runs, rows, position, used := 0, 0, uint64(0), cpu()
				for b.Loop() {
					batch := newBatch(registered{}, false)
					for ; batch.size() < batchRows; position++ {
						require.NoError(b, batch.payload(position, payloads[position]))
						for range 100 {
							batch.rows.Events = append(batch.rows.Events, eventsOfRun(runs)...)
							runs++
						}
					}
					batch.seal()
					rows += batch.rows.Len()
					if store != nil {
						require.NoError(b, store.Write(b.Context(), &batch.rows))
					}
				}
				used = cpu() - used
				b.ReportMetric(float64(used.Microseconds())/float64(runs), "cpu-µs/run")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(runs), "µs/run")
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
