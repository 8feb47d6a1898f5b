package driver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShownHeaders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header http.Header
		want   string
	}{
		"none": {nil, ""},
		"sorted, as spelled": {http.Header{"X-B": {"2"}, "Content-Type": {"a/b"}, "X-A": {`1"`}},
			`{"Content-Type":"a/b","X-A":"1\"","X-B":"2"}`},
		"several values": {http.Header{"Vary": {"a", "b"}, "Empty": {}}, `{"Empty":"","Vary":"a,b"}`},
		"no secrets": {http.Header{"Set-Cookie": {"s"}, "Authorization": {"s"}, "Proxy-Authorization": {"s"}, "Cookie": {"s"}, "A": {"1"}},
			`{"A":"1"}`},
		"nothing of the connection":            {http.Header{"Connection": {"keep-alive"}, "Keep-Alive": {"timeout=5"}, "Content-Length": {"1"}, "Date": {"d"}}, `{"Date":"d"}`},
		"nothing but what repeats the request": {http.Header{"Traceparent": {"1"}, "Tracestate": {"2"}, "X-Inngest-Signature": {"3"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, string(shownHeaders(c.header)))
		})
	}
}

func TestShownHeadersAreBounded(t *testing.T) {
	t.Parallel()
	header := http.Header{"A": {strings.Repeat("a", maxHeaders)}, "Z": {"z"}}
	require.JSONEq(t, `{"Z":"z"}`, string(shownHeaders(header)), "what fits is kept")
	for i := range 1000 {
		header.Set(fmt.Sprint("X-", i), "some value")
	}
	got := shownHeaders(header)
	require.True(t, json.Valid(got))
	require.LessOrEqual(t, len(got), maxHeaders)
	require.Greater(t, len(got), maxHeaders-64)
}

// database §11.4: what is kept of an answer is that of the envelope's inside.
func TestWhatIsKeptOfAnAnswer(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Inngest-Sdk": {"js:1"}, "Set-Cookie": {"s"}}
	r := Classify(Answer{Status: 200, Header: header, Body: []byte(`{"a":1}`)}, time.Now())
	require.Equal(t, 7, r.Size)
	require.Equal(t, `{"X-Inngest-Sdk":"js:1"}`, string(r.Headers))
	stream := Classify(Answer{Status: 201, Header: header, Body: []byte(`  {"status":200,"headers":{"x-b":"2"},"body":"[1]"}`)}, time.Now())
	require.Equal(t, 3, stream.Size)
	require.Equal(t, `{"X-B":"2","X-Inngest-Sdk":"js:1"}`, string(stream.Headers))
}
