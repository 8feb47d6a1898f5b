package gates_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/gates"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
)

const index = "../../../tests/testdata/fixtures/redis-queue/index/"

// capturedIndex says how the captured databases came about.
type capturedIndex struct {
	meta map[string]struct {
		Events    []map[string]any `json:"events_sent"`
		Functions []string
	}
	functions struct {
		Functions map[string]struct {
			ID     uuid.UUID
			Config json.RawMessage
		}
	}
}

func readIndex(t *testing.T) *capturedIndex {
	t.Helper()
	var x capturedIndex
	for name, into := range map[string]any{"meta.json": &x.meta, "functions.json": &x.functions} {
		text, err := os.ReadFile(index + name)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	return &x
}

func (x *capturedIndex) function(t *testing.T, slug string) *function.Function {
	t.Helper()
	known, ok := x.functions.Functions[slug]
	require.True(t, ok, slug)
	fn := newFunction(t, string(known.Config))
	fn.ID, fn.Slug = known.ID, slug
	return fn
}

// TestAsCaptured: what events leave in Redis is what they left there when the
// original got them: keys, types, times to live, members and fields. Ids and times
// are masked.
func TestAsCaptured(t *testing.T) {
	t.Parallel()
	x := readIndex(t)
	for _, name := range []string{
		"e01-start-plain", "e02-start-concurrency-keys", "e03-start-fn-concurrency", "e04-start-account-key",
		"e05-start-throttle-key", "e06-start-throttle-nokey", "e07-start-priority", "e08-debounce",
		"e09-debounce-updated", "e10-batch", "e11-singleton", "e12-start-timeout", "e13-ratelimit", "e14-start-future",
		"e15-cancel-on", "e16-start-event-id",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn := x.function(t, x.meta[name].Functions[0])
			s := open(t, fn)
			for _, sent := range x.meta[name].Events {
				var fields []any
				for _, field := range []string{"id", "ts"} {
					if value, ok := sent[field]; ok {
						fields = append(fields, field, value)
					}
				}
				if ts, ok := sent["ts"].(float64); ok && ts > 0 { // an hour later than it was captured
					fields = append(fields, "ts", time.Now().Add(time.Hour).UnixMilli())
				}
				s.event(fn, newEvent(t, sent["name"].(string), sent["data"], fields...))
			}
			captured := redistest.Open(t)
			redistest.Load(t, captured, redistest.Captured(t, "redis-queue/"+name))
			requireSame(t, captured, s.client)
		})
	}
}

// requireSame compares what two databases hold.
func requireSame(t *testing.T, want, got *redis.Client) {
	t.Helper()
	wanted, there := masked(t, redistest.Dump(t, want)), masked(t, redistest.Dump(t, got))
	without := func(list, others []string) (only []string) {
		for _, line := range list {
			if !slices.Contains(others, line) {
				only = append(only, line)
			}
		}
		return only
	}
	require.Equal(t, without(wanted, there), without(there, wanted), "only one of the two has it")
}

// TestCronAsCaptured: of a schedule there is the job of its next tick, and that
// which looks after it.
func TestCronAsCaptured(t *testing.T) {
	t.Parallel()
	fn := readIndex(t).function(t, "rq-cron")
	s := open(t, fn)
	s.Node.StopLeasing() // the check may be due now
	require.NoError(t, s.Sync(t.Context(), []gates.Known{{Function: fn, App: app}}))
	captured := redistest.Open(t)
	redistest.Load(t, captured, redistest.Captured(t, "redis-queue/d08-cron"))
	for _, key := range []string{format.PartitionsKey} { // jobs that ask for this job are not needed
		require.NoError(t, captured.HDel(t.Context(), key, format.QueueCronSync).Err())
	}
	for _, key := range []string{format.PointersKey, format.AccountPointersKey(function.AccountID)} {
		require.NoError(t, captured.ZRem(t.Context(), key, format.QueueCronSync).Err())
	}
	requireSame(t, captured, s.client)
}

