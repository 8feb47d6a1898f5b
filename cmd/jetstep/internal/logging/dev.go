package logging

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// devHandler writes lines for people: [15:04:05.000] INF message key=value.
// Attributes of With are formatted once.
type devHandler struct {
	mu    *sync.Mutex // shared by all handlers of one writer
	w     io.Writer
	level slog.Level
	color bool

	attrs  string // " key=value…" from WithAttrs
	prefix string // "group." from WithGroup
}

func newDevHandler(w io.Writer, level slog.Level, color bool) *devHandler {
	return &devHandler{mu: &sync.Mutex{}, w: w, level: level, color: color}
}

// Enabled implements slog.Handler.
func (h *devHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements slog.Handler.
func (h *devHandler) Handle(_ context.Context, r slog.Record) error {
	level := levels[rank(r.Level)]
	line := make([]byte, 0, 256)
	line = h.paint(line, "90", r.Time.UTC().Format("[15:04:05.000]"))
	line = append(line, ' ')
	line = h.paint(line, level.color, level.short)
	line = append(line, ' ')
	line = append(line, oneLine(r.Message)...)
	line = append(line, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		line = h.appendAttr(line, h.prefix, a)
		return true
	})
	line = append(line, '\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line)
	return err
}

// WithAttrs implements slog.Handler.
func (h *devHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	line := []byte(h.attrs)
	for _, a := range attrs {
		line = h.appendAttr(line, h.prefix, a)
	}
	with := *h
	with.attrs = string(line)
	return &with
}

// WithGroup implements slog.Handler.
func (h *devHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix += name + "."
	return &with
}

func (h *devHandler) appendAttr(line []byte, prefix string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range value.Group() {
			line = h.appendAttr(line, prefix, member)
		}
		return line
	}
	if a.Key == "" {
		return line
	}
	line = append(line, ' ')
	line = h.paint(line, "90", prefix+a.Key+"=")
	return append(line, quoted(text(value))...)
}

func (h *devHandler) paint(line []byte, color, s string) []byte {
	if !h.color {
		return append(line, s...)
	}
	line = append(line, "\x1b["...)
	line = append(line, color...)
	line = append(line, 'm')
	line = append(line, s...)
	return append(line, "\x1b[0m"...)
}

func text(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().UTC().Format(time.RFC3339Nano)
	}
	return v.String()
}

func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}

func oneLine(s string) string {
	if strings.ContainsAny(s, "\r\n\x1b") {
		return strconv.Quote(s)
	}
	return s
}
