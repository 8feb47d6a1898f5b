package crash_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// entry is one call of a function, as the app saw it when it came, or a mark.
type entry struct {
	Run        string                     `json:"run"`
	Function   string                     `json:"function"`
	N          int                        `json:"n"` // number of the event
	Request    string                     `json:"request"`
	Attempt    int                        `json:"attempt"`
	Generation int                        `json:"generation"`
	Memos      map[string]json.RawMessage `json:"memos"`

	Ran    string                     `json:"ran,omitempty"` // step whose code succeeded
	By     string                     `json:"by,omitempty"`  // names this execution of it
	Failed string                     `json:"failed,omitempty"`
	Result map[string]json.RawMessage `json:"result,omitempty"` // not nil at the end of the run, except for audit
	Ended  *end                       `json:"ended,omitempty"`  // audit only

	At    time.Time `json:"at,omitzero"`     // when it was written
	Call  string    `json:"call,omitempty"`  // its name, if the function has flow control
	Event string    `json:"event,omitempty"` // its name, witness only
	K     string    `json:"k,omitempty"`     // value of the function's keys
	Batch []int     `json:"batch,omitempty"` // numbers of all events, if they are several

	Mark mark   `json:"mark,omitempty"`
	Of   string `json:"of,omitempty"` // what the mark is about
}

// mark is something that is no call.
type mark string

const (
	opened   mark = "opened"   // the app begins; its calls until now have ended
	answered mark = "answered" // the answer of a call is about to be given
	alone    mark = "alone"    // calls that should have met did not
)

// end is what the server announced about the end of a run.
type end struct {
	Run      string          `json:"run"`
	Function string          `json:"function"`
	N        int             `json:"n"` // number of the run's first event
	K        string          `json:"k,omitempty"`
	Status   string          `json:"status"`
	Result   json.RawMessage `json:"result"`
}

// journal is a file of entries, one a line. What was written survives the end
// of the process.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

// openJournal opens a journal, or makes one. It drops a line of which a killed
// app wrote only a part: that call was never answered.
func openJournal(path string) (*journal, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	return &journal{file: file}, file.Truncate(int64(whole))
}

// write appends an entry, which gets its time.
func (j *journal) write(e *entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// reader reads a journal while it is written.
type reader struct {
	path   string
	offset int64
}

// next gives every complete entry that it has not given before.
func (r *reader) next(each func(*entry)) error {
	file, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.NewSectionReader(file, r.offset, 1<<40))
	if err != nil {
		return err
	}
	for {
		line, rest, complete := bytes.Cut(content, []byte("\n"))
		if !complete {
			return nil
		}
		e := &entry{}
		if err := json.Unmarshal(line, e); err != nil {
			return fmt.Errorf("journal at byte %d: %w in %q", r.offset, err, line)
		}
		each(e)
		r.offset += int64(len(line)) + 1
		content = rest
	}
}
