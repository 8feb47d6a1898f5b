package realtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 11, 25, 23, 3, 54, 782_920_218, time.UTC)

const (
	env      = "00000000-0000-4000-b000-000000000000"
	testKey  = "signkey-prod-abcdef0123456789"
	patience = 20 * time.Second
)

// fixture is a server on a broker in memory.
type fixture struct {
	*Server
	broker *memoryBroker
	url    string
}

// newFixture starts a server that ends with the test. change may be nil.
func newFixture(t *testing.T, change func(*Server), keys ...string) *fixture {
	t.Helper()
	f := &fixture{broker: &memoryBroker{feeds: map[string][]*memoryFeed{}}}
	f.Server = New(Config{Broker: f.broker, SigningKeys: keys, Now: func() time.Time { return now }})
	if change != nil {
		change(f.Server)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/realtime/token", f.CreateToken)
	mux.HandleFunc("POST /v1/realtime/publish", f.Publish)
	mux.HandleFunc("POST /v1/realtime/publish/tee", f.Tee)
	mux.HandleFunc("GET /v1/realtime/connect", f.Connect)
	mux.HandleFunc("GET /v1/realtime/sse", f.SSE)
	server := httptest.NewServer(mux)
	f.url = server.URL + "/v1/realtime"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f.Close(ctx)
		server.Close()
	})
	return f
}

// token is for topics of one channel.
func (f *fixture) token(t *testing.T, channel string, names ...string) string {
	t.Helper()
	var topics []Topic
	for _, name := range names {
		topics = append(topics, runTopic(channel, name))
	}
	token, err := f.tokens.mint(topics, time.Minute)
	require.NoError(t, err)
	return token
}

// do sends a request and returns status and body; header is "Name: value".
func (f *fixture) do(t *testing.T, method, path string, body io.Reader, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, body)
	require.NoError(t, err)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func (f *fixture) post(t *testing.T, path, body string, header ...string) (int, string) {
	t.Helper()
	return f.do(t, http.MethodPost, path, strings.NewReader(body), header...)
}

// publish sends a message, which has to succeed.
func (f *fixture) publish(t *testing.T, query, body string) {
	t.Helper()
	status, answer := f.post(t, "/publish?"+query, body)
	require.Equal(t, 200, status, answer)
	require.Empty(t, answer)
}

// socket is a subscriber over a WebSocket.
type socket struct {
	t    *testing.T
	conn *websocket.Conn
}

func (f *fixture) connect(t *testing.T, token string) socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, f.url+"/connect?token="+token, nil)
	require.NoError(t, err)
	conn.SetReadLimit(maxMessage * 2)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return socket{t, conn}
}

// read returns the next frame.
func (s socket) read() (websocket.MessageType, string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	kind, body, err := s.conn.Read(ctx)
	return kind, string(body), err
}

func (s socket) next() string {
	s.t.Helper()
	_, body, err := s.read()
	require.NoError(s.t, err)
	return body
}

func (s socket) message() message {
	s.t.Helper()
	return decode[message](s.t, s.next())
}

func (s socket) send(v any) {
	s.t.Helper()
	body, err := json.Marshal(v)
	require.NoError(s.t, err)
	require.NoError(s.t, s.conn.Write(s.t.Context(), websocket.MessageText, body))
}

// events opens a stream of server-sent events.
func (f *fixture) events(t *testing.T, token string) (*http.Response, *bufio.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/sse", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res, bufio.NewReader(res.Body)
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond, what)
}

// memoryBroker delivers in the publisher's goroutine.
type memoryBroker struct {
	mu    sync.Mutex
	feeds map[string][]*memoryFeed
	err   error // of all calls
}

type memoryFeed struct{ deliver func([]byte) }

func (b *memoryBroker) PublishRealtime(subject string, message []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.feeds[subject] {
		f.deliver(bytes.Clone(message))
	}
	return b.err
}

func (b *memoryBroker) SubscribeRealtime(subject string, deliver func([]byte)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	feed := &memoryFeed{deliver}
	b.feeds[subject] = append(b.feeds[subject], feed)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.feeds[subject] = slices.DeleteFunc(b.feeds[subject], func(f *memoryFeed) bool { return f == feed })
	}, nil
}

func (b *memoryBroker) FlushRealtime(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *memoryBroker) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// subscriptions counts those of a topic.
func (b *memoryBroker) subscriptions(t Topic) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.feeds[t.subject()])
}

var someRun = ulid.MustParse("01JQDAE4RQF8MBCR55T5AK4KZZ")
