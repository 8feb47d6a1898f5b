package realtime

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/jcs"
)

// Kinds of messages that the server makes (http-api §11).
const (
	kindData        = "data"
	kindStreamStart = "datastream-start" // data is the stream's id
	kindStreamEnd   = "datastream-end"   // data is the stream's id
	kindChunk       = "chunk"
	kindClosing     = "closing" // the server is about to end
)

// message is what subscribers receive, other than chunks and raw bytes.
type message struct {
	Kind      string          `json:"kind"`
	Data      json.RawMessage `json:"data"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	CreatedAt time.Time       `json:"created_at"` // UTC
	Channel   string          `json:"channel,omitempty"`
	EnvID     *uuid.UUID      `json:"env_id,omitempty"`
	Topic     string          `json:"topic"`
	RunID     *ulid.ULID      `json:"run_id,omitempty"`
}

// chunk is a piece of a stream. Channel and topic are there for the TypeScript
// SDK, which drops chunks without them.
type chunk struct {
	Kind     string     `json:"kind"`
	StreamID string     `json:"stream_id"`
	Data     string     `json:"data"`
	Channel  string     `json:"channel"`
	Topic    string     `json:"topic"`
	RunID    *ulid.ULID `json:"run_id,omitempty"`
}

// jsonOrText is a body as JSON: itself if it is JSON, else a string. The
// result is valid UTF-8, as text frames must be.
func jsonOrText(body []byte) (json.RawMessage, error) {
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if json.Valid(body) {
		return body, nil
	}
	return jcs.Encode(string(body))
}

// rawPrefix marks bytes that are forwarded as they are; all other messages on
// NATS are JSON objects.
const rawPrefix = "RAW:"

// frame is a message on its way to one subscriber.
type frame struct {
	body []byte
	raw  bool // bytes of a tee, not a JSON message
}

func toFrame(payload []byte) frame {
	if body, ok := bytes.CutPrefix(payload, []byte(rawPrefix)); ok {
		return frame{body: body, raw: true}
	}
	return frame{body: payload}
}
