package sdk_test

import (
	"encoding/json"
	"net/url"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// noRealtime says which SDKs this is not for.
var noRealtime = map[string]string{
	"ts3": "it has realtime in a package of its own",
	"go":  "its realtime package needs parts of the original server",
}

var realtimeScenarios = []scenario{
	{name: "realtime publish", whole: published, skip: noRealtime},
	{
		// Of streams the subscriber of the SDK dies.
		name:     "realtime subscribe",
		fn:       "subscribe",
		output:   `[{"topic":"status","kind":"data","data":{"n":1}},{"topic":"status","kind":"data","data":"text"}]`,
		attempts: once("listen"),
		skip:     noRealtime,
	},
}

// published subscribes to what a function publishes as a browser would.
func published(t *trial) {
	channel := "news." + t.token
	token, err := t.client.RealtimeToken(t.ctx, harness.Topic{Kind: "run", Channel: channel, Name: "status"})
	require.NoError(t, err)
	conn, _, err := websocket.Dial(t.ctx, t.server.URL()+"/v1/realtime/connect?token="+url.QueryEscape(token), nil)
	require.NoError(t, err)
	defer func() { _ = conn.CloseNow() }()

	type message struct {
		Kind, Channel, Topic string
		RunID                string `json:"run_id"`
		StreamID             string `json:"stream_id"`
		Data                 json.RawMessage
	}
	runID := t.start("/publish", nil)
	next := func(kind string) message {
		_, body, err := conn.Read(t.ctx)
		require.NoError(t, err)
		got := decode[message](t, body)
		require.Equal(t, []string{kind, channel, "status", runID}, []string{got.Kind, got.Channel, got.Topic, got.RunID})
		return got
	}
	require.JSONEq(t, `{"n":1}`, string(next("data").Data))
	require.JSONEq(t, `{"n":2}`, string(next("data").Data))
	stream := next("datastream-start").Data
	chunk := next("chunk")
	require.Equal(t, `"three €"`, string(chunk.Data))
	require.Equal(t, decode[string](t, stream), chunk.StreamID)
	require.Equal(t, stream, next("datastream-end").Data)
	t.complete(runID, `"published"`)
	t.attempts(once("work"))
}
