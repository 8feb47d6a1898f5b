package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

const (
	// headerChunk marks a part of what is larger than a message: "<i>/<n>".
	headerChunk = "Jetstep-Chunk"
	// chunkRoom is kept free in a message for headers and framing.
	chunkRoom = 4 << 10
)

// chunkSize is how much of a record fits into one message.
func (b *Bus) chunkSize() int { return b.maxPayload - chunkRoom }

// chunks is the number of messages that a record of that size takes.
func chunks(size, chunk int) int { return max((size+chunk-1)/chunk, 1) }

// part is the i-th of n parts of a record; chunk is its headerChunk.
func (b *Bus) part(data []byte, i, n int) (part []byte, chunk string) {
	size := b.chunkSize()
	return data[i*size : min((i+1)*size, len(data))], strconv.Itoa(i+1) + "/" + strconv.Itoa(n)
}

// storeInParts stores data as m, or as several messages when one does not hold it.
// These have no header of m, and writer tells them apart from those of others.
func (b *Bus) storeInParts(ctx context.Context, m *nats.Msg, writer string, data []byte) error {
	n := chunks(len(data), b.chunkSize())
	if n == 1 {
		m.Data = data
		return b.store(ctx, m)
	}
	for i := range n {
		part, chunk := b.part(data, i, n)
		piece := &nats.Msg{Subject: m.Subject, Data: part, Header: nats.Header{headerWriter: {writer}, headerChunk: {chunk}}}
		if err := b.store(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

// assembler puts records together from their parts. A record is complete when
// all its parts follow one another; what a dead writer left is dropped.
type assembler struct {
	parts []byte
	have  int
}

// add takes the next message and returns a record when it completes one. chunk
// is its headerChunk.
func (a *assembler) add(chunk string, data []byte) (record []byte, complete bool, err error) {
	if chunk == "" {
		a.parts, a.have = nil, 0
		return data, true, nil
	}
	i, n, err := parseChunk(chunk)
	if err != nil {
		return nil, false, err
	}
	if i == 1 {
		a.parts, a.have = nil, 0
	}
	if i != a.have+1 {
		a.parts, a.have = nil, 0
		return nil, false, nil // the rest of a record whose beginning is gone
	}
	a.have = i
	a.parts = append(a.parts, data...)
	if i < n {
		return nil, false, nil
	}
	record = a.parts
	a.parts, a.have = nil, 0
	return record, true, nil
}

func parseChunk(s string) (i, n int, err error) {
	first, last, ok := strings.Cut(s, "/")
	if ok {
		if i, err = strconv.Atoi(first); err == nil {
			n, err = strconv.Atoi(last)
		}
	}
	if !ok || err != nil || i < 1 || i > n {
		return 0, 0, fmt.Errorf("bad header %s: %q", headerChunk, s)
	}
	return i, n, nil
}
