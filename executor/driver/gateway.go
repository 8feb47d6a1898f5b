package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"jetstep/jcs"
)

// GatewayAnswer is the outcome of a gateway request.
type GatewayAnswer struct {
	Memo json.RawMessage // of the step
	Body json.RawMessage // as it came, a string if it is not JSON
	Sent
}

// Sent is what a gateway request got back, for the history.
type Sent struct {
	Status int // HTTP status, 0 if no answer came
	Size   int // bytes of the body
}

// GatewayError is a gateway request without a usable answer. While attempts
// remain the whole call is to be retried; then Memo ends the step.
type GatewayError struct {
	Name    string // "GatewayError" or "AIGatewayError"
	Message string
	Memo    json.RawMessage // {"error":{…}}, canonical
	Sent
	cause error
}

func (e *GatewayError) Error() string { return e.Message }

// Unwrap gives the cause, if any: among others the context's error when the
// request was given up because ctx ended.
func (e *GatewayError) Unwrap() error { return e.cause }

// Gateway makes the request of a Gateway op (sdk-protocol §12.9) and returns
// the step's memo. Any HTTP status is a success.
func (c *Caller) Gateway(ctx context.Context, opts GatewayOpts) (GatewayAnswer, *GatewayError) {
	var body []byte
	if opts.Body != "" {
		if body = []byte(opts.Body); !json.Valid(body) {
			body = jcs.AppendString(nil, opts.Body)
		}
	}
	req, err := newRemoteRequest(opts.Method, opts.URL, body)
	if err != nil {
		return GatewayAnswer{}, newGatewayError(err.Error(), err)
	}
	for name, value := range opts.Headers {
		req.Header.Set(name, value)
	}
	answer, err := c.roundTrip(ctx, req)
	if err != nil {
		return GatewayAnswer{}, newGatewayError(describeTrouble(err).Text, contextOr(ctx, err))
	}
	return GatewayAnswer{gatewayMemo(opts.URL, answer), jsonOrText(answer.Body), sentOf(answer)}, nil
}

func newGatewayError(reason string, cause error) *GatewayError {
	e := &GatewayError{Name: "GatewayError", Message: "Error making gateway request: " + reason, cause: cause}
	e.Memo = MemoError(&UserError{Name: e.Name, Message: e.Message})
	return e
}

// gatewayMemo is the memo of an answered gateway request (§13).
func gatewayMemo(url string, a Answer) json.RawMessage {
	b := append(make([]byte, 0, 256+len(a.Body)), `{"data":{"body":`...)
	b = jcs.AppendString(b, a.Body)
	b = append(b, `,"headers":{`...)
	names := make([]string, 0, len(a.Header))
	for name := range a.Header {
		names = append(names, name)
	}
	slices.SortFunc(names, jcs.Compare[string])
	for i, name := range names {
		b = append(jcs.AppendString(appendComma(b, i), name), ':')
		b = jcs.AppendString(b, strings.Join(a.Header[name], ","))
	}
	b = append(b, `},"status_code":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = jcs.AppendString(append(b, `,"url":`...), url)
	return append(b, `}}`...)
}

// AIGateway makes the request of an AIGateway op (sdk-protocol §12.10) and
// returns the step's memo. A status above 299 is an error.
func (c *Caller) AIGateway(ctx context.Context, opts AIGatewayOpts) (GatewayAnswer, *GatewayError) {
	req, err := newAIRequest(opts)
	if err != nil {
		return GatewayAnswer{}, newAIGatewayError(err.Error(), aiNoAnswer, err)
	}
	answer, err := c.roundTrip(ctx, req)
	if err != nil {
		return GatewayAnswer{}, newAIGatewayError(describeTrouble(err).Text, aiNoAnswer, contextOr(ctx, err))
	}
	if answer.Status > 299 {
		failed := newAIGatewayError("unsuccessful status code: "+strconv.Itoa(answer.Status), answer.Body, nil)
		failed.Sent = sentOf(answer)
		return GatewayAnswer{}, failed
	}
	body := jsonOrText(answer.Body)
	memo, err := MemoData(body)
	if err != nil {
		failed := newAIGatewayError(err.Error(), answer.Body, err)
		failed.Sent = sentOf(answer)
		return GatewayAnswer{}, failed
	}
	return GatewayAnswer{memo, body, sentOf(answer)}, nil
}

func sentOf(a Answer) Sent { return Sent{a.Status, len(a.Body)} }

// aiNoAnswer stands for the body of an answer that never came.
var aiNoAnswer = []byte(`{"error":"Error making AI request"}`)

func newAIGatewayError(reason string, body []byte, cause error) *GatewayError {
	e := &GatewayError{Name: "AIGatewayError", Message: "Error making AI request: " + reason, cause: cause}
	e.Memo = MemoError(&UserError{Name: e.Name, Message: e.Message, Stack: string(body), Data: jsonOrText(body)})
	return e
}

// newAIRequest builds the request; how the key is sent depends on the format.
// Headers of the SDK are added to, not put in place of, those set here.
func newAIRequest(opts AIGatewayOpts) (*http.Request, error) {
	target := opts.URL
	if opts.Format == "gemini" {
		parsed, err := url.Parse(target)
		if err != nil {
			return nil, fmt.Errorf("parse URL: %w", err)
		}
		query := parsed.Query()
		query.Set("key", opts.AuthKey)
		parsed.RawQuery = query.Encode()
		target = parsed.String()
	}
	req, err := newRemoteRequest(http.MethodPost, target, opts.Body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	switch opts.Format {
	case "gemini":
	case "anthropic":
		req.Header.Set("X-Api-Key", opts.AuthKey)
	case "bedrock":
		req.Header.Set("Authorization", opts.AuthKey)
	default:
		req.Header.Set("Authorization", "Bearer "+opts.AuthKey)
	}
	for name, value := range opts.Headers {
		req.Header.Add(name, value)
	}
	return req, nil
}

func newRemoteRequest(method, url string, body []byte) (*http.Request, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "gzip")
	return req, nil
}

// jsonOrText is body if it is JSON, else a JSON string of it; null if empty.
func jsonOrText(body []byte) json.RawMessage {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return MemoNull
	case json.Valid(body):
		return body
	default:
		return jcs.AppendString(nil, body)
	}
}

// contextOr is ctx's error if ctx ended, else err.
func contextOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
