package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bench"
	"jetstep/bus"
	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/queue/partition"
)

func benchmarkRuns(b *testing.B, fn string) {
	ctx := context.Background()
	bs, err := bus.Open(ctx, bus.Config{StoreDir: b.TempDir()})
	require.NoError(b, err)
	defer bs.Close()
	app, err := bench.StartApp("app")
	require.NoError(b, err)
	defer app.Close()
	rec := newRecorder()
	node := partition.NewNode(partition.Config{Bus: bs, Name: "bench", History: rec})
	node.Start(ctx)
	caller := driver.New(driver.Config{})
	exec := executor.New(executor.Config{Queue: node, Store: node, SDK: caller, Functions: bs.Registry()})
	exec.Start(ctx)
	defer func() { node.StopLeasing(); _ = exec.Wait(ctx); node.Close() }()
	<-node.Opened()
	a := &function.App{Name: "app", URL: app.URL(), Method: function.MethodServe}
	for _, id := range []string{"noop", "three", "sleep"} {
		a.Functions = append(a.Functions, function.Function{
			ID: function.FunctionID(id, id), Version: 1, Slug: "app-" + id, Name: id,
			Triggers: []function.Trigger{{Event: "bench/" + id}},
			Steps:    []function.Step{{ID: "step", Name: "step", URI: app.URL() + "?fnId=app-" + id + "&stepId=step"}},
		})
	}
	_, err = bs.Registry().Update(ctx, function.AppID("app"), func(*function.App) (*function.App, error) { return a, nil })
	require.NoError(b, err)

	b.ResetTimer()
	for sent := 0; sent < b.N; {
		var batch []*bus.Event
		for range min(100, b.N-sent) {
			id := ulid.Make()
			batch = append(batch, &bus.Event{InternalID: id, ID: id.String(), Name: "bench/" + fn,
				Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"some text of a usual length"}`, sent)), TS: time.Now().UnixMilli()})
			sent++
		}
		require.NoError(b, bs.Publish(ctx, batch))
	}
	for rec.count() < b.N {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
}

func BenchmarkNoStepRuns(b *testing.B)    { benchmarkRuns(b, "noop") }
func BenchmarkThreeStepRuns(b *testing.B) { benchmarkRuns(b, "three") }