// TestSemaphoresAsCaptured: how many runs may be in progress is known from what
// is registered (d18), and what starts take of it is as captured.
func TestSemaphoresAsCaptured(t *testing.T) {
	t.Parallel()
	x := readIndex(t)
	plain, keyed := x.function(t, "rq-semfn"), x.function(t, "rq-semkey")
	s := open(t, plain, keyed)
	require.NoError(t, s.Sync(t.Context(), s.registry.all()))
	for id, want := range map[string]string{"fn:" + plain.ID.String(): "1", "fnkey:24qnijbbbetw5": "2"} {
		got, err := s.client.Get(t.Context(), format.SemaphoreCapacityKey(function.AccountID, id)).Result()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	s.event(keyed, newEvent(t, "e", map[string]any{"customer": "c1"}))
	items := s.client.HVals(t.Context(), format.ItemsKey).Val()
	require.Len(t, items, 1)
	require.Equal(t, 2, strings.Count(items[0], `"sem":[{"id":"fnkey:24qnijbbbetw5","uv":"66tl9lbp7ri1","w":1,"r":1}]`), items[0])
	run := s.run()
	require.Equal(t, keyed.ID, run.FunctionID)
	used := s.client.Get(t.Context(), format.SemaphoreUsageKey(function.AccountID, "fnkey:24qnijbbbetw5", "66tl9lbp7ri1")).Val()
	require.Equal(t, "1", used)
}

var (
	ulids     = regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)
	uuids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	times     = regexp.MustCompile(`\b[1-9][0-9]{9,12}(\.[0-9]+)?\b|\b1\.[0-9]+e\+18\b`)
	spans     = regexp.MustCompile(`^[0-9a-f]{16}$`)
	eventText = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// masked are the contents of a database, a line for each key and member, with ids
// and times replaced. What the original has and nobody reads is left out.
func masked(t *testing.T, dump map[string]redistest.Key) []string {
	t.Helper()
	// Hashes of ids are ids.
	hashes := map[string]string{}
	for name, k := range dump {
		text := name + k.Text + fmt.Sprint(k.Things)
		for _, id := range ulids.FindAllString(text, -1) {
			hashes[function.Hash(id)] = "<hash of ulid>"
		}
		if _, key, ok := strings.Cut(name, "}:key:"); ok {
			key = strings.TrimSuffix(key, ":finalize")
			hashes[key], hashes[function.Hash(key)] = "<key>", "<hash of key>"
		}
	}
	for id := range dump[format.ItemsKey].Things {
		hashes[id] = "<item>"
	}
	for id := range dump[format.PauseIndexKey].Things {
		hashes[id] = "<pause>"
	}
	var lines []string
	for name, k := range dump {
		if strings.Contains(name, ":ik:op:") || strings.HasPrefix(name, "{queue}:queue:s") && k.Type == "string" ||
			name == format.RoleInstrumentsKey {
			continue
		}
		if strings.HasSuffix(name, ":finalize") {
			k.Text = "<uuid>"
		}
		name = maskText(name, hashes)
		if k.TTL > 0 {
			name += fmt.Sprintf(" (%d min)", int((k.TTL+30*time.Second)/time.Minute))
		}
		if k.Type == "string" {
			lines = append(lines, name+" = "+maskValue(t, k.Text, hashes))
		}
		for member, value := range k.Things {
			lines = append(lines, name+" ["+maskText(member, hashes)+"] = "+maskValue(t, value, hashes))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// maskValue masks a value, JSON member by member.
func maskValue(t *testing.T, text string, hashes map[string]string) string {
	t.Helper()
	var v any
	if (strings.HasPrefix(text, "{\"") || strings.HasPrefix(text, "[{")) && json.Unmarshal([]byte(text), &v) == nil {
		whole, err := json.MarshalIndent(tidy(v), "", " ")
		require.NoError(t, err)
		text = string(whole)
	}
	return maskText(text, hashes)
}

// tidy takes away what tracing leaves, and versions of functions.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "sys.trace")
		delete(v, "metadata")
		for name, value := range v {
			switch name {
			case "wv", "fnV":
				if n, ok := value.(float64); ok && n > 0 {
					v[name] = "<version>"
				}
			case "groupID":
				if value != "" {
					v[name] = "<group>"
				}
			default:
				v[name] = tidy(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	case float64:
		return json.RawMessage(fmt.Sprintf("%.0f", v))
	}
	return v
}

func maskText(text string, hashes map[string]string) string {
	if spans.MatchString(text) {
		return "<span>"
	}
	for _, hash := range slices.SortedFunc(maps.Keys(hashes), func(a, b string) int { return len(b) - len(a) }) {
		text = strings.ReplaceAll(text, hash, hashes[hash])
	}
	text = ulids.ReplaceAllString(text, "<ulid>")
	text = eventText.ReplaceAllString(text, "<time>")
	text = uuids.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "00000000-0000-") || id[14] == '5' {
			return id
		}
		return "<uuid>"
	})
	text = times.ReplaceAllString(text, "<time>")
	return text
}
