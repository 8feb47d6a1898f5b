package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOptionNames compares with the options of cli-config §5 and §6.
func TestOptionNames(t *testing.T) {
	t.Parallel()
	shared := []string{"sdk-url", "config", "host", "port", "poll-interval", "retry-interval", "queue-workers", "tick",
		"connect-gateway-port", "connect-gateway-grpc-port", "connect-executor-grpc-port", "connect-gateway-grpc-ip",
		"connect-executor-grpc-ip", "sqlite-dir", "postgres-uri", "postgres-max-idle-conns", "postgres-max-open-conns",
		"postgres-conn-max-idle-time", "postgres-conn-max-lifetime"}
	want := map[Mode][]string{
		Dev: append([]string{"no-discovery", "no-poll", "persist", "debug-api-port", "system-trace-endpoint",
			"system-trace-url-path"}, shared...),
		Start: append([]string{"signing-key", "event-key", "redis-uri", "no-ui"}, shared...),
	}
	for mode, names := range want {
		for _, name := range names {
			_, ok := optionOf(mode, name)
			require.True(t, ok, "%s --%s", mode, name)
		}
	}
	for _, name := range []string{"signing-key", "event-key", "no-ui"} {
		_, ok := optionOf(Dev, name)
		require.False(t, ok, "dev --%s", name)
	}
	_, ok := optionOf(Start, "persist")
	require.False(t, ok)
}

func TestOptionsAreUnambiguous(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Dev, Start} {
		seen := map[string]bool{}
		for _, o := range OptionsOf(mode) {
			for _, name := range append([]string{o.Name}, o.Aliases...) {
				require.False(t, seen[name], "%s: %s twice", mode, name)
				seen[name] = true
			}
			require.NotEmpty(t, o.Usage, o.Name)
			require.NotEmpty(t, o.Category, o.Name)
		}
	}
}

func TestModeString(t *testing.T) {
	t.Parallel()
	require.Equal(t, "dev", Dev.String())
	require.Equal(t, "start", Start.String())
	require.Equal(t, "mode(0)", Mode(0).String())
}
