package format_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

// TestCapturedItems: ids, scores' units, leases and payloads of every captured
// item are as the formulas say (redis-queue §26.1, 3, 4).
func TestCapturedItems(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for file, entries := range readCaptures(t) {
		claims := claimsOf(t, entries)
		for _, e := range entries {
			if e.Key != format.ItemsKey {
				continue
			}
			for id, text := range e.hash(t) {
				at := format.Place{Key: e.Key, Member: id}
				item, err := format.Decode[format.Item](at, text)
				require.NoError(t, err)
				require.Equal(t, id, item.ID)
				require.NoError(t, item.Check())
				kinds[item.Data.Kind]++
				requirePayload(t, at, &item)
				if item.Data.Kind == format.KindStart {
					key, ok := claims[item.Data.Identifier.RunID.String()]
					if ok {
						require.Equal(t, id, function.StartJob(function.RunKey(item.FunctionID, key)), file)
					}
				}
			}
		}
	}
	for _, kind := range []string{"start", "edge", "edge-error", "sleep", "pause", "debounce", "schedule-batch", "cron", "cron-sync", "cron-health-check", "cancel"} {
		require.NotZero(t, kinds[kind], kind)
	}
}

// claimsOf are the idempotency keys of the runs in a captured database.
func claimsOf(t *testing.T, entries []entry) map[string]string {
	t.Helper()
	claims := map[string]string{}
	for _, e := range entries {
		pattern, parts, ok := format.Identify(e.Key)
		if ok && pattern.Template == "{estate:<account>}:key:<...>" {
			claims[strings.TrimPrefix(e.things(t)[0].Value, "-")] = parts["..."]
		}
	}
	return claims
}

func requirePayload(t *testing.T, at format.Place, item *format.Item) {
	t.Helper()
	read := map[string]func(*testing.T, format.Place, *format.Item) any{
		"start": payload[format.EdgePayload], "edge": payload[format.EdgePayload], "edge-error": payload[format.EdgePayload],
		"sleep": payload[format.EdgePayload], "pause": payload[format.PausePayload], "debounce": payload[format.DebouncePayload],
		"schedule-batch": payload[format.BatchPayload], "cancel": payload[format.CancelPayload],
		"cron": payload[format.CronPayload], "cron-sync": payload[format.CronPayload], "cron-health-check": payload[format.CronPayload],
	}[item.Data.Kind]
	require.NotNil(t, read, item.Data.Kind)
	switch p := read(t, at, item).(type) {
	case format.PausePayload:
		require.Equal(t, function.PauseID(p.Pause.Run.RunID.String(), p.Pause.Outgoing), p.PauseID)
		require.Equal(t, p.PauseID, p.Pause.ID)
		require.Equal(t, item.At, p.Pause.Expires)
	case format.DebouncePayload:
		require.Equal(t, item.ID, function.DebounceJob(p.DebounceID.String()))
	case format.BatchPayload:
		require.Equal(t, item.ID, function.BatchJob(p.EnvironmentID, p.BatchID.String()))
	case format.CronPayload:
		if p.Op == format.CronProcess {
			require.Equal(t, item.ID, p.JobID)
		}
	}
}

func payload[T any](t *testing.T, at format.Place, item *format.Item) any {
	t.Helper()
	p, err := format.PayloadOf[T](at, item)
	require.NoError(t, err)
	require.Empty(t, unknown(reflect.ValueOf(p)))
	out, err := format.Raw(p)
	require.NoError(t, err)
	require.Equal(t, meaning(t, string(item.Data.Payload)), meaning(t, string(out)))
	if !bytes.Equal(out, item.Data.Payload) {
		require.NotEqual(t, order(t, string(out)), order(t, string(item.Data.Payload)), "%s\n%s", out, item.Data.Payload)
	}
	return p
}

// TestCapturedLeases: the lease of an item ends at its score among the leased.
func TestCapturedLeases(t *testing.T) {
	t.Parallel()
	leases := 0
	for file, entries := range readCaptures(t) {
		items := map[string]string{}
		for _, e := range entries {
			if e.Key == format.ItemsKey {
				items = e.hash(t)
			}
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Key, "{queue}:scavenger:") {
				continue
			}
			var members [][2]any
			require.NoError(t, json.Unmarshal(e.Value, &members))
			for _, m := range members {
				item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey}, items[m[0].(string)])
				require.NoError(t, err)
				require.EqualValues(t, m[1], format.LeaseExpiry(*item.LeaseID), file)
				require.EqualValues(t, m[1], format.LeaseText(item.LeaseID.String()))
				require.Equal(t, e.Key, format.ScavengerKey(item.Partition()))
				leases++
			}
		}
	}
	require.Greater(t, leases, 15)
}

// TestCapturedIndexes: an item of a run is in the sorted sets that IndexKeys
// says, leased or not.
func TestCapturedIndexes(t *testing.T) {
	t.Parallel()
	for file, entries := range readCaptures(t) {
		in := map[string][]string{}
		for _, e := range entries {
			pattern, _, ok := format.Identify(e.Key)
			if ok && (strings.HasPrefix(pattern.Template, "{queue}:idx:") || strings.HasPrefix(pattern.Template, "{queue}:queue:status:")) {
				for _, thing := range e.things(t) {
					in[thing.Member] = append(in[thing.Member], e.Key)
				}
			}
		}
		for _, e := range entries {
			if e.Key != format.ItemsKey {
				continue
			}
			for id, text := range e.hash(t) {
				item, err := format.Decode[format.Item](format.Place{Key: e.Key, Member: id}, text)
				require.NoError(t, err)
				want := format.IndexKeys(&item)
				slices.Sort(want)
				slices.Sort(in[id])
				require.Equal(t, want, in[id], "%s: %s", file, strconv.Quote(id))
			}
		}
	}
}
