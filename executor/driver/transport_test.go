package driver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

func TestCallDecodesAnswers(t *testing.T) {
	t.Parallel()
	const text = `{"a":1}`
	encode := map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"br":   func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	}
	url := sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		encoding := r.URL.Query().Get("encoding")
		w.Header().Set("Content-Encoding", encoding)
		switch body := r.URL.Query().Get("body"); {
		case body != "":
			_, _ = io.WriteString(w, body)
		case encode[encoding] != nil:
			encoder := encode[encoding](w)
			_, _ = io.WriteString(encoder, text)
			_ = encoder.Close()
		case encoding == "identity":
			_, _ = io.WriteString(w, text)
		}
	})
	caller := newCaller(t, Config{})
	for _, encoding := range []string{"gzip", "br", "identity"} {
		require.Equal(t, text, string(call(t, caller, url+"?encoding="+encoding).Output), encoding)
	}
	require.Equal(t, KindDone, call(t, caller, url+"?encoding=gzip&body=").Kind)
	r := call(t, caller, url+"?encoding=zstd")
	require.Equal(t, `Error performing request to SDK URL: unsupported content encoding: "zstd"`, r.ErrorText)
	require.Equal(t, textOther, call(t, caller, url+"?encoding=gzip&body=notgzipped").ErrorText)
}

func TestCallAcceptsAnEmptyGzipAnswer(t *testing.T) {
	t.Parallel()
	url := sdkAt(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") })
	r := call(t, newCaller(t, Config{}), url)
	require.Equal(t, KindDone, r.Kind)
	require.Nil(t, r.Output)
}

func TestCallLimitsAnswers(t *testing.T) {
	t.Parallel()
	const limit = 1000
	url := sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		body := bytes.Repeat([]byte("1"), len(r.URL.Query().Get("size")))
		switch r.URL.Query().Get("as") {
		case "chunked":
			w.(http.Flusher).Flush()
		case "gzip":
			w.Header().Set("Content-Encoding", "gzip")
			encoder := gzip.NewWriter(w)
			_, _ = encoder.Write(body)
			_ = encoder.Close()
			return
		}
		_, _ = w.Write(body)
	})
	caller := newCaller(t, Config{MaxResponseBody: limit})
	for _, as := range []string{"sized", "chunked", "gzip"} {
		within := call(t, caller, url+"?as="+as+"&size="+strings.Repeat("x", limit))
		require.Equal(t, KindDone, within.Kind, as)
		require.Len(t, within.Output, limit)

		beyond := call(t, caller, url+"?as="+as+"&size="+strings.Repeat("x", limit+1))
		require.Equal(t, "output_too_large", beyond.Code, as)
		require.Equal(t, "Your function's response body exceeds the maximum size limit", beyond.ErrorText)
		require.Equal(t, `{"error":"output_too_large","message":"Your function's response body exceeds the maximum size limit","name":"Error"}`, string(beyond.Error.JSON()))
		require.False(t, beyond.NoRetry)
	}
}

func TestCallFollowsRedirects(t *testing.T) {
	t.Parallel()
	type hop struct{ method, uri, signature, body string }
	hops := make(chan hop, 100)
	url := sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		hops <- hop{r.Method, r.RequestURI, r.Header.Get(signing.Header), string(body)}
		switch r.URL.Path {
		case "/307":
			http.Redirect(w, r, "/target?second=1&fnId=other", http.StatusTemporaryRedirect)
		case "/302":
			http.Redirect(w, r, "/target", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusPermanentRedirect)
		case "/nowhere":
			w.WriteHeader(http.StatusFound)
		default:
			_, _ = io.WriteString(w, `"ok"`)
		}
	})
	caller := newCaller(t, Config{SigningKey: testKey})

	require.Equal(t, KindDone, call(t, caller, url+"/307?fnId=fake-redir").Kind)
	first, second := <-hops, <-hops
	require.Equal(t, hop{"POST", "/target?fnId=fake-redir&second=1&stepId=step", first.signature, first.body}, second)
	require.NotEmpty(t, second.body)
	require.NotEmpty(t, second.signature)

	require.Equal(t, KindDone, call(t, caller, url+"/302?fnId=f").Kind)
	<-hops
	second = <-hops
	require.Equal(t, "GET", second.method)
	require.Empty(t, second.body)

	require.Equal(t, textOther, call(t, caller, url+"/loop").ErrorText)
	require.Len(t, hops, maxRedirects+1)

	require.Equal(t, "invalid status code: 302", call(t, caller, url+"/nowhere").ErrorText)
}

