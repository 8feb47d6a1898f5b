package otlp

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"jetstep/history/userland"
)

// maxBody bounds an export, also when it is unpacked (http-api §13).
const maxBody = 8 << 20

// form is how a request and its answer are encoded.
type form struct {
	contentType string
	decode      func(body []byte) ([]*traces.ResourceSpans, error)
	encode      func(proto.Message) ([]byte, error)
}

var (
	protobufForm = form{"application/x-protobuf", userland.Decode, proto.Marshal}
	jsonForm     = form{"application/json", userland.DecodeJSON, encodeJSON}
)

// encodeJSON leaves no spaces, which protojson puts in at random.
func encodeJSON(m proto.Message) ([]byte, error) {
	spaced, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, spaced); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// read reads the body, unpacked.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	packed, err := readAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return packed, nil
	case "gzip":
	default:
		return nil, errEncoding
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errUnreadable
	}
	return readAll(http.MaxBytesReader(w, unpacker, maxBody))
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errUnreadable
	}
	return body, nil
}

// answer answers in the form of the request, packed for clients that take it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, in form, status int, message proto.Message) {
	body, err := in.encode(message)
	if err != nil {
		s.log.Error("an answer has no encoding", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", in.contentType)
	if len(body) == 0 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, err = w.Write(body)
	} else {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		packer := gzip.NewWriter(w)
		_, err = packer.Write(body)
		err = errors.Join(err, packer.Close())
	}
	if err != nil {
		s.log.Debug("an exporter did not take its answer", "error", err)
	}
}
