package driver

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"jetstep/jcs"
)

// Result is what a durable endpoint answered its client, or would have: the
// output of its run (sdk-protocol §12.12, §19.4).
type Result struct {
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	Duration int64             `json:"duration"` // as the SDK says; its unit differs
	// Encoding is "base64" if Body is no text, else "".
	Encoding string `json:"encoding,omitempty"`
}

// ParseResult reads the result of an endpoint. SDKs spell it in two ways: the
// TypeScript SDK has "status" and a text for the body, the Go SDK puts it into
// "data", has "status_code", and the body in base64. Not ok is anything else.
func ParseResult(data json.RawMessage) (r Result, ok bool) {
	var sent struct {
		Data       json.RawMessage        `json:"data"`
		Status     int                    `json:"status"`
		StatusCode int                    `json:"status_code"`
		Headers    map[string]looseString `json:"headers"`
		Body       looseString            `json:"body"`
		Duration   json.Number            `json:"duration"`
		Encoding   string                 `json:"encoding"`
	}
	if jcs.FirstByte(data) != '{' || json.Unmarshal(data, &sent) != nil {
		return Result{}, false
	}
	if sent.Status == 0 && sent.StatusCode == 0 {
		if jcs.FirstByte(sent.Data) != '{' {
			return Result{}, false
		}
		return ParseResult(sent.Data)
	}
	r = Result{Status: sent.Status, Headers: map[string]string{}, Body: string(sent.Body), Encoding: sent.Encoding}
	for name, value := range sent.Headers {
		r.Headers[name] = string(value)
	}
	if duration, err := sent.Duration.Float64(); err == nil {
		r.Duration = int64(duration)
	}
	if sent.StatusCode != 0 {
		r.Status = sent.StatusCode
		if raw, err := base64.StdEncoding.DecodeString(r.Body); err == nil {
			r.setBody(raw)
		}
	}
	return r, true
}

func (r *Result) setBody(raw []byte) {
	r.Body, r.Encoding = string(raw), ""
	if !utf8.Valid(raw) {
		r.Body, r.Encoding = base64.StdEncoding.EncodeToString(raw), "base64"
	}
}

// Content is the body's bytes.
func (r *Result) Content() []byte {
	if r.Encoding != "" {
		if raw, err := base64.StdEncoding.DecodeString(r.Body); err == nil {
			return raw
		}
	}
	return []byte(r.Body)
}

// JSON is the result as it is stored, canonical.
func (r Result) JSON() json.RawMessage {
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	text, err := jcs.Encode(r)
	if err != nil {
		return nil // texts and numbers always encode
	}
	canonical, err := jcs.Canonicalize(text)
	if err != nil {
		return text
	}
	return canonical
}

// Err is why a run with this result counts as failed, nil if it does not
// (sdk-protocol §19.2).
func (r *Result) Err() *RunError {
	if r.Status >= 200 && r.Status < 300 {
		return nil
	}
	text := "invalid status code: " + strconv.Itoa(r.Status)
	return &RunError{Error: text, Name: "Error", Message: text}
}

// RunError is the error object of a run that failed with e (sdk-protocol
// §15.5); text stands in when e has no error text of its own.
func (e *UserError) RunError(text string) *RunError { return newRunError(e.JSON(), text) }

// resultOf is the result that an answer would be for an endpoint's own client.
func resultOf(a Answer) Result {
	r := Result{Status: a.Status, Headers: map[string]string{}}
	if kind := a.Header.Get("Content-Type"); kind != "" {
		r.Headers["content-type"] = kind
	}
	r.setBody(a.Body)
	return r
}
