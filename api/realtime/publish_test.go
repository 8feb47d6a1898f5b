package realtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, "chan1", "topicA"))
	const head, tail = `{"kind":"data","data":`, `"created_at":"2026-11-25T23:03:54.782920218Z","channel":"chan1","env_id":"` + env + `","topic":"topicA"`
	for _, tt := range []struct{ query, body, want string }{
		{"", `{"a":1}`, head + `{"a":1},` + tail + `}`},
		{"&run_id=" + someRun.String() + "&metadata=" + url.QueryEscape(`{"m":1}`), `{"a":1}`,
			head + `{"a":1},"metadata":{"m":1},` + tail + `,"run_id":"01JQDAE4RQF8MBCR55T5AK4KZZ"}`},
		{"", `"text"`, head + `"text",` + tail + `}`},
		{"", `<b>& more`, head + `"<b>& more",` + tail + `}`},
		{"", ``, head + `"",` + tail + `}`},
		{"", "not \xff UTF-8", head + `"not � UTF-8",` + tail + `}`},
	} {
		f.publish(t, "channel=chan1&topic=topicA"+tt.query, tt.body)
		require.Equal(t, tt.want, socket.next())
	}

	f.publish(t, "channel=chan1&topic=topicB", "1")
	f.publish(t, "channel=chan2&topic=topicA", "2")
	f.publish(t, "channel=chan1&topic=topicB&topic=topicA", "3")
	require.Equal(t, "3", string(socket.message().Data), "of several topics, and of none but its own")
}

// What the server publishes for a step looks like what an app publishes.
func TestPublishResponse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, "chan1", "topicA"))
	require.NoError(t, f.PublishResponse(someRun, "chan1", "topicA", []byte(`{"a":1}`)))
	got := socket.message()
	require.Equal(t, kindData, got.Kind)
	require.Equal(t, &someRun, got.RunID)
	require.JSONEq(t, `{"a":1}`, string(got.Data))

	require.ErrorContains(t, f.PublishResponse(someRun, "chan1", "", []byte(`1`)), "topic is empty")
	large := []byte(`"` + strings.Repeat("x", maxMessage) + `"`)
	require.ErrorIs(t, f.PublishResponse(someRun, "chan1", "topicA", large), bus.ErrTooLarge)
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for _, tt := range []struct {
		query, body string
		status      int
		want        string
	}{
		{"topic=a", "", 400, `{"error":"channel query parameter required","data":null,"status":400}`},
		{"channel=a", "", 400, `{"error":"topic query parameter required","data":null,"status":400}`},
		{"channel=a&topic=a&topic=", "", 400, `{"error":"topic is empty","data":null,"status":400}`},
		{"channel=a" + strings.Repeat("&topic=a", maxTopics+1), "", 400, `{"error":"more than 1000 topics","data":null,"status":400}`},
		{"channel=a&topic=b&run_id=1", "", 400, `{"error":"run_id query parameter is not a ULID","data":null,"status":400}`},
		{"channel=a&topic=b&metadata=%7B", "", 400, `{"error":"metadata query parameter is not JSON","data":null,"status":400}`},
		{"channel=a&topic=b", strings.Repeat("x", maxMessage+1), 413, `{"error":"Message cannot exceed 524288 bytes","data":null,"status":413}`},
	} {
		status, body := f.post(t, "/publish?"+tt.query, tt.body)
		require.Equal(t, tt.status, status)
		require.Equal(t, tt.want+"\n", body)
	}
	f.broker.fail(fmt.Errorf("nats: %w", bus.ErrTooLarge))
	status, _ := f.post(t, "/publish?channel=a&topic=b", "")
	require.Equal(t, 413, status)
	f.broker.fail(errors.New("out of reach"))
	status, body := f.post(t, "/publish?channel=a&topic=b", "")
	require.Equal(t, 503, status)
	require.Equal(t, `{"error":"Unable to publish message","data":null,"status":503}`+"\n", body)
	status, _ = f.post(t, "/publish?channel=a&topic=b", "x", "Content-Type: text/stream")
	require.Equal(t, 503, status)
	status, body = f.post(t, "/publish/tee?channel=a", "x")
	require.Equal(t, 500, status)
	require.Equal(t, "Error forwarding data\n", body)
}

