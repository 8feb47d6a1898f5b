package engine

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
)

// TestConstraintsAsCaptured: what is asked of limits for a captured item is what
// the captured request says (redis-queue §10.2).
func TestConstraintsAsCaptured(t *testing.T) {
	t.Parallel()
	keyed := Limits{Keys: []KeyLimit{
		{format.OfFunction, "1fxdpyxsh05fo", 1}, {format.OfEnvironment, "499tgtq3y3s", 5}, {format.OfAccount, "gone", 1},
	}}
	for name, limits := range map[string]Limits{
		"d02-in-progress": {}, "d03-concurrency-limited": keyed, "d03b-fn-concurrency-limited": {Concurrency: 2},
		"d04-throttled": {Throttle: &Throttle{Hash: "1fxdpyxsh05fo", Limit: 1, Burst: 2, Period: 60_000}},
		"d07-parallel":  {}, "d17-crashed-worker": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items := map[string]string{}
			var requests []string
			for _, k := range redistest.Captured(t, "redis-queue/"+name) {
				if k.Key == format.ItemsKey {
					require.NoError(t, json.Unmarshal(k.Value, &items))
				}
				if strings.Contains(k.Key, ":rs:") {
					var text string
					require.NoError(t, json.Unmarshal(k.Value, &text))
					requests = append(requests, text)
				}
			}
			compared := 0
			for _, text := range requests {
				request, err := format.Decode[format.Request](format.Place{}, text)
				require.NoError(t, err)
				item, err := format.Decode[format.Item](format.Place{}, items[request.Key])
				if err != nil {
					continue // it is done
				}
				compared++
				want, err := format.Encode(request.Constraints)
				require.NoError(t, err)
				got, err := format.Encode(constraints(&item, limits))
				require.NoError(t, err)
				require.JSONEq(t, want, got)
			}
			require.Equal(t, name == "d04-throttled", compared == 0, "of %d requests", len(requests))
		})
	}
}

func TestThrottleOfStarts(t *testing.T) {
	t.Parallel()
	limits := Limits{Throttle: &Throttle{Hash: HashOfNone, Limit: 2, Burst: 1, Period: 60_000}}
	item := &format.Item{FunctionID: uuid.New(), Data: format.ItemData{Kind: format.KindStart, Throttle: &format.Throttle{
		Key: "2dx4764ko6byy", ExpressionHash: HashOfNone,
	}}}
	first := constraints(item, limits)[0]
	require.Equal(t, format.ConstraintThrottle, first.Kind)
	require.True(t, strings.HasSuffix(first.Throttle.Key, "<3mzsru4d4ty1l:2dx4764ko6byy>"), first.Throttle.Key)
	for name, change := range map[string]func(*format.Item, *Limits){
		"another kind":    func(i *format.Item, _ *Limits) { i.Data.Kind = format.KindEdge },
		"none any more":   func(_ *format.Item, l *Limits) { l.Throttle = nil },
		"another key now": func(_ *format.Item, l *Limits) { l.Throttle = &Throttle{Hash: "x"} },
		"none then":       func(i *format.Item, _ *Limits) { i.Data.Throttle = nil },
	} {
		i, l := *item, limits
		change(&i, &l)
		require.Equal(t, format.ConstraintConcurrency, constraints(&i, l)[0].Kind, name)
	}
}

func TestSemaphoresOfItems(t *testing.T) {
	t.Parallel()
	item := &format.Item{Data: format.ItemData{Kind: format.KindStart, Semaphores: []format.Semaphore{
		{ID: "fn:x", Weight: 1, Release: format.ReleaseManual}, {ID: "app:y", Weight: 1, Release: format.ReleaseAuto},
	}}}
	require.Len(t, semaphoresOf(item), 2)
	item.Data.Attempt = 1
	left := semaphoresOf(item)
	require.Len(t, left, 1, "a run does not wait for what it has")
	require.Equal(t, format.ReleaseAuto, left[0].Semaphore.Release)
}
