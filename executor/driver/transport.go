package driver

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/andybalholm/brotli"
)

// newTransport makes the transport of all calls: HTTP/1.1 only, as SDKs are
// tested with; no proxy from the environment; connections are kept.
func newTransport(c Config) http.RoundTripper {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dial := (&net.Dialer{Timeout: c.DialTimeout}).DialContext
	return newDirect(c, dial, &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: c.HandshakeTimeout,
		IdleConnTimeout:     c.IdleTimeout,
		MaxIdleConnsPerHost: c.MaxIdlePerHost,
		Protocols:           &protocols,
		DisableCompression:  true, // decoded here, for the size limit and br
	})
}

// maxRedirects is how many redirects are followed (sdk-protocol §7.1).
const maxRedirects = 60

// followRedirect merges the original query into the target's, the original
// winning, so that a redirected call keeps its fnId and stepId (§7.7).
func followRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	query := next.URL.Query()
	for name, values := range via[0].URL.Query() {
		query[name] = values
	}
	next.URL.RawQuery = query.Encode()
	return nil
}

// roundTrip sends a request and reads the whole, decompressed answer. Its
// errors are explained by describeTrouble.
func (c *Caller) roundTrip(ctx context.Context, req *http.Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.RequestTimeout)
	defer cancel()
	resp, err := c.do(req.WithContext(ctx))
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // all that matters has been read
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return Answer{Status: resp.StatusCode, Header: resp.Header}, nil // its body never ends
	}
	body, err := readBody(resp, c.config.MaxResponseBody)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// do sends a request and follows redirects. http.Client copies every request's
// headers in case that there is one; here it comes in when there is.
func (c *Caller) do(req *http.Request) (*http.Response, error) {
	if req.URL.User != nil { // of which http.Client makes a header
		return c.client.Do(req)
	}
	resp, err := c.config.Transport.RoundTrip(req)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return resp, err
	}
	follow := *c.client
	follow.Transport = &redirected{RoundTripper: c.config.Transport, first: resp}
	return follow.Do(req)
}

// redirected is a transport whose first answer is there already.
type redirected struct {
	http.RoundTripper
	first *http.Response
}

func (r *redirected) RoundTrip(req *http.Request) (*http.Response, error) {
	if first := r.first; first != nil {
		r.first = nil
		return first, nil
	}
	return r.RoundTripper.RoundTrip(req)
}

// errTooLarge is an answer of more than the allowed size.
var errTooLarge = errors.New("response body too large")

// readBody reads an answer's body of at most limit bytes. After decompression
// it removes the headers that no longer apply.
func readBody(resp *http.Response, limit int) ([]byte, error) {
	encoding := resp.Header.Get("Content-Encoding")
	var reader io.Reader = resp.Body
	switch encoding {
	case "", "identity":
		if size := resp.ContentLength; size >= 0 {
			return readSized(reader, size, limit)
		}
		return readAll(reader, limit)
	case "gzip", "x-gzip":
		decoder, err := gzip.NewReader(reader)
		if err == io.EOF { // an empty body is not encoded
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode gzip response: %w", err)
		}
		reader = decoder
	case "br":
		reader = brotli.NewReader(reader)
	default:
		return nil, fmt.Errorf("%w: %q", errEncoding, encoding)
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	return readAll(reader, limit)
}

func readSized(reader io.Reader, size int64, limit int) ([]byte, error) {
	if size > int64(limit) {
		return nil, errTooLarge
	}
	if size == 0 {
		return nil, nil
	}
	body := make([]byte, size)
	_, err := io.ReadFull(reader, body)
	return body, err
}

func readAll(reader io.Reader, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	if err == nil && len(body) > limit {
		err = errTooLarge
	}
	return body, err
}
