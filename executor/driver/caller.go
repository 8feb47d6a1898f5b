// Package driver owns one call to an SDK endpoint over HTTP: it builds the
// exact request, makes it, and classifies the answer into typed values. It
// also makes the HTTP requests that Gateway and AIGateway ops ask for.
//
// It guarantees that every call ends in exactly one Kind of Response, whatever
// the other side sends, and that no answer makes it panic. Everything remote
// that goes wrong is a Response; an error means only that the caller's own
// context ended.
//
// It knows no queue, no state store and no NATS, keeps nothing between calls
// but connections, and decides nothing about what follows: whether to retry,
// what to store and what to enqueue is the executor's. The wire format is
// sdk-protocol §7 to §13.
package driver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"jetstep/executor/signing"
	"jetstep/function"
)

// Config configures a Caller. Zero durations and sizes mean the default.
type Config struct {
	// SigningKey signs requests, if set. While keys are rotated FallbackKey
	// signs those to apps that refuse the first, and both may sign answers.
	SigningKey  string
	FallbackKey string
	// RequireSigning refuses calls without a key and verifies signed answers.
	RequireSigning bool

	RequestTimeout   time.Duration // a whole call; default 2 h
	DialTimeout      time.Duration // default 30 s
	HandshakeTimeout time.Duration // TLS; default 15 s
	// IdleTimeout closes unused connections; the default of 4 s is below the
	// 5 s after which Node.js and uvicorn close them at their end.
	IdleTimeout     time.Duration
	MaxIdlePerHost  int               // connections; default 512
	Transport       http.RoundTripper // default: one made of the above
	Now             func() time.Time  // default time.Now
	MaxResponseBody int               // bytes, decompressed; default 8 MiB
}

// Defaults of Config (sdk-protocol §7.1, §21).
const (
	DefaultRequestTimeout   = 2 * time.Hour
	DefaultDialTimeout      = 30 * time.Second
	DefaultHandshakeTimeout = 15 * time.Second
	DefaultIdleTimeout      = 4 * time.Second
	DefaultMaxIdlePerHost   = 512
	DefaultMaxResponseBody  = 8 << 20
)

func (c Config) withDefaults() Config {
	setDefault(&c.RequestTimeout, DefaultRequestTimeout)
	setDefault(&c.DialTimeout, DefaultDialTimeout)
	setDefault(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	setDefault(&c.MaxIdlePerHost, DefaultMaxIdlePerHost)
	setDefault(&c.MaxResponseBody, DefaultMaxResponseBody)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = newTransport(c)
	}
	return c
}

func setDefault[T comparable](value *T, fallback T) {
	var unset T
	if *value == unset {
		*value = fallback
	}
}

// Caller calls SDK endpoints. It is safe for concurrent use.
type Caller struct {
	config    Config
	client    *http.Client
	endpoints endpoints
}

// New returns a Caller.
func New(config Config) *Caller {
	config = config.withDefaults()
	return &Caller{
		config: config,
		client: &http.Client{Transport: config.Transport, CheckRedirect: followRedirect},
	}
}

// Close closes idle connections. Calls in flight are not affected.
func (c *Caller) Close() { c.client.CloseIdleConnections() }

// Call makes one call and waits for its answer, up to RequestTimeout. The
// error is that of ctx and non-nil only if ctx ended.
func (c *Caller) Call(ctx context.Context, req *Request) (*Response, error) {
	started := c.config.Now()
	if c.config.RequireSigning && c.config.SigningKey == "" {
		r := failure("", "server requires that a signing key is set to run functions")
		r.NoRetry, r.URL = true, req.URL
		return r, nil
	}
	if req.Reentry != nil {
		return c.reenter(ctx, req, started)
	}
	endpoint, err := c.endpoints.get(req.URL)
	if err != nil {
		r := failure("", err.Error())
		r.URL = req.URL
		return r, nil
	}
	answer, err := c.send(ctx, endpoint, req, started)
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	now := c.config.Now()
	response := c.respond(answer, err, now)
	response.Duration, response.URL = now.Sub(started), endpoint.text(req.stepID())
	return response, nil
}

