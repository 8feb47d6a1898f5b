package driver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"jetstep/jcs"
)

// maxHeaders bounds what is kept of an answer's headers, in bytes of JSON.
const maxHeaders = 8 << 10

// hiddenHeaders are not kept for the history: secrets, what is about the
// connection, and what only repeats the request or protects the body.
var hiddenHeaders = map[string]bool{
	"Authorization":       true,
	"Cookie":              true,
	"Set-Cookie":          true,
	"Proxy-Authorization": true,
	"Traceparent":         true,
	"Tracestate":          true,
	"X-Inngest-Signature": true,
	"Connection":          true,
	"Keep-Alive":          true,
	"Transfer-Encoding":   true,
	"Content-Length":      true,
}

// shownHeaders is an answer's headers as the history shows them: an object of
// names, as HTTP spells them, to texts (database §11.4, response.headers); nil
// when there is none. Headers beyond maxHeaders are left out, in order of name.
func shownHeaders(header http.Header) json.RawMessage {
	var room [24]string
	names, size := room[:0], 2
	for name, values := range header {
		if hiddenHeaders[name] {
			continue
		}
		names = append(names, name)
		size += len(name) + 6
		for _, value := range values {
			size += len(value) + 1
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	b := append(make([]byte, 0, min(size, maxHeaders)), '{')
	for _, name := range names {
		before := len(b)
		b = append(jcs.AppendString(appendComma(b, before-1), name), ':')
		b = jcs.AppendString(b, strings.Join(header[name], ","))
		if len(b) >= maxHeaders {
			b = b[:before]
		}
	}
	return append(b, '}')
}
