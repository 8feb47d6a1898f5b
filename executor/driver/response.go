package driver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"jetstep/executor/signing"
	"jetstep/jcs"
)

// Kind is what became of a call.
type Kind uint8

// A call ends in one of these.
const (
	KindError Kind = iota // the function failed, or could not be called
	KindSteps             // 206: Ops tells how to go on
	KindDone              // the function finished; Output is its result
)

func (k Kind) String() string {
	switch k {
	case KindSteps:
		return "steps"
	case KindDone:
		return "done"
	default:
		return "error"
	}
}

// Response is the classified answer to a call (sdk-protocol §9).
type Response struct {
	Kind   Kind
	Status int // HTTP status, of the envelope for a stream; 0 if none came

	Ops    []Opcode        // KindSteps; may be empty, see Idle
	Output json.RawMessage // result or error output (§9.4); nil if none

	Error     *RunError // KindError only
	ErrorText string    // KindError only: what went wrong, in short
	Code      string    // of a driver error, as "output_too_large"; else ""

	// NoRetry tells that the SDK forbids a retry. With KindSteps it applies to
	// StepError ops and to failures while handling the ops (§9.6, §11.4).
	NoRetry bool
	// RetryAt is when to retry, clipped to 1 s … 24 h from now; zero if the
	// SDK does not say (§9.7).
	RetryAt time.Time

	Version    int  // request version; 0 if absent or unparsable
	HasVersion bool // the answer had a valid version
	SDK        string
	Duration   time.Duration // from sending to the end of the answer

	// For the history: what was called, and of the answer the bytes of its body
	// and its headers, an object of name to text without secrets (nil if none).
	URL     string
	Size    int
	Headers json.RawMessage
}

// Idle tells whether a KindSteps response asks for nothing (§14.6).
func (r *Response) Idle() bool {
	for i := range r.Ops {
		if op := &r.Ops[i]; op.Op != OpNone || op.ID != "" {
			return false
		}
	}
	return r.Kind == KindSteps
}

// Headers that an SDK answers with.
const (
	headerSDK        = "X-Inngest-Sdk"
	headerVersion    = "X-Inngest-Req-Version"
	headerNoRetry    = "X-Inngest-No-Retry"
	headerRetryAfter = "Retry-After"
)

// Answer is an SDK's reply as it came over the wire, decompressed. Transports
// other than HTTP build one to have it classified the same way.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // kept by the Response
}

// Classify turns an answer into a Response. It checks no signature.
func Classify(answer Answer, now time.Time) *Response {
	return classifier{now: now}.classify(answer)
}

// classifier has what classification depends on besides the answer.
type classifier struct {
	now  time.Time
	keys []string // to verify signed answers with; none to skip that
}

func (c classifier) classify(a Answer) *Response {
	if a.Status == http.StatusCreated {
		envelope, err := unwrapStream(a)
		if err != nil {
			return c.annotate(failure("", "error parsing stream: "+err.Error()), a)
		}
		a = envelope
	}
	return c.annotate(c.outcome(a), a)
}

// outcome decides the kind of a response and what it carries.
func (c classifier) outcome(a Answer) *Response {
	success := a.Status >= 200 && a.Status < 300
	switch {
	case !c.verified(a):
		return failure("sig_verification_failed", "Response signature verification failed")
	case a.Header.Get(headerSDK) == "" && success:
		return failure("not_sdk", "The response did not come from an Inngest SDK")
	case a.Header.Get(headerSDK) == "":
		return foreign(a)
	case a.Status == http.StatusPartialContent:
		ops, err := ParseOps(a.Body)
		if err != nil {
			return failure("", err.Error())
		}
		return &Response{Kind: KindSteps, Ops: ops, NoRetry: forbidsRetry(a)}
	case a.Status == http.StatusNoContent:
		return &Response{Kind: KindDone}
	case success:
		return &Response{Kind: KindDone, Output: parseOutput(a.Body)}
	default:
		return functionError(a)
	}
}

// annotate adds what every response carries, whatever its kind.
func (c classifier) annotate(r *Response, a Answer) *Response {
	r.Status = a.Status
	r.Size, r.Headers = len(a.Body), shownHeaders(a.Header)
	r.SDK = a.Header.Get(headerSDK)
	r.RetryAt = parseRetryAfter(a.Header.Get(headerRetryAfter), c.now)
	if version, err := strconv.Atoi(a.Header.Get(headerVersion)); err == nil {
		r.Version, r.HasVersion = version, true
	}
	return r
}

// verified checks a signed answer. An unsigned one passes: the TypeScript SDK
// signs its answers in cloud mode, the Go SDK does not. Go's JSON encoder
// appends a newline that signatures leave out.
func (c classifier) verified(a Answer) bool {
	signature := a.Header.Get(signing.Header)
	if signature == "" || len(c.keys) == 0 {
		return true
	}
	return signing.Verify(signature, a.Body, c.now, c.keys...) == nil ||
		signing.Verify(signature, bytes.TrimSuffix(a.Body, []byte("\n")), c.now, c.keys...) == nil
}

// functionError is the response to a status that is no success, from an SDK.
func functionError(a Answer) *Response {
	r := &Response{Kind: KindError, Output: parseOutput(a.Body), NoRetry: forbidsRetry(a)}
	r.ErrorText = "invalid status code: " + strconv.Itoa(a.Status)
	if r.NoRetry {
		r.ErrorText = "NonRetriableError"
	}
	r.Error = newRunError(r.Output, r.ErrorText)
	return r
}

// maxUpstream is how much of a foreign answer is shown, in bytes.
const maxUpstream = 8192

// foreign is the response to an error status that came from no SDK (§9.2).
func foreign(a Answer) *Response {
	text := fmt.Sprintf("Your server returned HTTP %d before the SDK responded.", a.Status)
	stack := "No step output was produced before the request failed \u2014 this can mean a proxy or load balancer in front of your app returned an error, or your app was unable to respond."
	if len(a.Body) > 0 {
		shown, cut := a.Body, ""
		if len(shown) > maxUpstream {
			shown, cut = shown[:maxUpstream], "\n\u2026 (truncated)"
		}
		stack += fmt.Sprintf("\n\nUpstream response (%s):\n%s%s",
			a.Header.Get("Content-Type"), strings.ToValidUTF8(string(shown), ""), cut)
	}
	e := &RunError{Error: text, Name: "Server returned a fatal error", Message: text, Stack: stack}
	return &Response{Kind: KindError, Output: e.JSON(), Error: e, ErrorText: text}
}

// failure is the response when the driver, not the function, has failed. code
// may be empty. The output keeps the shape that stored runs have (§15.5).
func failure(code, text string) *Response {
	e := &RunError{Error: text, Name: "Error", Message: text}
	inner := &RunError{Error: text, Name: "Error", Message: text}
	if code != "" {
		e.Error = code
		inner.Error, inner.Name = code+": "+text, code
	}
	output := append([]byte(`{"error":`), inner.JSON()...)
	return &Response{Kind: KindError, Code: code, ErrorText: text, Error: e, Output: append(output, '}')}
}

// parseOutput reads the body of a finished or failed function (§9.4): JSON as
// it is, but a string that holds an object as that object; text as a string.
func parseOutput(body []byte) json.RawMessage {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 {
		return nil
	}
	if !json.Valid(trimmed) {
		return jcs.AppendString(nil, body)
	}
	if text, ok := jcs.Text(trimmed); ok && jcs.FirstByte([]byte(text)) == '{' && json.Valid([]byte(text)) {
		return bytes.TrimSpace([]byte(text))
	}
	return trimmed
}
