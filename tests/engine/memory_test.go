package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/executor/driver"
)

func TestMemoryProbe(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("PROBE"))
	if n == 0 {
		t.Skip()
	}
	s := &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"sleeper": func(r *driver.Request) *driver.Response {
			return steps(driver.Opcode{Op: driver.OpSleep, ID: "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", Name: "24h"})
		},
	}}
	e := start(t, t.TempDir(), s)
	e.register(on("sleeper", "z"))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for sent := 0; sent < n; {
		var batch []*bus.Event
		for range 100 {
			id := ulid.Make()
			batch = append(batch, &bus.Event{InternalID: id, ID: id.String(), Name: "z",
				Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"some text of a usual length"}`, sent)), TS: time.Now().UnixMilli()})
			sent++
		}
		require.NoError(t, e.bus.Publish(context.Background(), batch))
	}
	require.Eventually(t, func() bool { return e.node.Stats().Timers >= n }, 200*time.Second, 50*time.Millisecond)
	s.calls = nil
	time.Sleep(2 * time.Second)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d bytes per run", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/int64(n))
	f, _ := os.Create("/tmp/heap.prof")
	_ = pprof.WriteHeapProfile(f)
	f.Close()
	dir := e.dir
	e.stop()
	begin := time.Now()
	e = start(t, dir, s)
	t.Logf("recovered in %s", time.Since(begin))
	require.Equal(t, n, e.node.Stats().Runs)
}
