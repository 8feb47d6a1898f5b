package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"jetstep/expr"
	"jetstep/jcs"
)

// maxWait is how far ahead a sleep or a timeout may end (sdk-protocol §21).
const maxWait = 366 * 24 * time.Hour

// ErrNoEventName refuses a wait that names no event. Users see its text, which
// is fixed by §12.6.
//
//lint:ignore ST1005 the text is the protocol's
var ErrNoEventName = errors.New("An event name must be provided when waiting for an event")

// Sleep returns when a Sleep op ends (§12.5); it is never before now. The
// error is a *FatalError if that is more than 366 days ahead.
func (o *Opcode) Sleep(now time.Time) (until time.Time, err error) {
	var opts struct {
		Duration string `json:"duration"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return time.Time{}, err
	}
	text := opts.Duration
	if text == "" {
		text = o.Name
	}
	return parseUntil(text, now, `The sleep "%s" ends more than one year in the future; sleeps may last at most one year.`)
}

// WaitOpts is what a WaitForEvent op waits for (§12.6).
type WaitOpts struct {
	Event   string
	If      string // CEL expression, "" matches every event
	Expires time.Time
}

// Wait reads a WaitForEvent op. The error is ErrNoEventName, a *FatalError for
// a timeout of more than 366 days, or says what cannot be read.
func (o *Opcode) Wait(now time.Time) (WaitOpts, error) {
	var opts struct {
		Event   string `json:"event"`
		If      string `json:"if"`
		Timeout string `json:"timeout"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return WaitOpts{}, err
	}
	if opts.Event == "" {
		opts.Event = o.Name
	}
	if opts.Event == "" {
		return WaitOpts{}, ErrNoEventName
	}
	expires, err := parseTimeout("wait-for-event", opts.Timeout, now)
	if err != nil {
		return WaitOpts{}, err
	}
	return WaitOpts{Event: opts.Event, If: opts.If, Expires: expires}, nil
}

// InvokePayload is the part of the callee's event that the caller chooses.
type InvokePayload struct {
	Data json.RawMessage // a JSON object
	User json.RawMessage // nil if absent
	V    string
}

// InvokeOpts is what an InvokeFunction op calls (§12.7).
type InvokeOpts struct {
	FunctionID string // slug or UUID
	Payload    InvokePayload
	Expires    time.Time // one year ahead if the SDK sets no timeout
}

// Invoke reads an InvokeFunction op. A missing payload is empty data. The
// error is a *FatalError for a timeout of more than 366 days.
func (o *Opcode) Invoke(now time.Time) (InvokeOpts, error) {
	var opts struct {
		FunctionID string `json:"function_id"`
		Timeout    string `json:"timeout"`
		Payload    struct {
			Data json.RawMessage `json:"data"`
			User json.RawMessage `json:"user"`
			V    looseString     `json:"v"`
		} `json:"payload"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return InvokeOpts{}, err
	}
	if opts.FunctionID == "" {
		return InvokeOpts{}, errors.New("a function id must be provided when invoking a function")
	}
	payload := InvokePayload{Data: opts.Payload.Data, User: opts.Payload.User, V: string(opts.Payload.V)}
	if jcs.IsNull(payload.Data) {
		payload.Data = json.RawMessage(`{}`)
	}
	if jcs.FirstByte(payload.Data) != '{' {
		return InvokeOpts{}, errors.New("the data of an invoked function must be an object")
	}
	if jcs.IsNull(payload.User) {
		payload.User = nil
	}
	expires := now.AddDate(1, 0, 0)
	if opts.Timeout != "" {
		var err error
		if expires, err = parseTimeout("invoke", opts.Timeout, now); err != nil {
			return InvokeOpts{}, err
		}
	}
	return InvokeOpts{FunctionID: opts.FunctionID, Payload: payload, Expires: expires}, nil
}

// SignalOpts is what a WaitForSignal op waits for (§12.8).
type SignalOpts struct {
	Signal  string
	Replace bool // displace another wait for the signal instead of failing
	Expires time.Time
}

// Signal reads a WaitForSignal op. The error is a *FatalError for a timeout of
// more than 366 days.
func (o *Opcode) Signal(now time.Time) (SignalOpts, error) {
	var opts struct {
		Signal   string `json:"signal"`
		Timeout  string `json:"timeout"`
		Conflict string `json:"conflict"`
	}
	if err := o.decodeOpts(&opts); err != nil {
		return SignalOpts{}, err
	}
	if opts.Signal == "" {
		return SignalOpts{}, errors.New("a signal name must be provided when waiting for a signal")
	}
	expires, err := parseTimeout("wait-for-signal", opts.Timeout, now)
	if err != nil {
		return SignalOpts{}, err
	}
	return SignalOpts{Signal: opts.Signal, Replace: opts.Conflict == "replace", Expires: expires}, nil
}

// SignalConflict fails a run whose signal another run already waits for.
func SignalConflict() *FatalError {
	return &FatalError{Name: "Error", Message: "Signal conflict; signal wait already exists for another run"}
}

func parseTimeout(what, text string, now time.Time) (time.Time, error) {
	return parseUntil(text, now, "The "+what+` timeout "%s" expires more than one year in the future; timeouts may last at most one year.`)
}

// parseUntil reads a duration or a date; tooLong is the format of the message
// of the *FatalError for one too far ahead.
func parseUntil(text string, now time.Time, tooLong string) (time.Time, error) {
	until, err := expr.ParseUntil(text, now)
	if err != nil {
		return time.Time{}, err
	}
	if until.Sub(now) > maxWait {
		return time.Time{}, &FatalError{Name: NameTimeoutTooLong, Message: fmt.Sprintf(tooLong, text)}
	}
	if until.Before(now) {
		return now, nil
	}
	return until, nil
}

// decodeOpts reads opts into a struct; absent opts leave it as it is.
func (o *Opcode) decodeOpts(into any) error {
	if jcs.FirstByte(o.Opts) != '{' {
		return nil
	}
	if err := json.Unmarshal(o.Opts, into); err != nil {
		return fmt.Errorf("read options of %s: %w", o.Op, err)
	}
	return nil
}
