// Package captured gives tests databases of Redis as the original left them, and
// tells what distinguishes a database from such a one.
//
// It guarantees that a comparison sees every key with its type, its time to live, its
// members and the fields of its values; only what differs each time, ids and times,
// is masked, and what nobody reads is left out. It must not be used but by tests, nor
// change what was captured but by moving its times.
package captured

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/redistest"
)

// Load puts a captured database into a Redis; see [Keys].
func Load(t *testing.T, client redis.UniversalClient, name string, ago time.Duration) {
	t.Helper()
	redistest.Load(t, client, Keys(t, name, ago))
}

// Keys are those of a captured database, such as "redis-queue/d01-sleep", as if it had
// been captured that long ago; 0 is as it was, which is longer ago than anything in
// it waits. Leases have ended in any case.
func Keys(t *testing.T, name string, ago time.Duration) []redistest.CapturedKey {
	t.Helper()
	keys := redistest.Captured(t, name)
	if ago == 0 {
		return keys
	}
	by := time.Since(At(t, name)) - ago
	for i := range keys {
		keys[i].Value = moved(keys[i].Value, by)
	}
	return keys
}

// At is when a database was captured.
func At(t *testing.T, name string) time.Time {
	t.Helper()
	set, file, _ := strings.Cut(name, "/")
	text, err := os.ReadFile(filepath.Join(redistest.Fixtures(), set, "index", "meta.json"))
	require.NoError(t, err)
	var all map[string]struct {
		Queue int64 `json:"captured_at_ms"`
		State int64 `json:"captured_at"`
	}
	require.NoError(t, json.Unmarshal(text, &all))
	require.Contains(t, all, file)
	return time.UnixMilli(all[file].Queue + all[file].State)
}

// numbers are times around the captures, and a year later, in seconds, milliseconds or
// nanoseconds: scores, and members of values.
var numbers = regexp.MustCompile(`\b1(79[56]|827)\d{6}(\d{3}|\d{9})?\b`)

// moved moves the times in a value.
func moved(value json.RawMessage, by time.Duration) json.RawMessage {
	return numbers.ReplaceAllFunc(value, func(text []byte) []byte {
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return text
		}
		return strconv.AppendInt(nil, n+int64(by/units[len(text)]), 10)
	})
}

// units are those of times, by how many digits they have.
var units = map[int]time.Duration{10: time.Second, 13: time.Millisecond, 19: time.Nanosecond}
