package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/tests/harness"
)

// TestDoctorRedis: dry by default, exit code 1 while something is wrong, repairs on
// request, and says all of it as text or JSON.
func TestDoctorRedis(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := harness.StartRedis(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	options, err := redis.ParseURL(server.URL(7))
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	env := []string{"INNGEST_REDIS_URI=" + server.URL(7)}

	require.Equal(t, result{stdout: "looked at 0 keys, 0 runs, 0 items, 0 pauses: nothing is wrong\n"}, runCommand(t, env, "doctor", "redis"))

	require.NoError(t, client.HSet(ctx, format.ItemsKey, "bad", `{"id":`).Err())
	found := "found     item_unreadable: {queue}:queue:item [bad]: value of {queue}:queue:item [bad]: not JSON\n"
	for range 2 {
		require.Equal(t, result{code: 1, stdout: found + "item_unreadable: 1 found, 0 repaired\n" +
			"looked at 1 keys, 0 runs, 1 items, 0 pauses: 1 left\n"}, runCommand(t, env, "doctor", "redis"))
	}
	got := runCommand(t, nil, "doctor", "redis", "--redis-uri", server.URL(7), "--repair")
	require.Equal(t, 0, got.code)
	require.Contains(t, got.stdout, "repaired  item_unreadable: ")
	require.Contains(t, got.stdout, ": all repaired\n")

	got = runCommand(t, env, "--json", "doctor", "redis")
	require.Equal(t, 1, got.code, "it is kept aside")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 2)
	require.JSONEq(t, `{"kind":"set_aside","key":"{queue}:jetstep:aside","member":"bad","reason":"value of {queue}:queue:item [bad]: not JSON",
		"repaired":false}`, lines[0])
	var summary struct {
		Left    int
		Summary struct{ Found map[string]int }
	}
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &summary))
	require.Equal(t, 1, summary.Left)
	require.Equal(t, map[string]int{"set_aside": 1}, summary.Summary.Found)

	got = runCommand(t, env, "doctor", "redis", "--discard")
	require.Equal(t, result{code: 1, stderr: "--discard needs --repair\n"}, got)
	got = runCommand(t, env, "doctor", "redis", "--repair", "--discard")
	require.Equal(t, 0, got.code)
	require.Contains(t, got.stdout, "discarded set_aside: ")
	require.Equal(t, 0, runCommand(t, env, "doctor", "redis").code)
}

func TestDoctorRedisThatIsNotThere(t *testing.T) {
	t.Parallel()
	got := runCommand(t, nil, "doctor", "redis", "--redis-uri", "redis://user:s3cret@127.0.0.1:1", "--timeout", "300ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "redis://127.0.0.1:1/0: ")
	require.NotContains(t, got.stderr, "s3cret")
	got = runCommand(t, nil, "doctor", "redis", "--redis-uri", "redis://user:s3/cret@h")
	require.Equal(t, 1, got.code)
	require.NotContains(t, got.stderr, "cret")
	require.Equal(t, 1, runCommand(t, nil, "doctor", "redis").code, "where is it?")
}
