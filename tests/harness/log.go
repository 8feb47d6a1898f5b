package harness

import (
	"bytes"
	"strings"
	"sync"
)

const (
	maxLogLines = 50_000
	maxLogLine  = 8 << 10 // bytes; longer lines are cut
)

// Log collects the output of a process, line by line. Beyond 50,000 lines the
// oldest are forgotten. It is an [io.Writer], safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	part  []byte // the line being written
	lines []string
}

// Write never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := p
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			l.extend(rest)
			return len(p), nil
		}
		l.extend(rest[:end])
		l.keep()
		rest = rest[end+1:]
	}
}

func (l *Log) extend(p []byte) {
	l.part = append(l.part, p[:min(len(p), maxLogLine-len(l.part))]...)
}

func (l *Log) keep() {
	if len(l.lines) == maxLogLines {
		l.lines = append(l.lines[:0], l.lines[maxLogLines/2:]...)
	}
	l.lines = append(l.lines, string(l.part))
	l.part = l.part[:0]
}

// Lines returns the complete lines so far, oldest first.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// Tail returns the last n lines as one text.
func (l *Log) Tail(n int) string {
	lines := l.Lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Mentioning returns, as one text, the lines that contain one of the words.
// Empty words are ignored.
func (l *Log) Mentioning(words ...string) string {
	var found []string
	for _, line := range l.Lines() {
		for _, word := range words {
			if word != "" && strings.Contains(line, word) {
				found = append(found, line)
				break
			}
		}
	}
	return strings.Join(found, "\n")
}