// send makes the call, and makes it again with the other key if the app refuses
// the signature, which it does before it runs anything. The key that an app
// took is the first for its next call.
func (c *Caller) send(ctx context.Context, endpoint *endpoint, req *Request, started time.Time) (Answer, error) {
	if c.config.FallbackKey == "" {
		return c.roundTrip(ctx, c.newCall(endpoint, req, c.config.SigningKey, started))
	}
	first, second := c.config.SigningKey, c.config.FallbackKey
	behind := endpoint.behind.Load()
	if behind {
		first, second = second, first
	}
	answer, err := c.roundTrip(ctx, c.newCall(endpoint, req, first, started))
	if err != nil || answer.Status != http.StatusUnauthorized {
		return answer, err
	}
	again, againErr := c.roundTrip(ctx, c.newCall(endpoint, req, second, c.config.Now()))
	if againErr != nil || again.Status == http.StatusUnauthorized {
		return answer, ctx.Err()
	}
	endpoint.behind.Store(!behind)
	return again, nil
}

func (c *Caller) respond(answer Answer, err error, now time.Time) *Response {
	if err != nil {
		trouble := describeTrouble(err)
		return failure(trouble.Code, trouble.Text)
	}
	classifier := classifier{now: now}
	if c.config.RequireSigning {
		classifier.keys = []string{c.config.SigningKey, c.config.FallbackKey}
	}
	return classifier.classify(answer)
}

// newCall builds the HTTP request of a call (sdk-protocol §7.1, §7.2).
func (c *Caller) newCall(endpoint *endpoint, req *Request, key string, now time.Time) *http.Request {
	body, _ := Body(req)
	u := endpoint.forStep(req.stepID())
	call := &http.Request{
		Method:        http.MethodPost,
		URL:           u,
		Host:          u.Host,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.callHeader(req, body, key, now),
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	call.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return call
}

var accountID = function.AccountID.String()

// userAgent is what SDKs know the server by.
const userAgent = "Inngest"

func (c *Caller) callHeader(req *Request, body []byte, key string, now time.Time) http.Header {
	traceparent, tracestate := req.Traceparent, req.Tracestate
	if traceparent == "" {
		traceparent = newTraceparent(req)
	}
	if tracestate == "" {
		tracestate = newTracestate(traceparent, req)
	}
	header := newHeader(16)
	header.add("Accept-Encoding", "gzip")
	header.add("Account-Id", accountID)
	header.add("Content-Type", "application/json")
	header.add("Traceparent", traceparent)
	header.add("Tracestate", tracestate)
	header.add("User-Agent", userAgent)
	header.add("X-Inngest-Generation-Id", strconv.Itoa(req.Generation))
	header.add("X-Inngest-Req-Version", strconv.Itoa(req.Version))
	header.add("X-Inngest-Step-Id", req.stepID())
	header.add("X-Run-Id", req.RunID.String())
	if req.JobID != "" {
		header.add("X-Inngest-Job-Id", req.JobID)
	}
	if req.RequestID != "" {
		header.add("X-Request-Id", req.RequestID)
	}
	if key != "" {
		header.add(signing.Header, signing.Sign(key, body, now))
	}
	// Lets the transport repeat the call when a kept connection turns out to
	// be closed; being empty it is not sent. Step ids make repeats harmless.
	header.values["Idempotency-Key"] = []string{}
	return header.values
}

// headerBuilder collects single-valued headers; their values share one array.
type headerBuilder struct {
	values  http.Header
	backing []string
}

func newHeader(size int) headerBuilder {
	return headerBuilder{values: make(http.Header, size), backing: make([]string, 0, size)}
}

// add sets a header. The name must be in canonical form.
func (h *headerBuilder) add(name, value string) {
	h.backing = append(h.backing, value)
	n := len(h.backing)
	h.values[name] = h.backing[n-1 : n : n]
}
