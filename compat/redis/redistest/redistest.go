// Package redistest gives the tests of the Redis path databases of a real Redis,
// captured ones of the original, and what a database holds.
//
// It guarantees that each test has a database of its own, and that the server
// ends with the test binary. It must not be used but by tests, nor know what
// keys mean.
package redistest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var (
	server *harness.Redis
	free   = make(chan int, databases)
)

const databases = 64

// Main runs the tests of a package, a [testing.M] or what runs one, with a Redis
// server.
func Main(tests interface{ Run() int }) {
	os.Exit(run(tests))
}

func run(tests interface{ Run() int }) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if server, err = harness.StartRedis(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for n := range databases {
		free <- n
	}
	code := tests.Run()
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Open gives an empty database that is the test's alone.
func Open(t testing.TB) *redis.Client {
	t.Helper()
	n := <-free
	options, err := redis.ParseURL(server.URL(n))
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() {
		if err := client.FlushDB(context.Background()).Err(); err != nil {
			t.Errorf("emptying the database: %v", err)
		}
		_ = client.Close()
		free <- n
	})
	return client
}

// Key is what a key holds: a string, or the things in it with their values or
// scores. A list has its indexes for members.
type Key struct {
	Type   string
	Text   string
	Things map[string]string
	TTL    time.Duration // 0 for none
}

// Dump is all that a database holds.
func Dump(t *testing.T, client redis.UniversalClient) map[string]Key {
	t.Helper()
	names, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	dump := map[string]Key{}
	for _, name := range names {
		dump[name] = read(t, client, name)
	}
	return dump
}

func read(t *testing.T, client redis.UniversalClient, name string) Key {
	t.Helper()
	ctx := t.Context()
	typ, err := client.Type(ctx, name).Result()
	require.NoError(t, err)
	k := Key{Type: typ, Things: map[string]string{}}
	k.TTL = max(client.PTTL(ctx, name).Val(), 0)
	switch typ {
	case "string":
		k.Text = client.Get(ctx, name).Val()
	case "hash":
		k.Things = client.HGetAll(ctx, name).Val()
	case "list":
		for i, item := range client.LRange(ctx, name, 0, -1).Val() {
			k.Things[fmt.Sprint(i)] = item
		}
	case "set":
		for _, member := range client.SMembers(ctx, name).Val() {
			k.Things[member] = ""
		}
	case "zset":
		for _, z := range client.ZRangeWithScores(ctx, name, 0, -1).Val() {
			k.Things[z.Member.(string)] = fmt.Sprint(int64(z.Score*1000) / 1000)
		}
	}
	return k
}

// Keys are the names of a dump in order.
func Keys(dump map[string]Key) []string { return slices.Sorted(maps.Keys(dump)) }

// Fixtures is the directory of what was captured.
func Fixtures() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../tests/testdata/fixtures")
}

// Captured reads a captured database, such as "redis-queue/d01-sleep".
func Captured(t *testing.T, name string) []CapturedKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Fixtures(), name+".json"))
	require.NoError(t, err)
	var keys []CapturedKey
	require.NoError(t, json.Unmarshal(text, &keys))
	return keys
}

// CapturedKey is a key of a captured database.
type CapturedKey struct {
	Key   string
	Type  string
	TTL   int64 `json:"ttl_ms"`
	Value json.RawMessage
}

// Load puts captured keys into a database, as they were.
func Load(t *testing.T, client redis.UniversalClient, keys []CapturedKey) {
	t.Helper()
	_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		Add(t, p, keys)
		return nil
	})
	require.NoError(t, err)
}

// Add queues the commands that put captured keys into a database.
func Add(t *testing.T, p redis.Pipeliner, keys []CapturedKey) {
	t.Helper()
	ctx := t.Context()
	for _, k := range keys {
		switch k.Type {
		case "string":
			p.Set(ctx, k.Key, decode[string](t, k), 0)
		case "hash":
			p.HSet(ctx, k.Key, decode[map[string]string](t, k))
		case "list":
			p.RPush(ctx, k.Key, anys(decode[[]string](t, k))...)
		case "set":
			p.SAdd(ctx, k.Key, anys(decode[[]string](t, k))...)
		case "zset":
			for _, item := range decode[[][2]any](t, k) {
				p.ZAdd(ctx, k.Key, redis.Z{Member: item[0], Score: item[1].(float64)})
			}
		case "none":
			continue
		default:
			t.Fatalf("%s is a %s", k.Key, k.Type)
		}
		if k.TTL > 0 {
			p.PExpire(ctx, k.Key, time.Duration(k.TTL)*time.Millisecond)
		}
	}
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

func decode[T any](t *testing.T, k CapturedKey) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal(k.Value, &v), k.Key)
	return v
}
