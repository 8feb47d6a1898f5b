package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Target is the server that is measured: one at a URL, or a child process.
type Target struct {
	URL      string
	EventKey string
	Bearer   string // for the API, "" when it needs none

	child *child // nil for a server at a URL
}

// child is a server started for the measurement.
type child struct {
	binary string
	args   []string
	dir    string
	cmd    *exec.Cmd
	log    *os.File
}

// startTimeout bounds the wait for a server to become healthy or ready.
const startTimeout = 2 * time.Minute

// StartTarget runs `jetstep start` from binary on a free port with its data in
// dir, and returns it once healthy, with the time that took.
func StartTarget(ctx context.Context, binary, dir string, args ...string) (*Target, time.Duration, error) {
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return nil, 0, err
	}
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	logFile, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, 0, err
	}
	signing := hex.EncodeToString(key)
	t := &Target{
		URL: "http://127.0.0.1:" + strconv.Itoa(port), EventKey: "bench", Bearer: signing,
		child: &child{binary: binary, dir: dir, log: logFile, args: append([]string{
			"start", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--signing-key", signing, "--event-key", "bench",
			"--data-dir", filepath.Join(dir, "data"), "--log-level", "warn",
		}, args...)},
	}
	took, err := t.Restart(ctx, "/health")
	if err != nil {
		t.Stop()
		return nil, 0, err
	}
	return t, took, nil
}

// freePort is a port that was free a moment ago, out of a range that systems do
// not take the local ports of outgoing connections from: a server that is
// killed under load has to get it back.
func freePort() (int, error) {
	const first, tries = 12_000, 100
	var last error
	for range tries {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first+mathrand.IntN(20_000)))
		if err != nil {
			last = err
			continue
		}
		return l.Addr().(*net.TCPAddr).Port, l.Close()
	}
	return 0, fmt.Errorf("looking for a free port: %w", last)
}

// Restart starts the child and returns how long it took until the path
// answered 200.
func (t *Target) Restart(ctx context.Context, path string) (time.Duration, error) {
	c := t.child
	c.cmd = exec.Command(c.binary, c.args...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", c.binary, err)
	}
	if err := t.Await(ctx, path); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, tail(c.log.Name()))
	}
	return time.Since(begin), nil
}

// Await polls a path until it answers 200.
func (t *Target) Await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		resp, err := http.Get(t.URL + path)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s%s did not answer 200: %w", t.URL, path, errors.Join(err, ctx.Err()))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-2000):])
}

// Kill ends the child as a crash would.
func (t *Target) Kill() error {
	if err := t.child.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = t.child.cmd.Wait() // killed is what it says
	return nil
}

// Stop ends the child, if there is one.
func (t *Target) Stop() {
	if t.child == nil {
		return
	}
	if p := t.child.cmd.Process; p != nil {
		_ = p.Signal(syscall.SIGTERM)
		_ = t.child.cmd.Wait()
	}
	_ = t.child.log.Close()
}

// CPU is the processor time the child has used; ok is false when that cannot
// be told (a server at a URL, or no /proc).
func (t *Target) CPU() (used time.Duration, ok bool) {
	if t.child == nil {
		return 0, false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.child.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick, err1 == nil && err2 == nil
}

// Memory is the child's resident memory now and at its peak, in bytes.
func (t *Target) Memory() (now, peak int64) {
	if t.child == nil {
		return 0, 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.child.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak
}

// errNoMetric is returned for a metric that the server does not have.
var errNoMetric = errors.New("metric is missing")

// Gauge reads one unlabelled value from the server's metrics.
func (t *Target) Gauge(name string) (float64, error) {
	values, err := t.values(name + " ")
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// Sum adds up the values of a metric with labels.
func (t *Target) Sum(name string) (float64, error) {
	values, err := t.values(name + "{")
	sum := 0.0
	for _, value := range values {
		sum += value
	}
	return sum, err
}

// Max is the greatest value of a metric with labels.
func (t *Target) Max(name string) (float64, error) {
	values, err := t.values(name + "{")
	if err != nil {
		return 0, err
	}
	return slices.Max(values), nil
}

// values are those of the lines of the server's metrics that begin so, at least
// one.
func (t *Target) values(prefix string) ([]float64, error) {
	resp, err := http.Get(t.URL + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var values []float64
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		if err != nil {
			return nil, fmt.Errorf("metric %q: %w", line, err)
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: %s", errNoMetric, prefix)
	}
	return values, nil
}
