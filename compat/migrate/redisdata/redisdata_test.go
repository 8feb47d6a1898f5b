package redisdata_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
	"jetstep/compat/migrate/redisdata"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/function"
	"jetstep/state"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func side(client *redis.Client) *redisdata.Side {
	return redisdata.Open(redisdata.Config{
		Redis: client, Name: client.Options().Addr, Account: function.AccountID, Environment: function.EnvironmentID,
	})
}

// copied copies all and gives what was counted and reported.
func copied(t *testing.T, from migrate.Source, to migrate.Target) (*migrate.Summary, []migrate.Report) {
	t.Helper()
	var reports []migrate.Report
	summary, err := migrate.Copy(t.Context(), migrate.Copying{From: from, To: to, Report: func(r migrate.Report) error {
		reports = append(reports, r)
		return nil
	}})
	require.NoError(t, err)
	return summary, reports
}

// same requires that both sides hold the same.
func same(t *testing.T, a, b migrate.Source) {
	t.Helper()
	compared, err := migrate.Verify(t.Context(), migrate.Verifying{A: a, B: b, Differ: func(id migrate.ID, missing string, d []migrate.Difference) error {
		t.Errorf("%s %s: missing in %q, differences %+v", id.Kind, id.Key, missing, d)
		return nil
	}})
	require.NoError(t, err)
	require.Zero(t, compared.Differ)
}

// TestRunsOfEndpoints: a run that its app began is written as one, whether its app
// executes it or not.
func TestRunsOfEndpoints(t *testing.T) {
	t.Parallel()
	s := side(redistest.Open(t))
	data := json.RawMessage(`{"domain":"http://app","method":"GET","path":"/a"}`)
	request, err := function.ParseEndpointRequest(data)
	require.NoError(t, err)
	fn := request.Function(3)
	for _, since := range []int64{0, 1_795_645_391_624} {
		event := ulid.Make()
		run := state.Run{
			ID: ulid.Make(), FunctionID: fn.ID, FunctionVersion: 1, Slug: fn.Slug, Trigger: "inngest/http.request", EventIDs: []ulid.ULID{event},
			Events:    []json.RawMessage{json.RawMessage(`{"data":` + string(data) + `,"id":"` + event.String() + `","name":"inngest/http.request","ts":5,"user":{}}`)},
			StartedAt: 1_795_645_391_600, Version: 2, Endpoint: &state.Endpoint{AppID: request.AppID(), SDK: "go", Attempts: 4, AsyncAt: since},
		}
		run.Jobs = []state.Job{{ID: run.PatienceJob(), Kind: state.JobEdge, Due: time.Now().Add(time.Hour).UnixMilli(), MaxAttempts: 4}}
		item := (&migrate.Run{State: run, AppID: request.AppID()}).Item()
		for _, want := range []migrate.Result{migrate.Written, migrate.There} {
			outcomes, err := s.Put(t.Context(), []migrate.Item{item})
			require.NoError(t, err)
			require.Equal(t, want, outcomes[0].Result, outcomes[0].Reason)
		}
		there, err := s.Get(t.Context(), []migrate.ID{item.ID})
		require.NoError(t, err)
		require.Empty(t, migrate.Compare(&item, there[0]))
		require.Equal(t, run.Endpoint, there[0].Run.State.Endpoint)
		require.Equal(t, since == 0, there[0].Run.State.Sync())
	}
}

// captured are the names of all captured databases.
func captured(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range []string{"redis-queue", "redis-state"} {
		files, err := filepath.Glob(filepath.Join("../../../tests/testdata/fixtures", dir, "*.json"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			names = append(names, dir+"/"+strings.TrimSuffix(filepath.Base(file), ".json"))
		}
	}
	return names
}

var expires = regexp.MustCompile(`(\\?"expires\\?":)\d{13}`)

// loaded is a Redis with a captured database, in which waits last for another hour.
func loaded(t *testing.T, name string) *redis.Client {
	t.Helper()
	client := redistest.Open(t)
	far := fmt.Sprintf("${1}%d", time.Now().Add(time.Hour).UnixMilli())
	keys := redistest.Captured(t, name)
	for i := range keys {
		keys[i].Value = expires.ReplaceAll(keys[i].Value, []byte(far))
	}
	redistest.Load(t, client, keys)
	return client
}

// TestCaptured: what the original left is the same in a second Redis: every item,
// and every key that does not end by itself. Copied once more it is there.
func TestCaptured(t *testing.T) {
	t.Parallel()
	for _, name := range captured(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := loaded(t, name), redistest.Open(t)
			summary, reports := copied(t, side(from), side(to))
			require.Empty(t, reports)
			require.Zero(t, summary.Lost())
			require.Zero(t, summary.Of(migrate.KindForeign).Found)
			same(t, side(from), side(to))
			requireKeys(t, redistest.Dump(t, from), redistest.Dump(t, to))

			again, reports := copied(t, side(from), side(to))
			require.Empty(t, reports)
			for _, kind := range migrate.Kinds {
				require.Zero(t, again.Of(kind).Written, "%s once more", kind)
				if kind.Moves() {
					require.Equal(t, summary.Of(kind).Found, again.Of(kind).Found, kind)
				}
			}
			same(t, side(from), side(to))
		})
	}
}

