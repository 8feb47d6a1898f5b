package driver

import (
	"encoding/json"

	"jetstep/jcs"
)

// Memos that do not depend on a step's output (sdk-protocol §13). They are
// shared: do not modify them.
var (
	// MemoNull ends sleeps and timed-out waits and signals.
	MemoNull = json.RawMessage(`null`)
	// MemoInvokeTimeout ends an invoke whose callee did not finish in time.
	MemoInvokeTimeout = json.RawMessage(`{"error":{"error":"InngestInvokeTimeoutError: Timed out waiting for invoked function to complete","message":"Timed out waiting for invoked function to complete","name":"InngestInvokeTimeoutError"}}`)
)

// MemoData is the memo of a finished step: {"data":<data>}, canonical. No data
// is null. It fails if data has no canonical form.
func MemoData(data json.RawMessage) (json.RawMessage, error) {
	return wrap(`{"data":`, data, `}`)
}

// MemoError is the memo of a failed step: {"error":{…}}, canonical.
func MemoError(err *UserError) json.RawMessage {
	text := err.JSON()
	b := append(make([]byte, 0, len(text)+10), `{"error":`...)
	return append(append(b, text...), '}')
}

// MemoRaw is the memo of the legacy Step op and of a matched event, which are
// not wrapped. No data is null. It fails if data has no canonical form.
func MemoRaw(data json.RawMessage) (json.RawMessage, error) {
	if data == nil {
		return MemoNull, nil
	}
	return jcs.Canonicalize(data)
}

// MemoInvoke is the memo of a finished invoke: the callee's error object if
// there is one, else its result.
func MemoInvoke(result, callee json.RawMessage) (json.RawMessage, error) {
	if len(callee) > 0 && string(callee) != "null" {
		return wrap(`{"error":`, callee, `}`)
	}
	return MemoData(result)
}

// MemoSignal is the memo of a received signal. Its data is wrapped twice; the
// SDKs expect that.
func MemoSignal(signal string, data json.RawMessage) (json.RawMessage, error) {
	end := append(jcs.AppendString([]byte(`,"signal":`), signal), `}}`...)
	return wrap(`{"data":{"data":`, data, string(end))
}

func wrap(before string, data json.RawMessage, after string) (json.RawMessage, error) {
	canonical, err := MemoRaw(data)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(before)+len(canonical)+len(after))
	b = append(b, before...)
	b = append(b, canonical...)
	return append(b, after...), nil
}
