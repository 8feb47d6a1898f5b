package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Call records that the body of a step ran. Attempt is 0-based, At is in Unix
// milliseconds.
type Call struct {
	Token   string `json:"token"`
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Run     string `json:"run"`
	Detail  any    `json:"detail,omitempty"`
	At      int64  `json:"at"`
}

// CallLog holds the calls of this app, in order, grouped by token. Each call is
// also appended to a file before the step's body goes on, so that the log
// survives a SIGKILL in the middle of that body.
type CallLog struct {
	mu      sync.Mutex
	file    *os.File // nil: memory only
	byToken map[string][]Call
}

// OpenCallLog reads what an earlier process left in the file, which need not
// exist. With an empty path the log is kept in memory only.
func OpenCallLog(path string) (*CallLog, error) {
	l := &CallLog{byToken: map[string][]Call{}}
	if path == "" {
		return l, nil
	}
	if err := l.load(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading call log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	l.file = file
	return l, nil
}

func (l *CallLog) load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var call Call
		if err := json.Unmarshal(lines.Bytes(), &call); err != nil {
			return err
		}
		l.byToken[call.Token] = append(l.byToken[call.Token], call)
	}
	return lines.Err()
}

// Record appends the call, at the present time.
func (l *CallLog) Record(call Call) {
	call.At = time.Now().UnixMilli()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byToken[call.Token] = append(l.byToken[call.Token], call)
	if l.file == nil {
		return
	}
	line, err := json.Marshal(call)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Errorf("writing call log: %w", err))
	}
}

// Of returns the calls with this token; never nil.
func (l *CallLog) Of(token string) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Call{}, l.byToken[token]...)
}

// Count returns how often the step ran under this token.
func (l *CallLog) Count(token, step string) int {
	n := 0
	for _, call := range l.Of(token) {
		if call.Step == step {
			n++
		}
	}
	return n
}
