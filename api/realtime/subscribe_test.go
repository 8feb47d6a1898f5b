package realtime

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

func TestSubscribersAreAuthenticated(t *testing.T) {
	t.Parallel()
	dev, start := newFixture(t, nil), newFixture(t, nil, testKey)
	const noToken = `{"error":"Not authenticated","data":null,"status":401}` + "\n"
	for _, path := range []string{"/connect", "/sse"} {
		for _, tt := range []struct {
			f            *fixture
			header, want string
		}{
			{dev, "X: y", noToken},
			{dev, "Authorization: Bearer anything", noToken},
			{start, "Authorization: Bearer " + testKey, noToken},
			{start, "X: y", "Authentication failed\n"},
			{start, "Authorization: Bearer " + dev.token(t, "c", "n"), "Authentication failed\n"},
		} {
			status, body := tt.f.do(t, "GET", path, nil, tt.header)
			require.Equal(t, 401, status)
			require.Equal(t, tt.want, body)
		}
	}
	status, _ := start.do(t, "GET", "/connect?token="+start.token(t, "c", "n"), nil)
	require.Equal(t, 426, status, "no websocket")
	require.Zero(t, start.broker.subscriptions(runTopic("c", "n")))
}

func TestTopicsComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	first := f.connect(t, f.token(t, "c", "1"))
	first.send(map[string]any{"kind": "sub", "data": "no token"})
	first.send(map[string]any{"kind": "sub", "data": 5})
	first.send(map[string]any{"kind": "unsub", "data": 5})
	first.send(map[string]any{"kind": "other"})
	require.NoError(t, first.conn.Write(t.Context(), websocket.MessageText, []byte("no JSON")))
	first.send(map[string]any{"kind": "sub", "data": f.token(t, "c", "1", "2")})
	eventually(t, func() bool { return f.broker.subscriptions(runTopic("c", "2")) == 1 }, "a topic is added")
	f.publish(t, "channel=c&topic=2", "2")
	require.Equal(t, "2", string(first.message().Data))

	second := f.connect(t, f.token(t, "c", "2"))
	require.Equal(t, 1, f.broker.subscriptions(runTopic("c", "2")), "all subscribers share one subscription")

	// A topic without its environment is not removed.
	first.send(map[string]any{"kind": "unsub", "data": []map[string]any{{"kind": "run", "channel": "c", "name": "2"}}})
	first.send(map[string]any{"kind": "unsub", "data": []Topic{runTopic("c", "1"), runTopic("c", "never had")}})
	eventually(t, func() bool { return f.broker.subscriptions(runTopic("c", "1")) == 0 }, "a topic is removed")
	f.publish(t, "channel=c&topic=1", "1")
	f.publish(t, "channel=c&topic=2", "3")
	require.Equal(t, "3", string(first.message().Data))
	require.Equal(t, "3", string(second.message().Data))

	require.NoError(t, first.conn.Close(websocket.StatusNormalClosure, ""))
	require.NoError(t, second.conn.CloseNow())
	eventually(t, func() bool { return f.broker.subscriptions(runTopic("c", "2")) == 0 }, "nobody is left")
}

func TestSubscribeFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	token := f.token(t, "c", "n")
	f.broker.fail(errors.New("out of reach"))
	status, body := f.do(t, "GET", "/sse?token="+token, nil)
	require.Equal(t, 503, status)
	require.Equal(t, `{"error":"Unable to subscribe","data":null,"status":503}`+"\n", body)
	f.broker.fail(nil)

	crowd := newSubscriber()
	for range maxSubscribers {
		require.NoError(t, f.hub.add(newSubscriber(), runTopic("c", "n").subject()))
	}
	require.ErrorIs(t, f.hub.join(t.Context(), crowd, []Topic{runTopic("c", "n")}), errCrowded)
	status, _ = f.do(t, "GET", "/sse?token="+token, nil)
	require.Equal(t, 429, status)

	names := make([]string, maxTopics+1)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	status, body = f.do(t, "GET", "/sse?token="+f.token(t, "d", names...), nil)
	require.Equal(t, 400, status)
	require.Contains(t, body, "Too many topics")
	require.Zero(t, f.broker.subscriptions(runTopic("d", "0")), "none is kept")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(s *Server) { s.heartbeat = time.Millisecond })
	res, events := f.events(t, f.token(t, "c", "n", streamTopic))
	require.Equal(t, 200, res.StatusCode)
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache",
		"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Type",
	} {
		require.Equal(t, want, res.Header.Get(name))
	}
	line := func() string {
		text, err := events.ReadString('\n')
		require.NoError(t, err)
		return text
	}
	for range 3 {
		require.Equal(t, ":\n", line(), "at once and again and again")
		require.Equal(t, "\n", line())
	}
	data := func() string {
		for {
			if text := line(); text != ":\n" && text != "\n" {
				return text
			}
		}
	}
	f.publish(t, "channel=c&topic=n", `{"a": 1}`)
	require.Contains(t, data(), `data: {"kind":"data","data":{"a":1},`)
	status, _ := f.post(t, "/publish/tee?channel=c", "event: x\ndata: 5\n\n")
	require.Equal(t, 200, status)
	require.Equal(t, "event: x\n", data())
	require.Equal(t, "data: 5\n", data())
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(s *Server) { s.sseLifetime = time.Millisecond })
	_, events := f.events(t, f.token(t, "c", "n"))
	text, err := io.ReadAll(events)
	require.NoError(t, err, "in good order")
	require.Equal(t, ":\n\n", string(text))
	eventually(t, func() bool { return f.broker.subscriptions(runTopic("c", "n")) == 0 }, "the subscription ends")
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	token := f.token(t, "c", "n")
	socket := f.connect(t, token)
	_, events := f.events(t, token)

	f.Drain()
	f.Drain()
	require.Equal(t, `{"kind":"closing","data":null,"created_at":"2026-11-25T23:03:54.782920218Z","topic":""}`, socket.next())
	status, body := f.do(t, "GET", "/sse?token="+token, nil)
	require.Equal(t, 503, status)
	require.Equal(t, `{"error":"Server is shutting down","data":null,"status":503}`+"\n", body)

	f.publish(t, "channel=c&topic=n", "1")
	require.Equal(t, "1", string(socket.message().Data), "what is still published is delivered")
	f.publish(t, "channel=c&topic=n", "2")
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		f.Close(t.Context())
	}()
	require.Equal(t, "2", string(socket.message().Data))
	_, _, err := socket.read()
	var reason websocket.CloseError
	require.ErrorAs(t, err, &reason)
	require.Equal(t, websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "server is shutting down"}, reason)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Contains(t, string(text), `"data":2`)
	<-closed
	f.Close(t.Context())
}

func TestCloseCutsOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, "c", "n")) // reads nothing, so takes no part in closing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Close(ctx)
	_, _, err := socket.read()
	require.Error(t, err)
}

func TestSlowSubscribers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	token := f.token(t, "c", "n")
	quick, slow := f.connect(t, token), f.connect(t, token)
	_, events := f.events(t, token)

	// The slow ones' lines are filled as if they had not been written for long.
	f.hub.mu.Lock()
	feed := f.hub.feeds[runTopic("c", "n").subject()]
	f.hub.mu.Unlock()
	require.Len(t, feed.subscribers, 3)
	quick.send(map[string]any{"kind": "sub", "data": f.token(t, "c", "quick")})
	eventually(t, func() bool { return f.broker.subscriptions(runTopic("c", "quick")) == 1 }, "the quick one is marked")
	f.hub.mu.Lock()
	for sub := range feed.subscribers {
		if len(sub.feeds) == 1 {
			sub.mu.Lock()
			sub.frames = make([]frame, maxWaitingFrames)
			sub.mu.Unlock()
		}
	}
	f.hub.mu.Unlock()
	f.publish(t, "channel=c&topic=n", "1")
	require.Equal(t, "1", string(quick.message().Data), "others are not disturbed")
	_, _, err := slow.read()
	var reason websocket.CloseError
	require.ErrorAs(t, err, &reason)
	require.Equal(t, websocket.CloseError{Code: websocket.StatusTryAgainLater, Reason: "subscriber is too slow, messages were lost"}, reason)
	text, err := io.ReadAll(events)
	require.NoError(t, err)
	require.Equal(t, ":\n\n:subscriber is too slow, messages were lost\n\n", string(text))
	eventually(t, func() bool { return shown(t, f.Server)["jetstep_realtime_slow_subscribers_total"] == 2 }, "both are counted")
}

func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	sub := newSubscriber()
	sub.push(frame{body: make([]byte, maxWaitingBytes+1)})
	frames, slow := sub.take()
	require.Len(t, frames, 1, "however large, one fits in")
	require.False(t, slow)

	sub.push(frame{body: make([]byte, maxWaitingBytes)})
	sub.push(frame{body: make([]byte, 1)})
	sub.push(frame{body: make([]byte, 1)})
	frames, slow = sub.take()
	require.Empty(t, frames)
	require.True(t, slow)
}

func TestNoJoiningAfterLeaving(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	sub := newSubscriber()
	f.hub.leave(sub)
	require.NoError(t, f.hub.join(t.Context(), sub, []Topic{runTopic("c", "n")}))
	require.Zero(t, f.broker.subscriptions(runTopic("c", "n")))
}

// TestSilentSubscribers has a client that completes the handshake and then
// never answers.
func TestSilentSubscribers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(s *Server) { s.heartbeat = time.Millisecond })
	address, _, _ := strings.Cut(strings.TrimPrefix(f.url, "http://"), "/")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /v1/realtime/connect?token="+f.token(t, "c", "n")+" HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://elsewhere.example\r\n\r\n")
	require.NoError(t, err)
	answer := bufio.NewReader(conn)
	res, err := http.ReadResponse(answer, nil)
	require.NoError(t, err)
	require.Equal(t, 101, res.StatusCode, "any origin may connect")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var seen strings.Builder
	for !strings.HasSuffix(seen.String(), "no answer to pings") {
		c, err := answer.ReadByte()
		require.NoError(t, err, "%q", seen.String())
		seen.WriteByte(c)
	}
}
