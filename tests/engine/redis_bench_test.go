package engine

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/bench"
	"jetstep/compat/redis/redistest"
	"jetstep/executor/driver"
	"jetstep/function"
)

// benchmarkRedisRuns measures the Redis path without what brings events to it, and
// says how many round trips to Redis, commands and milliseconds of its time a run
// takes.
func benchmarkRedisRuns(b *testing.B, fn string) {
	client := redistest.Open(b)
	app, err := bench.StartApp("app")
	require.NoError(b, err)
	defer app.Close()
	var functions []function.Function
	for _, id := range []string{"noop", "three"} {
		f := on("app-"+id, "bench/"+id)
		f.Steps = []function.Step{{ID: "step", Name: "step", URI: app.URL() + "?fnId=app-" + id + "&stepId=step"}}
		functions = append(functions, f)
	}
	trips := &roundTrips{}
	client.AddHook(trips)
	e := startOnRedis(b, client, nil, driver.New(driver.Config{}), functions...)
	before := redisSeconds(b, client)
	trips.n.Store(0)
	b.ResetTimer()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 32 {
		senders.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				e.send("bench/"+fn, fmt.Sprintf(`{"n":%d,"text":"some text of a usual length"}`, n))
			}
		})
	}
	senders.Wait()
	for e.rec.count() < b.N {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
	b.ReportMetric(float64(trips.n.Load())/float64(b.N), "trips/run")
	b.ReportMetric((redisSeconds(b, client)-before)*1000/float64(b.N), "redis-ms/run")
}

func BenchmarkRedisNoStepRuns(b *testing.B)    { benchmarkRedisRuns(b, "noop") }
func BenchmarkRedisThreeStepRuns(b *testing.B) { benchmarkRedisRuns(b, "three") }

// redisSeconds is how much of a processor the server has taken.
func redisSeconds(b *testing.B, client *redis.Client) float64 {
	info := client.InfoMap(b.Context(), "cpu").Val()["CPU"]
	var user, system float64
	_, err := fmt.Sscan(info["used_cpu_user"]+" "+info["used_cpu_sys"], &user, &system)
	require.NoError(b, err)
	return user + system
}