// TestCapturedOverNeutral: what the neutral form says of runs is enough to make them
// again: nothing is taken from what a Redis keeps besides.
func TestCapturedOverNeutral(t *testing.T) {
	t.Parallel()
	for _, name := range captured(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := loaded(t, name), redistest.Open(t)
			_, reports := copied(t, neutral{side(from)}, side(to))
			require.Empty(t, reports)
			same(t, side(from), side(to))
			for key := range redistest.Dump(t, to) {
				_, _, ok := format.Identify(key)
				require.True(t, ok, "the original has no such key: %s", key)
			}
		})
	}
}

// neutral is a side that keeps nothing besides the neutral form.
type neutral struct{ *redisdata.Side }

func (n neutral) Each(ctx ctx, after migrate.Position, visit func(migrate.Page) error) error {
	return n.Side.Each(ctx, after, func(p migrate.Page) error {
		for i := range p.Items {
			if p.Items[i].Run != nil {
				p.Items[i].Run.Raw = nil
			}
		}
		return visit(p)
	})
}

// derivedKeys are kinds of keys that are made anew: leases and what has them, lines
// and pointers by time, what backlogs held, what is left of ended batches and
// debounces, jobs that servers make at their start.
var derivedKeys = []string{
	"{queue}:concurrency:sorted", "{queue}:scavenger:", "{queue}:queue:sorted:", "{queue}:partition:", "{queue}:accounts:",
	"{queue}:backlog", "{queue}:shadow", "{queue}:debounce-ptrs:", "{queue}:queue:item", "{queue}:idx:run:", "{queue}:queue:status:",
}

// requireKeys requires that a copy has the keys that are more than indexes, with the
// same values.
func requireKeys(t *testing.T, from, to map[string]redistest.Key) {
	t.Helper()
	for name, k := range from {
		have, ok := to[name]
		switch {
		case redisdata.Transient(name), slices.ContainsFunc(derivedKeys, func(p string) bool { return strings.HasPrefix(name, p) }):
			continue
		case strings.Contains(name, ":sem:app:"): // of connections
			continue
		case strings.Contains(name, ":workflows:") && !ok: // points to a batch that does not exist yet
			continue
		}
		require.True(t, ok, "%s is missing", name)
		require.Equal(t, k.Type, have.Type, name)
		if !strings.HasPrefix(name, "{estate}:pauses:") { // kept until ten minutes after they expire
			require.InDelta(t, k.TTL.Seconds(), have.TTL.Seconds(), 5, "%s is kept as long", name)
		}
		require.Equal(t, normal(k.Text), normal(have.Text), name)
		if strings.Contains(name, ":pause-idx:exp:") {
			continue // scores are of when it was saved
		}
		for member, value := range k.Things {
			if member == format.FieldStateSize {
				continue // counted anew: inputs of steps that have finished are part of it then
			}
			require.Equal(t, normal(value), normal(have.Things[member]), "%s [%s]", name, member)
		}
		require.Len(t, have.Things, len(k.Things), name)
	}
	requireItems(t, from, to)
	for name := range to {
		_, ok := from[name]
		if !ok && !slices.ContainsFunc(derivedKeys, func(p string) bool { return strings.HasPrefix(name, p) }) {
			t.Errorf("%s is new", name)
		}
	}
}

// madeAnew are kinds of items that servers add at their start, or by themselves.
var madeAnew = []string{format.KindCronSync, format.KindCronHealthCheck}

// requireItems requires that a copy has all items in line, those of runs as they
// were, but for leases.
func requireItems(t *testing.T, from, to map[string]redistest.Key) {
	t.Helper()
	for id, text := range from[format.ItemsKey].Things {
		a := itemOf(t, text)
		if slices.Contains(madeAnew, a.Data.Kind) {
			continue
		}
		b := itemOf(t, to[format.ItemsKey].Things[id])
		require.Contains(t, to[format.ReadyKey(a.Partition())].Things, id, "%s is in line", a.Data.Kind)
		require.Contains(t, to[format.PointersKey].Things, a.Partition())
		require.Contains(t, to[format.PartitionsKey].Things, a.Partition())
		for _, index := range format.IndexKeys(&a) {
			require.Equal(t, from[index].Things[id], to[index].Things[id], index)
		}
		for _, i := range []*format.Item{&a, &b} {
			i.LeaseID, i.EarliestPeek, i.Capacity, i.RefilledFrom, i.RefilledAt = nil, 0, nil, "", 0
			if i.Data.Identifier.RunID.IsZero() { // of the system: made by what they are about
				i.Data.GroupID, i.EnqueuedAt, i.WallTime, i.Generation, i.Data.Metadata = "", 0, 0, 0, nil
				i.Data.Identifier, i.Data.Payload = format.Identifier{}, nil
			}
		}
		if a.Data.Kind == format.KindCron {
			a.At = b.At // a few milliseconds before the tick
		}
		wantText, err := format.Encode(a)
		require.NoError(t, err)
		haveText, err := format.Encode(b)
		require.NoError(t, err)
		require.JSONEq(t, wantText, haveText)
	}
}

func itemOf(t *testing.T, text string) format.Item {
	t.Helper()
	item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey}, text)
	require.NoError(t, err)
	return item
}

// normal is a value in one form: members of JSON in order, flags as words, no empty
// list that a script has made an object.
func normal(text string) string {
	switch text {
	case "0":
		return "false"
	case "1":
		return "true"
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return string(out)
}
