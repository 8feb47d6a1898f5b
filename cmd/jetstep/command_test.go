package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// patience bounds every wait: far beyond what a loaded machine needs, so that
// only a hung process reaches it.
const patience = 2 * time.Minute

// binary is the real jetstep, built when a test first asks for it.
var binary func() (string, error)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "jetstep-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = sync.OnceValues(func() (string, error) { return harness.BuildServer(context.Background(), dir) })
	return m.Run()
}

// invocation says how to run the binary.
type invocation struct {
	args []string
	env  []string // "NAME=value"
	dir  string   // working directory, "" for an empty one
}

// running is a jetstep process that keeps its two outputs apart, which the
// harness for whole systems does not.
type running struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{} // closed when the process has ended
}

// start runs the command in the background, until the test ends at the latest.
func start(t *testing.T, c invocation) *running {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	r := &running{t: t, cmd: exec.Command(path, c.args...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	r.cmd.Dir = c.dir
	r.cmd.Env = harness.Environment(t.TempDir(), append(c.env, "TMPDIR="+t.TempDir())...)
	require.NoError(t, r.cmd.Start())
	go func() {
		_ = r.cmd.Wait() // its state has the exit code
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.done
		if t.Failed() {
			t.Logf("jetstep %s\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), &r.stdout, &r.stderr)
		}
	})
	return r
}

func (r *running) signal(sig syscall.Signal) {
	r.t.Helper()
	require.NoError(r.t, r.cmd.Process.Signal(sig))
}

// wait waits for the end and returns the exit code, -1 after a signal.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("jetstep did not end in %s", patience)
	}
	return r.cmd.ProcessState.ExitCode()
}

// awaitRecord waits for the first log record with this message.
func (r *running) awaitRecord(msg string) record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := harness.Await(ctx, "log record "+msg, func(context.Context) (record, error) {
		for line := range bytes.Lines([]byte(r.stderr.String())) {
			if rec, err := parseRecord(line); err == nil && rec.Msg == msg {
				return rec, nil
			}
		}
		select {
		case <-r.done:
			return record{}, harness.Permanent(fmt.Errorf("jetstep has ended"))
		default:
			return record{}, fmt.Errorf("not logged")
		}
	})
	require.NoError(r.t, err)
	return found
}

// url waits until the server is up and returns its address.
func (r *running) url() string {
	r.t.Helper()
	url, _ := r.awaitRecord("jetstep is running").attrs["url"].(string)
	return url
}

// record is a log line; attrs has all of its members.
type record struct {
	Time  time.Time
	Level string
	Msg   string
	attrs map[string]any
}

func parseRecord(line []byte) (record, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return record{}, err
	}
	return r, json.Unmarshal(line, &r.attrs)
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
