package driver

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// direct makes calls over plain HTTP/1.1 in the goroutine of whoever calls.
// http.Transport has two more for each connection, and hands a request and its
// answer from one to the other, which costs more than all else in a call of an app
// nearby. What direct is not made for goes to next: see takes.
//
// Nobody reads from a connection that is not used. One that the app has closed
// is found out by the next call, which is then made again on a new one: as
// http.Transport does it for requests that may be repeated, and only those come here.
type direct struct {
	next        http.RoundTripper
	dial        dialer
	idleTimeout time.Duration
	maxIdle     int // connections for each address

	mu   sync.Mutex
	idle map[string][]*directConn // by address, the one that was used last at the end
	// sweeping is set while a timer runs that closes what was idle for too long.
	sweeping bool
}

const (
	// maxDirectBody bounds a request's body, in bytes: it fits into the buffers of
	// a connection, so that writing it does not depend on the app to read it.
	maxDirectBody = 64 << 10
	// maxAnswerHeader bounds the headers of an answer, in bytes, as in
	// http.Transport.
	maxAnswerHeader = 10 << 20
)

// dialer opens a connection, as (*net.Dialer).DialContext does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newDirect(c Config, dial dialer, next http.RoundTripper) *direct {
	return &direct{next: next, dial: dial, idleTimeout: c.IdleTimeout, maxIdle: c.MaxIdlePerHost, idle: map[string][]*directConn{}}
}

// takes tells whether a request is one for direct: to a plain host, small, and
// marked by an Idempotency-Key as one that may be repeated.
func (d *direct) takes(req *http.Request) bool {
	_, repeatable := req.Header["Idempotency-Key"]
	return repeatable && req.URL.Scheme == "http" && req.GetBody != nil &&
		req.ContentLength > 0 && req.ContentLength <= maxDirectBody && isASCII(req.URL.Host)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if !d.takes(req) {
		return d.next.RoundTrip(req)
	}
	ctx, address := req.Context(), addressOf(req.URL)
	if conn := d.reuse(address); conn != nil {
		resp, err := conn.roundTrip(req)
		if err == nil || conn.answered || ctx.Err() != nil {
			return resp, err
		}
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again := *req
		again.Body = body
		req = &again
	}
	plain, err := d.dial(ctx, "tcp", address)
	if err != nil {
		_ = req.Body.Close()
		return nil, err
	}
	return newDirectConn(d, address, plain).roundTrip(req)
}

// addressOf is where to connect to for a URL of http.
func addressOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// reuse is a kept connection, nil if there is none.
func (d *direct) reuse(address string) *directConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.idle[address]
	if len(kept) == 0 {
		return nil
	}
	conn := kept[len(kept)-1]
	kept[len(kept)-1] = nil
	d.idle[address] = kept[:len(kept)-1]
	return conn
}

// keep takes a connection whose answer was read to its end.
func (d *direct) keep(c *directConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.idle[c.address]
	if len(kept) >= d.maxIdle {
		c.close()
		return
	}
	c.since = time.Now()
	d.idle[c.address] = append(kept, c)
	if !d.sweeping {
		d.sweeping = true
		time.AfterFunc(d.idleTimeout, d.sweep)
	}
}

// sweep closes what has been idle for too long, and comes again while anything
// is idle.
func (d *direct) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, next := time.Now(), time.Duration(-1)
	for address, kept := range d.idle {
		old := 0
		for old < len(kept) && now.Sub(kept[old].since) >= d.idleTimeout {
			kept[old].close()
			old++
		}
		if kept = append(kept[:0:0], kept[old:]...); len(kept) == 0 {
			delete(d.idle, address)
			continue
		}
		d.idle[address] = kept
		if left := d.idleTimeout - now.Sub(kept[0].since); next < 0 || left < next {
			next = left
		}
	}
	if d.sweeping = next >= 0; d.sweeping {
		time.AfterFunc(next, d.sweep)
	}
}

// CloseIdleConnections is what http.Client looks for.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	for _, kept := range d.idle {
		for _, c := range kept {
			c.close()
		}
	}
	clear(d.idle)
	d.mu.Unlock()
	if next, ok := d.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// directConn is a connection, used by one call at a time.
type directConn struct {
	of       *direct
	address  string
	conn     net.Conn
	reader   *bufio.Reader // from the directConn itself
	writer   *bufio.Writer
	since    time.Time // idle
	left     int64     // bytes that may be read
	answered bool      // something of the present call's answer has come
}

func newDirectConn(d *direct, address string, conn net.Conn) *directConn {
	c := &directConn{of: d, address: address, conn: conn, writer: bufio.NewWriter(conn)}
	c.reader = bufio.NewReader(c)
	return c
}

func (c *directConn) close() { _ = c.conn.Close() } // nothing is lost with it

var errLongHeader = errors.New("the headers of the answer are too long")

// Read implements io.Reader for the connection's reader.
func (c *directConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongHeader
	}
	n, err := c.conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// longAgo is a deadline that ends what is under way.
var longAgo = time.Unix(1, 0)

// roundTrip makes one call. After an error the connection is closed.
func (c *directConn) roundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	release := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(longAgo) })
	resp, err := c.exchange(req)
	if err != nil {
		release()
		c.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	body := &directBody{ReadCloser: resp.Body, conn: c, ctx: ctx, release: release}
	body.keep = !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols
	body.ended = resp.Body == http.NoBody
	resp.Body = body
	return resp, nil
}

// exchange sends a request and reads the answer's head.
func (c *directConn) exchange(req *http.Request) (*http.Response, error) {
	c.answered, c.left = false, maxAnswerHeader
	err := req.Write(c.writer)
	if err == nil {
		err = c.writer.Flush()
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.reader.Peek(1); err != nil {
		return nil, err
	}
	c.answered = true
	for {
		resp, err := http.ReadResponse(c.reader, req)
		if err != nil {
			return nil, err
		}
		if informs := resp.StatusCode >= 100 && resp.StatusCode < 200; !informs || resp.StatusCode == http.StatusSwitchingProtocols {
			c.left = math.MaxInt64
			return resp, nil
		}
	}
}

// directBody is the body of an answer. Once it was read to its end and closed
// its connection is free for another call.
type directBody struct {
	io.ReadCloser
	conn    *directConn
	ctx     context.Context // of the request
	release func() bool     // ends the watch over ctx; false if that has ended
	keep    bool
	ended   bool // read to its end
	closed  bool
}

func (b *directBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.ended = true
	case err != nil && b.ctx.Err() != nil:
		err = b.ctx.Err()
	}
	return n, err
}

// Close implements io.Closer.
func (b *directBody) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	free := b.release() && b.ended && b.keep && b.conn.reader.Buffered() == 0
	if free {
		b.conn.of.keep(b.conn)
	} else {
		b.conn.close()
	}
	return nil
}
