package bus

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestRealtimeSubject(t *testing.T) {
	t.Parallel()
	const env = "00000000-0000-4000-b000-000000000000"
	for _, tt := range []struct{ channel, topic, want string }{
		{"chan1", "topicA", "chan1.topicA"},
		{"user:1", "$stream", "user:1.%24stream"},
		{"a.b", "c", "a%2Eb.c"},
		{"a", "b.c", "a.b%2Ec"},
		{"a *", "50%.>", "a%20%2A.50%25%2E%3E"},
		{".", "ü", "%2E.ü"},
		{"", "app/user.created", "app/user%2Ecreated"},
	} {
		subject := RealtimeSubject(env, tt.channel, tt.topic)
		require.Equal(t, "jetstep.realtime."+env+"."+tt.want, subject)
		tokens := strings.Split(strings.TrimPrefix(subject, realtimePrefix+env+"."), ".")
		topic, err := UnescapeSubject(tokens[len(tokens)-1])
		require.NoError(t, err)
		require.Equal(t, tt.topic, topic)
	}
}

func TestRealtimeAcrossProcesses(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	here, there := n.open(nil), n.open(nil)
	subject := RealtimeSubject("env", "channel", "topic")
	got := make(chan string, 10)
	stop, err := here.SubscribeRealtime(subject, func(message []byte) { got <- string(message) })
	require.NoError(t, err)
	require.NoError(t, here.FlushRealtime(t.Context()))

	require.NoError(t, there.PublishRealtime(RealtimeSubject("env", "channel", "other"), []byte("not for us")))
	for _, message := range []string{"1", "2", "3"} {
		require.NoError(t, there.PublishRealtime(subject, []byte(message)))
	}
	for _, message := range []string{"1", "2", "3"} {
		require.Equal(t, message, wait(t, got))
	}

	stop()
	require.NoError(t, here.FlushRealtime(t.Context()))
	require.NoError(t, there.PublishRealtime(subject, []byte("too late")))
	require.NoError(t, there.FlushRealtime(t.Context()))
	require.NoError(t, here.FlushRealtime(t.Context()))
	require.Empty(t, got)
}

func TestRealtimeErrors(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.MaxPayload = 1 << 20 })
	b := n.open(nil)
	require.ErrorIs(t, b.PublishRealtime("jetstep.realtime.x.y", make([]byte, 1<<20+1)), ErrTooLarge)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.FlushRealtime(cancelled), context.Canceled)

	b.Close()
	require.ErrorIs(t, b.PublishRealtime("jetstep.realtime.x.y", nil), nats.ErrDisconnected)
	_, err := b.SubscribeRealtime("jetstep.realtime.x.y", func([]byte) {})
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
}
