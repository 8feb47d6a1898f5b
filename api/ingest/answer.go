package ingest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/oklog/ulid/v2"

	"jetstep/bus"
)

// Answer is what the sender of a request is told.
type Answer struct {
	Status int         // as in HTTP
	Error  string      // "" when everything was accepted
	IDs    []ulid.ULID // internal ids of the accepted events, in request order

	refusedKey bool // the answer is about the key, and has another shape
}

// JSON is the answer's body, without a line end.
//
// A request that is refused from its first event on lists one empty id, as
// SDKs have always seen it; an empty request and one that could not be stored
// list none (http-api §5, §19 no. 5).
func (a *Answer) JSON() []byte {
	b := make([]byte, 0, len(a.IDs)*(ulid.EncodedSize+3)+len(a.Error)+64)
	if a.refusedKey {
		b = append(b, `{"status":`...)
		b = strconv.AppendInt(b, int64(a.Status), 10)
		b = append(b, `,"message":"","error":`...)
		return append(appendJSONString(b, a.Error), '}')
	}
	b = append(b, `{"ids":[`...)
	for i, id := range a.IDs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, make([]byte, ulid.EncodedSize)...)
		_ = id.MarshalTextTo(b[len(b)-ulid.EncodedSize:]) // the size is right
		b = append(b, '"')
	}
	if len(a.IDs) == 0 && a.Status == http.StatusBadRequest {
		b = append(b, `""`...)
	}
	b = append(b, `],"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	if a.Error != "" {
		b = append(b, `,"error":`...)
		b = appendJSONString(b, a.Error)
	}
	return append(b, '}')
}

func appendJSONString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string has no reason to fail
	return append(b, text...)
}

// refuse is the answer to a request whose key is not right.
func refuse(status int, message string) Answer {
	return Answer{Status: status, Error: message, refusedKey: true}
}

func internalIDs(events []*bus.Event) []ulid.ULID {
	ids := make([]ulid.ULID, len(events))
	for i, e := range events {
		ids[i] = e.InternalID
	}
	return ids
}
