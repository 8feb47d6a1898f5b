package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"jetstep/jcs"
)

// unwrapStream reads the envelope that a streaming SDK sends once it is done
// (sdk-protocol §10) and returns the answer inside. White space around the
// envelope kept the connection alive.
func unwrapStream(a Answer) (Answer, error) {
	var envelope struct {
		Status  *int                       `json:"status"`
		Headers map[string]json.RawMessage `json:"headers"`
		Body    json.RawMessage            `json:"body"`
		Error   json.RawMessage            `json:"error"`
		// The Go SDK has these beside, not in, the headers.
		NoRetry bool       `json:"noRetry"`
		RetryAt *time.Time `json:"retryAt"`
	}
	if err := json.Unmarshal(a.Body, &envelope); err != nil {
		return Answer{}, unreadableStream(err)
	}
	if !jcs.IsNull(envelope.Error) {
		return Answer{}, errors.New(jcs.LooseText(envelope.Error))
	}
	if envelope.Status == nil {
		return Answer{}, unreadableStream(errors.New("status is missing"))
	}
	header := a.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if envelope.NoRetry {
		header.Set(headerNoRetry, "true")
	}
	if envelope.RetryAt != nil {
		header.Set(headerRetryAfter, envelope.RetryAt.Format(time.RFC3339))
	}
	for name, value := range envelope.Headers {
		if text, ok := jcs.Text(value); ok {
			header.Set(name, text)
		}
	}
	body := []byte(envelope.Body)
	if text, ok := jcs.Text(body); ok {
		body = []byte(text)
	}
	return Answer{Status: *envelope.Status, Header: header, Body: body}, nil
}

func unreadableStream(err error) error {
	return fmt.Errorf("error reading response body to check for status code: %w", err)
}
