package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// ErrCorrupt is wrapped by errors of decoding a record.
var ErrCorrupt = errors.New("corrupt record")

// coder reads or writes a value, field by field in a fixed order; the same
// code method serves both directions, so that they cannot disagree. Writing
// changes nothing: others may read the value at the same time. A value
// may end early (an older writer): the remaining fields stay zero. New fields
// are only ever added at the end.
type coder struct {
	b       []byte
	reading bool
	whole   bool // in a list, whose elements do not end early unless blocks
	err     error
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	c.b = nil
}

func (c *coder) uint64(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	if len(c.b) == 0 && !c.whole {
		*v = 0
		return
	}
	n, size := binary.Uvarint(c.b)
	if size <= 0 {
		c.fail("bad number")
		return
	}
	*v, c.b = n, c.b[size:]
}

func (c *coder) int64(v *int64) {
	u := uint64(*v<<1) ^ uint64(*v>>63)
	c.uint64(&u)
	if c.reading {
		*v = int64(u>>1) ^ -int64(u&1)
	}
}

func (c *coder) int(v *int) {
	n := int64(*v)
	c.int64(&n)
	if c.reading {
		*v = int(n)
	}
}

func (c *coder) bool(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	c.uint64(&u)
	if c.reading {
		*v = u != 0
	}
}

func (c *coder) uint8(v *uint8) {
	u := uint64(*v)
	c.uint64(&u)
	if !c.reading {
		return
	}
	if u > 255 {
		c.fail("number %d does not fit a byte", u)
	}
	*v = uint8(u)
}

// take reads n raw bytes.
func (c *coder) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail("%d bytes wanted, %d left", n, len(c.b))
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *coder) string(v *string) {
	n := uint64(len(*v))
	c.uint64(&n)
	if c.reading {
		*v = string(c.take(n))
		return
	}
	c.b = append(c.b, *v...)
}

// bytes keeps nil and empty apart: 0 is nil, n+1 is n bytes.
func (c *coder) bytes(v *[]byte) {
	n := uint64(0)
	if *v != nil {
		n = uint64(len(*v)) + 1
	}
	c.uint64(&n)
	if !c.reading {
		c.b = append(c.b, *v...)
		return
	}
	*v = nil
	if n > 0 {
		raw := c.take(n - 1)
		*v = append(make([]byte, 0, len(raw)), raw...)
	}
}

func (c *coder) fixed(v []byte) {
	if !c.reading {
		c.b = append(c.b, v...)
		return
	}
	if len(c.b) > 0 || c.whole {
		copy(v, c.take(uint64(len(v))))
	}
}

// float64 takes eight bytes, so that it comes back to the last bit.
func (c *coder) float64(v *float64) {
	var b [8]byte
	if !c.reading {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(*v))
	}
	c.fixed(b[:])
	if c.reading {
		*v = math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
	}
}

func (c *coder) ulid(v *ulid.ULID) { c.fixed(v[:]) }
func (c *coder) uuid(v *uuid.UUID) { c.fixed(v[:]) }

// rareULID takes a single byte for an id that stands for none.
func (c *coder) rareULID(v *ulid.ULID) {
	there := !v.IsZero()
	c.bool(&there)
	if there {
		c.ulid(v)
	}
}

// list codes a slice: its length, then each element. An element takes at
// least one byte, which bounds the length of a list that is read.
func list[T any](c *coder, v *[]T, element func(*coder, *T)) {
	n := uint64(len(*v))
	c.uint64(&n)
	if c.reading {
		if n > uint64(len(c.b)) {
			c.fail("list of %d in %d bytes", n, len(c.b))
			return
		}
		*v = nil
		if n > 0 {
			*v = make([]T, n)
		}
	}
	outer := c.whole
	c.whole = true
	for i := range *v {
		if c.err != nil {
			break
		}
		element(c, &(*v)[i])
	}
	c.whole = outer
}

func codeString(c *coder, v *string) { c.string(v) }

func codeRaw[T ~[]byte](c *coder, v *T) {
	raw := []byte(*v)
	c.bytes(&raw)
	if c.reading {
		*v = raw
	}
}

func codeULID(c *coder, v *ulid.ULID) { c.ulid(v) }

// block codes a value with its length, so that readers can skip or bound it.
func (c *coder) block(code func(*coder)) {
	if !c.reading {
		// The length is not known yet: leave a byte, and move the block when
		// its length takes more.
		start := len(c.b)
		c.b = append(c.b, 0)
		code(c)
		size := len(c.b) - start - 1
		var prefix [binary.MaxVarintLen64]byte
		width := binary.PutUvarint(prefix[:], uint64(size))
		if width > 1 {
			c.b = append(c.b, prefix[1:width]...)
			copy(c.b[start+width:], c.b[start+1:start+1+size])
		}
		copy(c.b[start:], prefix[:width])
		return
	}
	var n uint64
	c.uint64(&n)
	inner := coder{b: c.take(n), reading: true}
	if c.err != nil {
		return
	}
	code(&inner)
	if inner.err != nil {
		c.err, c.b = inner.err, nil
	}
}
