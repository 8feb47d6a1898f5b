package realtime

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	maxChunk  = 1024 // bytes
	maxStream = 1000 * maxChunk
	// maxTee is the most that one request forwards, and teeBuffer the most that
	// goes into one message.
	maxTee    = 1_024_000
	teeBuffer = 32 << 10

	streamTopic = "$stream"
)

// publishStream publishes the body in pieces as they arrive, between a message
// that opens the stream and one that closes it. The latter is published
// whatever happens, since subscribers wait for it.
func (s *Server) publishStream(w http.ResponseWriter, r *http.Request, to target) (err error) {
	id := newStreamID()
	name := json.RawMessage(strconv.Quote(id))
	if err := s.send(to, kindStreamStart, name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.send(to, kindStreamEnd, name)) }()
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it may last; not every connection has one
	body := http.MaxBytesReader(w, r.Body, maxStream)
	buffer, held := make([]byte, maxChunk), 0
	for {
		n, readErr := body.Read(buffer[held:])
		piece := buffer[:held+n]
		whole := wholeRunes(piece)
		if readErr != nil {
			whole = len(piece) // nothing follows
		}
		if whole > 0 {
			if err := s.sendChunk(to, id, string(piece[:whole])); err != nil {
				return err
			}
		}
		held = copy(buffer, piece[whole:])
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return unreadable(readErr)
		}
	}
}

// wholeRunes is how much of text there is without a character at its end of
// which some bytes are still to come.
func wholeRunes(text []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		last := text[len(text)-i:]
		if !utf8.RuneStart(last[0]) {
			continue
		}
		if !utf8.FullRune(last) {
			return len(text) - i
		}
		break
	}
	return len(text)
}

// newStreamID is random, so that streams of one topic can be told apart.
func newStreamID() string { return strconv.FormatUint(rand.Uint64(), 36) }

func (s *Server) sendChunk(to target, stream, data string) error {
	return s.sendEach(to, func(t Topic) any {
		return chunk{Kind: kindChunk, StreamID: stream, Data: data, Channel: t.Channel, Topic: t.Name, RunID: to.runID}
	})
}

// Tee is POST /v1/realtime/publish/tee: the bytes of the body are forwarded to
// the channel's topic $stream as they arrive. Errors are text.
func (s *Server) Tee(w http.ResponseWriter, r *http.Request) {
	inText := func(w http.ResponseWriter, status int, text string) { http.Error(w, text, status) }
	if !s.mayPublish(w, r, inText) {
		return
	}
	to := runTopic(r.URL.Query().Get("channel"), streamTopic)
	if to.Channel == "" {
		http.Error(w, "channel query parameter required", http.StatusBadRequest)
		return
	}
	if err := to.validate(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var tooLarge *http.MaxBytesError
	switch err := s.tee(w, r, to); {
	case errors.As(err, &tooLarge):
		http.Error(w, "Stream cannot exceed "+strconv.Itoa(maxTee)+" bytes", http.StatusRequestEntityTooLarge)
	case err != nil:
		s.log.Warn("a stream broke off", "error", err)
		http.Error(w, "Error forwarding data", http.StatusInternalServerError)
	}
}

func (s *Server) tee(w http.ResponseWriter, r *http.Request, to Topic) error {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it may last; not every connection has one
	subject := to.subject()
	body := http.MaxBytesReader(w, r.Body, maxTee)
	buffer := make([]byte, len(rawPrefix)+teeBuffer)
	copy(buffer, rawPrefix)
	for {
		n, readErr := body.Read(buffer[len(rawPrefix):])
		if n > 0 {
			if err := s.cfg.Broker.PublishRealtime(subject, buffer[:len(rawPrefix)+n]); err != nil {
				return err
			}
			s.counts.published.Add(1)
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return unreadable(readErr)
		}
	}
}