// A server that closes kept connections must not fail the next call.
func TestCallRepeatsOnAStaleConnection(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	const answer = "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: go:v1\r\nContent-Length: 2\r\n\r\n{}"
	go serveConnections(listener, func(conn net.Conn, n int) {
		reader := bufio.NewReader(conn)
		for request := 0; ; request++ {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if n == 0 && request == 1 {
				return // the second request on the first connection gets no answer
			}
			_, _ = io.WriteString(conn, answer)
		}
	})
	caller := newCaller(t, Config{})
	for range 3 {
		require.Equal(t, KindDone, call(t, caller, "http://"+listener.Addr().String()).Kind)
	}
}

// serveConnections hands each connection, with its number, to handle and
// closes it afterwards.
func serveConnections(listener net.Listener, handle func(conn net.Conn, n int)) {
	for n := 0; ; n++ {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			handle(conn, n)
		}()
	}
}

func TestCallReportsTransportTrouble(t *testing.T) {
	t.Parallel()
	readRequest := func(conn net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}
	for name, tc := range map[string]struct {
		serve func(net.Conn, int)
		want  string
	}{
		"closed before headers": {func(conn net.Conn, _ int) { readRequest(conn) }, textUnreachable},
		"cut in the body": {func(conn net.Conn, _ int) {
			readRequest(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Inngest-Sdk: x\r\nContent-Length: 10\r\n\r\n{}")
		}, textResetReading},
		"reset while waiting": {func(conn net.Conn, _ int) {
			readRequest(conn)
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, textResetReading},
		"not HTTP": {func(conn net.Conn, _ int) {
			readRequest(conn)
			_, _ = io.WriteString(conn, "hello\r\n\r\n")
		}, textOther},
		"never ends": {func(conn net.Conn, _ int) {
			readRequest(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}, "Your server returned HTTP 101 before the SDK responded."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			go serveConnections(listener, tc.serve)
			r := call(t, newCaller(t, Config{}), "http://"+listener.Addr().String())
			require.Equal(t, KindError, r.Kind)
			require.Equal(t, tc.want, r.ErrorText)
			require.False(t, r.NoRetry)
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		r := call(t, newCaller(t, Config{}), "http://"+listener.Addr().String())
		require.Equal(t, "Unable to reach SDK URL", r.ErrorText)
		require.Equal(t, `{"error":"Unable to reach SDK URL","message":"Unable to reach SDK URL","name":"Error"}`, string(r.Error.JSON()))
	})
	t.Run("TLS handshake", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go serveConnections(listener, func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) })
		r := call(t, newCaller(t, Config{HandshakeTimeout: time.Millisecond}), "https://"+listener.Addr().String())
		require.Equal(t, "Your server didn't complete the TLS handshake in time", r.ErrorText)
	})
}

// roundTripper is a transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDescribeTrouble(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, textUnreachable},
		{&net.DNSError{Err: "timeout", IsTimeout: true}, textUnreachable},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, textUnreachable},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, textUnreachable},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, textTimeout},
		{&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, textTimeout},
		{&net.OpError{Op: "write", Err: syscall.ECONNRESET}, textResetSending},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, textResetSending},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, textResetReading},
		{fmt.Errorf("read: %w", net.ErrClosed), textClosed},
		{fmt.Errorf("http: server closed idle connection"), textClosed},
		{fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", io.ErrUnexpectedEOF), textResetReading},
		{fmt.Errorf("something else"), textOther},
	} {
		caller := New(Config{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, tc.err })})
		require.Equal(t, tc.want, call(t, caller, "http://h/").ErrorText, tc.err.Error())
	}
}
