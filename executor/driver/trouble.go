package driver

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// trouble is a transport failure in the words of the protocol.
type trouble struct {
	Code string // "" if it has none
	Text string
}

// errEncoding is an answer in a Content-Encoding that is not understood.
var errEncoding = errors.New("unsupported content encoding")

// The texts of sdk-protocol §9.1.
const (
	textUnreachable  = "Unable to reach SDK URL"
	textClosed       = "Your server closed the request before finishing."
	textResetSending = "Your server reset the connection while we were sending the request."
	textResetReading = "Your server reset the connection while we were reading the reply: Unexpected ending response"
	textTimeout      = "Your server connection experienced a timeout or was blocked"
	textHandshake    = "Your server didn't complete the TLS handshake in time"
	textOther        = "Error performing request to SDK URL"
	textTooLong      = "Your server took longer than the maximum request duration to respond to the request."
	textTooLarge     = "Your function's response body exceeds the maximum size limit"
)

// describeTrouble explains why roundTrip failed.
func describeTrouble(err error) trouble {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return trouble{"request_duration_too_long", textTooLong}
	case errors.Is(err, errTooLarge):
		return trouble{"output_too_large", textTooLarge}
	case errors.Is(err, errEncoding):
		return trouble{"", textOther + ": " + err.Error()}
	default:
		return trouble{"", describeNetwork(err)}
	}
}

// describeNetwork tells apart the ways a connection can fail. Some are known
// by their text only, because net/http exports no value for them.
func describeNetwork(err error) string {
	var dns *net.DNSError
	var network net.Error
	var op *net.OpError
	errors.As(err, &op)
	text := err.Error()
	switch {
	case strings.Contains(text, "TLS handshake timeout"):
		return textHandshake
	case errors.As(err, &dns):
		return textUnreachable
	case errors.As(err, &network) && network.Timeout(), isErrno(err, syscall.ETIMEDOUT):
		return textTimeout
	case op != nil && op.Op == "dial", errors.Is(err, io.EOF),
		isErrno(err, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH):
		return textUnreachable
	case isErrno(err, syscall.ECONNRESET, syscall.EPIPE):
		if op != nil && op.Op == "write" {
			return textResetSending
		}
		return textResetReading
	case errors.Is(err, io.ErrUnexpectedEOF):
		return textResetReading
	case errors.Is(err, net.ErrClosed), strings.Contains(text, "server closed idle connection"):
		return textClosed
	default:
		return textOther
	}
}

func isErrno(err error, errnos ...syscall.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
