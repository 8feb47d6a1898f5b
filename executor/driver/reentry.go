package driver

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"jetstep/executor/signing"
	"jetstep/jcs"
)

// Reentry makes a call repeat the request that began a run of a durable
// endpoint (sdk-protocol §19.6). The SDK finds the run's id in the headers,
// fetches events and memos by API and answers with ops; nothing of the rest of
// a Request but ids, StepID and DisableImmediateExecution is sent.
type Reentry struct {
	Method      string
	Body        []byte
	ContentType string
	// SDK is what the app runs on: SDKs sign different things.
	SDK string
}

// IsGo tells whether an app runs on the Go SDK, which of all headers sends
// only that of its HTTP client.
func IsGo(sdk string) bool { return strings.HasPrefix(sdk, "go") }

// signed is what the signature of a re-entry is made of: the body, as SDKs see
// it. The TypeScript SDK reads bodies of POST and PUT only, parses them, and
// verifies their canonical form. The Go SDK means to verify the canonical form
// of the run's id, which has none: it verifies that of nothing.
func (r *Reentry) signed() []byte {
	if IsGo(r.SDK) || r.Method != http.MethodPost && r.Method != http.MethodPut {
		return nil
	}
	if canonical, err := jcs.Canonicalize(r.Body); err == nil {
		return canonical
	}
	return r.Body
}

// reenter is Call for a Reentry.
func (c *Caller) reenter(ctx context.Context, req *Request, started time.Time) (*Response, error) {
	answer, err := c.repeat(ctx, req, c.config.SigningKey)
	if err == nil && answer.Status == http.StatusUnauthorized && c.config.FallbackKey != "" {
		answer, err = c.repeat(ctx, req, c.config.FallbackKey)
	}
	if ctx.Err() != nil && err != nil {
		return nil, ctx.Err()
	}
	now := c.config.Now()
	response := c.respond(answer, err, now)
	response.Duration, response.URL = now.Sub(started), req.URL
	if response.Kind == KindDone {
		// The endpoint went through to its end and answered as it would its
		// own client.
		response.Output = resultOf(answer).JSON()
	}
	return response, nil
}

func (c *Caller) repeat(ctx context.Context, req *Request, key string) (Answer, error) {
	call, err := http.NewRequestWithContext(ctx, req.Reentry.Method, req.URL, bytes.NewReader(req.Reentry.Body))
	if err != nil {
		return Answer{}, err
	}
	call.Header = c.reentryHeader(req, key)
	return c.roundTrip(ctx, call)
}

func (c *Caller) reentryHeader(req *Request, key string) http.Header {
	traceparent := newTraceparent(req)
	header := newHeader(12)
	header.add("Accept-Encoding", "gzip")
	if req.Reentry.ContentType != "" {
		header.add("Content-Type", req.Reentry.ContentType)
	}
	header.add("Traceparent", traceparent)
	header.add("Tracestate", newTracestate(traceparent, req))
	header.add("User-Agent", userAgent)
	header.add("X-Inngest-Generation-Id", strconv.Itoa(req.Generation))
	header.add("X-Inngest-Job-Id", req.JobID)
	header.add("X-Inngest-Req-Version", strconv.Itoa(req.Version))
	header.add("X-Request-Id", req.RequestID)
	header.add("X-Run-Id", req.RunID.String())
	if req.DisableImmediateExecution {
		header.add("X-Inngest-Force-Step-Plan", "true")
	}
	if id := req.stepID(); id != DiscoveryStep {
		header.add("X-Inngest-Step-Id", id)
	}
	signature := "" // sent all the same: it is how SDKs tell this from a client's request
	if key != "" {
		signature = signing.Sign(key, req.Reentry.signed(), c.config.Now())
	}
	header.values[signing.Header] = []string{signature}
	return header.values
}
