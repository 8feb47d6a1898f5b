// Package signing owns the signing key: it signs what the server sends to an
// SDK, verifies what an SDK signed, and checks the bearer tokens that SDKs
// present to the server (sdk-protocol §3).
//
// It guarantees that secrets are compared in constant time. It does no I/O,
// reads no clock (time is an argument) and never canonicalises: callers hand
// in the exact bytes that go over the wire.
package signing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Header carries a signature, on requests and on responses.
const Header = "X-Inngest-Signature"

// MaxAge is how far a signature's timestamp may be from now, in either
// direction. SDKs use the same bound, so sign when sending, not earlier.
const MaxAge = 5 * time.Minute

// Why a signature was refused. Verify wraps one of them.
var (
	ErrMalformed = errors.New("malformed signature")
	ErrExpired   = errors.New("signature expired")
	ErrMismatch  = errors.New("signature does not match")
)

// Sign returns the value of Header for body: "t=<unix seconds>&s=<hex>", where
// s is HMAC-SHA256 over body followed by the decimal timestamp, keyed with the
// ASCII bytes of the normalised key (sdk-protocol §3.1).
func Sign(key string, body []byte, now time.Time) string {
	stamp := strconv.AppendInt(make([]byte, 0, 20), now.Unix(), 10)
	sum := digest(key, body, stamp)

	header := make([]byte, 0, len("t=&s=")+len(stamp)+2*len(sum))
	header = append(header, "t="...)
	header = append(header, stamp...)
	header = append(header, "&s="...)
	return string(hex.AppendEncode(header, sum))
}

// Verify checks that header signs body under one of keys (the primary key and,
// during a rotation, its fallback) and is no older or newer than MaxAge.
// Empty keys are skipped; with no key at all nothing verifies.
func Verify(header string, body []byte, now time.Time, keys ...string) error {
	stamp, sum, err := parse(header)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: timestamp is not a number", ErrMalformed)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxAge || age < -MaxAge {
		return fmt.Errorf("%w: signed %s from now", ErrExpired, age.Round(time.Second))
	}
	for _, key := range keys {
		if key != "" && hmac.Equal(sum, digest(key, body, []byte(stamp))) {
			return nil
		}
	}
	return ErrMismatch
}

// parse takes a header apart. The timestamp stays text because its digits are
// part of the signed message.
func parse(header string) (stamp string, sum []byte, err error) {
	values, err := url.ParseQuery(header)
	if err != nil {
		return "", nil, fmt.Errorf("%w: not a query string", ErrMalformed)
	}
	stamp = values.Get("t")
	sum, err = hex.DecodeString(values.Get("s"))
	if stamp == "" || err != nil || len(sum) != sha256.Size {
		return "", nil, fmt.Errorf("%w: want t=<seconds>&s=<64 hex digits>", ErrMalformed)
	}
	return stamp, sum, nil
}

func digest(key string, body, stamp []byte) []byte {
	mac := hmac.New(sha256.New, []byte(NormalizeKey(key)))
	mac.Write(body)
	mac.Write(stamp)
	return mac.Sum(nil)
}
