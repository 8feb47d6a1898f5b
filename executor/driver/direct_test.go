package driver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// appAt serves connections by hand: handle answers each request, given the number
// of the connection and that of the request on it, until it returns false.
func appAt(t *testing.T, handle func(conn net.Conn, n, request int) bool) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go serveConnections(listener, func(conn net.Conn, n int) {
		reader := bufio.NewReader(conn)
		for request := 0; ; request++ {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if !handle(conn, n, request) {
				return
			}
		}
	})
	return "http://" + listener.Addr().String()
}

const sdkHead = "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: go:v1\r\n"

// The answers after which a connection serves the next call, and those after
// which it does not.
func TestDirectKeepsConnections(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer string
		closes bool // the app closes the connection after it
		kept   bool
	}{
		"sized":            {answer: sdkHead + "Content-Length: 2\r\n\r\n{}", kept: true},
		"empty":            {answer: sdkHead + "Content-Length: 0\r\n\r\n", kept: true},
		"chunked":          {answer: sdkHead + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", kept: true},
		"no content":       {answer: "HTTP/1.1 204 No Content\r\nX-Inngest-Sdk: go:v1\r\n\r\n", kept: true},
		"after early ones": {answer: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + sdkHead + "Content-Length: 2\r\n\r\n{}", kept: true},
		"said to close":    {answer: sdkHead + "Connection: close\r\nContent-Length: 2\r\n\r\n{}"},
		"too much":         {answer: sdkHead + "Content-Length: 2\r\n\r\n{}{}"},
		"until the end":    {answer: sdkHead + "\r\n{}", closes: true},
		"HTTP/1.0":         {answer: "HTTP/1.0 200 OK\r\nX-Inngest-Sdk: go:v1\r\nContent-Length: 2\r\n\r\n{}", closes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int64
			url := appAt(t, func(conn net.Conn, n, _ int) bool {
				connections.Store(int64(n) + 1)
				_, _ = io.WriteString(conn, tc.answer)
				return !tc.closes
			})
			caller := newCaller(t, Config{})
			for range 3 {
				require.Equal(t, KindDone, call(t, caller, url).Kind)
			}
			want := int64(3)
			if tc.kept {
				want = 1
			}
			require.Equal(t, want, connections.Load())
		})
	}
}

// A call is repeated only while nothing of its answer has come.
func TestDirectDoesNotRepeatAnAnsweredCall(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	url := appAt(t, func(conn net.Conn, _, request int) bool {
		calls.Add(1)
		if request == 0 {
			_, _ = io.WriteString(conn, sdkHead+"Content-Length: 2\r\n\r\n{}")
			return true
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200")
		return false
	})
	caller := newCaller(t, Config{})
	require.Equal(t, KindDone, call(t, caller, url).Kind)
	require.Equal(t, textResetReading, call(t, caller, url).ErrorText)
	require.EqualValues(t, 2, calls.Load())
}

func TestDirectClosesIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 10)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go serveConnections(listener, func(conn net.Conn, _ int) {
		reader := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(reader)
			if err != nil {
				closed <- struct{}{}
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(conn, sdkHead+"Content-Length: 2\r\n\r\n{}")
		}
	})
	url := "http://" + listener.Addr().String()

	brief := newCaller(t, Config{IdleTimeout: time.Millisecond})
	require.Equal(t, KindDone, call(t, brief, url).Kind)
	<-closed

	long := newCaller(t, Config{IdleTimeout: time.Hour})
	require.Equal(t, KindDone, call(t, long, url).Kind)
	long.Close()
	<-closed

	none := newCaller(t, Config{MaxIdlePerHost: -1})
	require.Equal(t, KindDone, call(t, none, url).Kind)
	<-closed
}

func TestDirectLimitsHeaders(t *testing.T) {
	t.Parallel()
	url := appAt(t, func(conn net.Conn, _, _ int) bool {
		_, err := io.WriteString(conn, sdkHead)
		for err == nil {
			_, err = io.WriteString(conn, "X-Long: "+strings.Repeat("x", 64<<10)+"\r\n")
		}
		return false
	})
	require.Equal(t, textOther, call(t, newCaller(t, Config{}), url).ErrorText)
}

// A call ends with its context, before the answer and within it.
func TestDirectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{"no answer": "", "half an answer": sdkHead + "Content-Length: 2\r\n\r\n{"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			url := appAt(t, func(conn net.Conn, _, _ int) bool {
				_, _ = io.WriteString(conn, head)
				close(asked)
				_, _ = io.Copy(io.Discard, conn)
				return false
			})
			caller := newCaller(t, Config{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			_, err := caller.Call(ctx, smallRequest(url))
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// What direct is not made for goes to http.Transport.
func TestDirectTakes(t *testing.T) {
	t.Parallel()
	d := newDirect(Config{}, nil, roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("next") }))
	request := func(url string, size int) *http.Request {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(strings.Repeat("x", size)))
		require.NoError(t, err)
		r.Header["Idempotency-Key"] = []string{}
		return r
	}
	require.True(t, d.takes(request("http://app/api", 10)))
	for _, r := range []*http.Request{
		request("https://app/api", 10), request("http://äpp/api", 10), request("http://app/api", maxDirectBody+1), request("http://app/api", 0),
	} {
		require.False(t, d.takes(r))
	}
	once := request("http://app/api", 10)
	once.Header.Del("Idempotency-Key")
	_, err := d.RoundTrip(once)
	require.EqualError(t, err, "next")

	require.Equal(t, "app:80", addressOf(request("http://app/", 1).URL))
	require.Equal(t, "[::1]:8080", addressOf(request("http://[::1]:8080/", 1).URL))
}
