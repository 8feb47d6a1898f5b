package driver

import (
	"encoding/json"
	"errors"
	"fmt"

	"jetstep/jcs"
)

// Publish asks for a response to be sent to a realtime channel as well.
type Publish struct {
	Channel string `json:"channel"`
	Topic   string `json:"topic"`
}

// GatewayOpts is the HTTP request that a Gateway op asks for (§12.9).
type GatewayOpts struct {
	URL     string
	Method  string // POST if the SDK names none
	Headers map[string]string
	Body    string // as the SDK gave it; what is not JSON is sent quoted
	Publish *Publish
}

// Gateway reads a Gateway op.
func (o *Opcode) Gateway() (GatewayOpts, error) {
	var opts struct {
		URL     string            `json:"url"`
		Method  string            `json:"method"`
		Headers map[string]string `json:"headers"`
		Body    json.RawMessage   `json:"body"`
		Publish *Publish          `json:"publish"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return GatewayOpts{}, err
	}
	if opts.URL == "" {
		return GatewayOpts{}, errors.New("a URL must be provided for a gateway request")
	}
	if opts.Method == "" {
		opts.Method = "POST"
	}
	return GatewayOpts{
		URL: opts.URL, Method: opts.Method, Headers: opts.Headers, Body: jcs.LooseText(opts.Body), Publish: opts.Publish,
	}, nil
}

// AIGatewayOpts is the inference that an AIGateway op asks for (§12.10).
type AIGatewayOpts struct {
	URL          string
	Headers      map[string]string
	AuthKey      string
	Format       string // tells how AuthKey is sent, as "openai-chat"
	Body         json.RawMessage
	AutoToolCall bool
	Publish      *Publish
}

// AIGateway reads an AIGateway op.
func (o *Opcode) AIGateway() (AIGatewayOpts, error) {
	var opts struct {
		URL          string            `json:"url"`
		Headers      map[string]string `json:"headers"`
		AuthKey      string            `json:"auth_key"`
		Format       string            `json:"format"`
		Body         json.RawMessage   `json:"body"`
		AutoToolCall bool              `json:"auto_tool_call"`
		Publish      *Publish          `json:"publish"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return AIGatewayOpts{}, err
	}
	if opts.URL == "" {
		return AIGatewayOpts{}, errors.New("a URL must be provided for an AI request")
	}
	if jcs.IsNull(opts.Body) {
		opts.Body = json.RawMessage(`{}`)
	}
	return AIGatewayOpts(opts), nil
}

// Limits of defers (§12.14).
const (
	MaxDefers     = 20
	MaxDeferInput = 4 << 20
	MaxDeferMeta  = 32 << 10
)

// DeferAddOpts is the function that a DeferAdd op schedules for later.
type DeferAddOpts struct {
	FnSlug string
	Input  json.RawMessage // a JSON object
	Meta   json.RawMessage // nil if absent
}

// DeferAdd reads a DeferAdd op. An op that it refuses is to be stored as
// rejected, with whatever could be read of it.
func (o *Opcode) DeferAdd() (DeferAddOpts, error) {
	var opts struct {
		FnSlug string          `json:"fn_slug"`
		Input  json.RawMessage `json:"input"`
		Meta   json.RawMessage `json:"meta"`
	}
	err := o.decodeOpts(&opts)
	if jcs.IsNull(opts.Meta) {
		opts.Meta = nil
	}
	add := DeferAddOpts(opts)
	switch {
	case err != nil:
		return add, err
	case add.FnSlug == "":
		return add, errors.New("a deferred function must be named")
	case jcs.FirstByte(add.Input) != '{':
		return add, errors.New("the input of a deferred function must be an object")
	case len(add.Input) > MaxDeferInput:
		return add, fmt.Errorf("the input of a deferred function exceeds %d bytes", MaxDeferInput)
	case len(add.Meta) > MaxDeferMeta:
		return add, fmt.Errorf("the meta of a deferred function exceeds %d bytes", MaxDeferMeta)
	}
	return add, nil
}

// DeferAbort reads a DeferAbort op: the hashed id of the defer to abort.
func (o *Opcode) DeferAbort() (target string, err error) {
	var opts struct {
		Target string `json:"target_hashed_id"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return "", err
	}
	if opts.Target == "" {
		return "", errors.New("a defer to abort must be named")
	}
	return opts.Target, nil
}
