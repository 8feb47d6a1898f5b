package bus

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// serverLog passes the embedded server's warnings and errors on, and keeps
// what only the server's log tells: why it does not start, and that a stream
// cannot be written any more. Fatalf does not end the process.
type serverLog struct {
	log *slog.Logger
	// onWriteError is told that a stream has become read-only.
	onWriteError func(stream string, err error)

	mu    sync.Mutex
	last  string // error
	fatal string // first fatal error
}

// The server's message about a stream that could not be written; its values
// are account, stream and error.
const writeErrorFormat = "critical write error"

// knownWarnings are about what Jetstep does on purpose: messages of up to 8
// MiB, and a listener's password as the configuration has it.
var knownWarnings = []string{"Maximum payloads over", "Plaintext passwords detected"}

func (l *serverLog) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *serverLog) fatalError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: " + fmt.Sprintf(format, v...))
}

func (l *serverLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	for _, known := range knownWarnings {
		if strings.Contains(text, known) {
			return
		}
	}
	l.log.Warn("nats: " + text)
}

func (l *serverLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	l.last = text
	l.mu.Unlock()
	l.log.Error("nats: " + text)
	if strings.Contains(format, writeErrorFormat) && len(v) == 3 && l.onWriteError != nil {
		if err, ok := v[2].(error); ok {
			l.onWriteError(fmt.Sprint(v[1]), err)
		}
	}
}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
	l.mu.Unlock()
	l.Errorf(format, v...)
}

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
