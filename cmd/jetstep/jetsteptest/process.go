package jetsteptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait: far beyond what a loaded machine needs, so that
// only a hung process reaches it.
const patience = 60 * time.Second

// Command says what to run.
type Command struct {
	Args []string
	Env  []string // "NAME=value", in addition to the bare environment
	Dir  string   // working directory, "" for an empty one
}

// Process is a running or ended jetstep.
type Process struct {
	Stdout, Stderr *Output

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Run runs the command to its end.
func Run(t testing.TB, c Command) *Process {
	t.Helper()
	p := Start(t, c)
	p.Wait()
	return p
}

// Start runs the command in the background. It is killed when the test ends.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	p := &Process{Stdout: newOutput(), Stderr: newOutput(), t: t, done: make(chan struct{})}
	p.cmd = exec.Command(Binary(t), c.Args...)
	p.cmd.Stdout, p.cmd.Stderr = p.Stdout, p.Stderr
	p.cmd.Dir = c.Dir
	if c.Dir == "" {
		p.cmd.Dir = t.TempDir()
	}
	p.cmd.Env = append(bareEnv(t), c.Env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting jetstep: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // the state has the exit code
		p.Stdout.close()
		p.Stderr.close()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if t.Failed() {
			t.Logf("jetstep %s\nstdout: %s\nstderr: %s", strings.Join(c.Args, " "), p.Stdout, p.Stderr)
		}
	})
	return p
}

func bareEnv(t testing.TB) []string {
	env := []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	for _, name := range []string{"PATH", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Pid is the id of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %v: %v", sig, err)
	}
}

// Kill ends the process as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	p.Signal(os.Kill)
	p.Wait()
}

// Wait waits for the end and returns the exit code, -1 after a signal.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("jetstep did not end in %s", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Record is a log line. Attributes are in Attrs, together with the rest.
type Record struct {
	Time  time.Time
	Level string
	Msg   string
	Attrs map[string]any `json:"-"`
}

// AwaitRecord waits for the first log record with this message.
func (p *Process) AwaitRecord(msg string) Record {
	p.t.Helper()
	var found Record
	ok := p.Stderr.await(patience, func(text []byte) bool {
		for line := range bytes.Lines(text) {
			r, err := ParseRecord(line)
			if err == nil && r.Msg == msg {
				found = r
				return true
			}
		}
		return false
	})
	if !ok {
		p.t.Fatalf("jetstep never logged %q", msg)
	}
	return found
}

// URL waits until the server is up and returns its address.
func (p *Process) URL() string {
	p.t.Helper()
	url, _ := p.AwaitRecord("jetstep is running").Attrs["url"].(string)
	return url
}

// ParseRecord reads one line of a JSON log.
func ParseRecord(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, err
	}
	return r, json.Unmarshal(line, &r.Attrs)
}

// Output collects what a process writes and lets others wait for it.
type Output struct {
	mu      sync.Mutex
	text    []byte
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

func newOutput() *Output { return &Output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.change(func() { o.text = append(o.text, b...) })
	return len(b), nil
}

func (o *Output) close() { o.change(func() { o.closed = true }) }

func (o *Output) change(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
	close(o.changed)
	o.changed = make(chan struct{})
}

// String is everything so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// await waits until ok accepts what was written, and reports whether it did
// before the process ended or the time was over.
func (o *Output) await(limit time.Duration, ok func(text []byte) bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		o.mu.Lock()
		accepted, closed, changed := ok(o.text), o.closed, o.changed
		o.mu.Unlock()
		if accepted || closed {
			return accepted
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}
