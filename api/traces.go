package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxTraces bounds an export of spans (http-api §13).
const maxTraces = 8 << 20

// userlandTraces is POST /v1/traces/userland. Spans are checked for being some
// and discarded; exporters only need to hear that they were taken.
func (s *Server) userlandTraces(c echo.Context) error {
	asJSON := strings.Contains(c.Request().Header.Get(echo.HeaderContentType), "json")
	body, err := readBody(c, maxTraces)
	var refused *problem
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge:
		return s.refuseTraces(c, asJSON, refused.Status, "Request body too large")
	case err != nil:
		return s.refuseTraces(c, asJSON, http.StatusBadRequest, "Error reading body")
	case c.Request().Header.Get(echo.HeaderContentEncoding) != "":
		// Compressed: nobody will look at it, so it is not unpacked.
	case asJSON && !json.Valid(body), !asJSON && !isProtobuf(body):
		return s.refuseTraces(c, asJSON, http.StatusBadRequest, "Invalid payload")
	}
	if asJSON {
		s.sendJSON(c, http.StatusOK, []byte(`{}`))
		return nil
	}
	return sendProtobuf(c, http.StatusOK, nil)
}

// refuseTraces answers with a google.rpc.Status, of which only message is set.
func (s *Server) refuseTraces(c echo.Context, asJSON bool, status int, message string) error {
	if asJSON {
		s.send(c, status, map[string]string{"message": message})
		return nil
	}
	const messageField = 2
	return sendProtobuf(c, status, protowire.AppendString(protowire.AppendTag(nil, messageField, protowire.BytesType), message))
}

func sendProtobuf(c echo.Context, status int, message []byte) error {
	return c.Blob(status, "application/x-protobuf", message)
}

// isProtobuf tells whether the bytes are fields of some message.
func isProtobuf(b []byte) bool {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}