func TestPublishersAreAuthenticated(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, testKey)
	reader := f.token(t, "c", "n")
	claims, err := f.tokens.verify(reader)
	require.NoError(t, err)
	claims.Publish = true
	publisher, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(f.tokens.secrets[0])
	require.NoError(t, err)
	const stranger = "Authentication failed\n"
	const refused = "Not authenticated for publishing"
	for _, tt := range []struct {
		name, query, header string
		status              int
		json, text          string
	}{
		{"key", "", "Authorization: Bearer " + testKey, 200, "", ""},
		{"hashed key", "", "Authorization: bearer signkey-test-eb9bfb0760ae28afdd80e2a5354756b4b5c3bcfa0afc5e96b4ae7b36c8faa380", 200, "", ""},
		{"nothing", "", "X: y", 401, stranger, stranger},
		{"wrong key", "", "Authorization: Bearer abcdef", 401, stranger, stranger},
		{"subscriber", "&token=" + reader, "X: y", 401, `{"error":"` + refused + `","data":null,"status":401}` + "\n", refused + "\n"},
		{"publisher", "&token=" + publisher, "X: y", 200, "", ""},
		{"publisher with a header too short", "&token=" + publisher, "Authorization: Bearer", 200, "", ""},
		{"the header counts", "&token=" + publisher, "Authorization: Bearer abcdef", 401, stranger, stranger},
		{"publisher in the header", "", "Authorization: Bearer " + publisher, 200, "", ""},
	} {
		status, body := f.post(t, "/publish?channel=a&topic=b"+tt.query, "", tt.header)
		require.Equal(t, tt.status, status, tt.name)
		require.Equal(t, tt.json, body, tt.name)
		status, body = f.post(t, "/publish/tee?channel=a"+tt.query, "", tt.header)
		require.Equal(t, tt.status, status, tt.name)
		require.Equal(t, tt.text, body, tt.name)
	}
}

func TestPublishStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, "c", "n"))
	body, writer := io.Pipe()
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		status, text := f.do(t, "POST", "/publish?channel=c&topic=n&run_id="+someRun.String(), body, "Content-Type: text/stream; charset=utf-8")
		answered <- answer{status, text}
	}()
	start := socket.message()
	require.Equal(t, kindStreamStart, start.Kind)
	id := decode[string](t, string(start.Data))
	require.NotEmpty(t, id)
	require.Equal(t, someRun, *start.RunID)

	for _, piece := range []string{"first", "second <&>"} {
		_, err := writer.Write([]byte(piece))
		require.NoError(t, err)
		require.Equal(t, `{"kind":"chunk","stream_id":"`+id+`","data":"`+piece+`","channel":"c","topic":"n","run_id":"01JQDAE4RQF8MBCR55T5AK4KZZ"}`,
			socket.next(), "as it arrives")
	}
	long := strings.Repeat("a", maxChunk-1) + "€" + strings.Repeat("b", maxChunk)
	_, err := writer.Write([]byte(long))
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	var got strings.Builder
	for {
		text := socket.next()
		if decode[message](t, text).Kind == kindStreamEnd {
			require.Equal(t, start.Data, decode[message](t, text).Data)
			break
		}
		piece := decode[chunk](t, text).Data
		require.LessOrEqual(t, len(piece), maxChunk)
		got.WriteString(piece)
	}
	require.Equal(t, long, got.String(), "no character is cut in two")
	require.Equal(t, answer{200, ""}, <-answered)
}

func TestPublishStreamThatIsTooLong(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, "c", "n"))
	done := make(chan int)
	go func() {
		defer close(done)
		got := 0
		for text := socket.next(); decode[message](t, text).Kind != kindStreamEnd; text = socket.next() {
			if decode[message](t, text).Kind == kindChunk {
				got += len(decode[chunk](t, text).Data)
			}
		}
		done <- got
	}()
	status, body := f.do(t, "POST", "/publish?channel=c&topic=n", bytes.NewReader(bytes.Repeat([]byte("x"), maxStream+1)), "Content-Type: text/stream")
	require.Equal(t, 413, status)
	require.Contains(t, body, "Message cannot exceed 1024000 bytes")
	require.Equal(t, maxStream, <-done, "the end is told all the same")
}

func TestWholeRunes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a": 1, "a€": 4, "a\xe2": 1, "a\xe2\x82": 1, "a\xf0\x9f\x98": 1, "a\xf0\x9f\x98\x80": 5,
		"\x80\x80\x80\x80": 4, "a\xff": 2,
	} {
		require.Equal(t, want, wholeRunes([]byte(text)), "%q", text)
	}
}

func TestTee(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	socket := f.connect(t, f.token(t, someRun.String(), streamTopic))
	body, writer := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		status, _ := f.do(t, "POST", "/publish/tee?channel="+someRun.String(), body)
		answered <- status
	}()
	for _, piece := range []string{"event: x\ndata: 1\n\n", "RAW:", "\xff\x00"} {
		_, err := writer.Write([]byte(piece))
		require.NoError(t, err)
		kind, got, err := socket.read()
		require.NoError(t, err)
		require.Equal(t, piece, got)
		require.Equal(t, map[bool]string{true: "MessageText", false: "MessageBinary"}[piece[0] != '\xff'], kind.String())
	}
	require.NoError(t, writer.Close())
	require.Equal(t, 200, <-answered)

	for _, tt := range []struct {
		query, body string
		status      int
		want        string
	}{
		{"", "", 400, "channel query parameter required\n"},
		{"channel=" + strings.Repeat("x", maxNameBytes+1), "", 400, "channel exceeds 512 bytes\n"},
		{"channel=x", strings.Repeat("x", maxTee+1), 413, "Stream cannot exceed 1024000 bytes\n"},
	} {
		status, body := f.post(t, "/publish/tee?"+tt.query, tt.body)
		require.Equal(t, tt.status, status)
		require.Equal(t, tt.want, body)
	}
}
