package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
	"jetstep/tests/harness"
)

const (
	signingKey = "0123456789abcdef0123456789abcdef"
	eventKey   = "an-event-key"

	// trialTimeout bounds a trial as a whole, recoveryTimeout one start of a
	// server. When no one is killed any more, something has to happen at least
	// every stallTimeout until nothing is left to do.
	trialTimeout    = 10 * time.Minute
	recoveryTimeout = 60 * time.Second
	stallTimeout    = 30 * time.Second
)

// site is a server or several, and the app that they call.
type site struct {
	t       *testing.T
	ctx     context.Context
	servers []*harness.Server
	app     *app         // in this process, or
	child   *harness.App // in a process of its own
	ledger  *ledger
	sender  *sender

	partitions int
	frozen     *harness.Server // nil if none is
	stopped    *harness.Server // on purpose; nil if none is

	kills      int
	recoveries []time.Duration
	past       []string // warnings of servers that were killed
}

// siteConfig says what to set up. Each element of servers holds the options
// of one server.
type siteConfig struct {
	servers    [][]string
	partitions int
	childApp   bool
}

// newSite starts everything and registers the app.
func newSite(t *testing.T, c siteConfig) *site {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), trialTimeout)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, partitions: c.partitions}
	t.Cleanup(s.tell)

	home := t.TempDir()
	journalPath := filepath.Join(home, "calls.jsonl")
	s.ledger = newLedger(journalPath)
	s.sender = newSender(eventKey, s.urls)
	url := s.startApp(home, journalPath, c.childApp)
	for _, args := range c.servers {
		server, err := harness.StartServer(ctx, harness.ServerConfig{
			Binary: path, Mode: harness.ModeStart, Dir: t.TempDir(), SigningKey: signingKey, EventKey: eventKey,
			Args: append(args, "--partitions", strconv.Itoa(c.partitions)),
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Kill() })
		s.servers = append(s.servers, server)
	}
	s.awaitServed()
	s.register(url)
	return s
}

// startApp returns the app's serve URL.
func (s *site) startApp(home, journalPath string, child bool) string {
	journal, err := openJournal(journalPath)
	require.NoError(s.t, err)
	if child {
		port, err := harness.FreePort()
		require.NoError(s.t, err)
		self, err := os.Executable()
		require.NoError(s.t, err)
		s.child, err = harness.StartApp(s.ctx, harness.AppConfig{
			Name: "app", Path: self, Home: home, Port: port, Env: []string{playVariable + "=1"},
		})
		require.NoError(s.t, err)
		s.t.Cleanup(func() { _ = s.child.Kill() })
		return "http://127.0.0.1:" + strconv.Itoa(port) + servePath
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	s.app = newApp(journal)
	server := &http.Server{Handler: s.app}
	go func() { _ = server.Serve(listener) }() // ends with Close
	s.t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + servePath
}

// register tells the first server about the app, once for the whole trial:
// later servers have to remember it.
func (s *site) register(url string) {
	body, err := registration(url)
	require.NoError(s.t, err)
	_, err = harness.Await(s.ctx, "registration", func(ctx context.Context) (struct{}, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.servers[0].URL()+"/fn/register", bytes.NewReader(body))
		if err != nil {
			return struct{}{}, err
		}
		req.Header.Set("X-Inngest-Sdk", sdkVersion)
		req.Header.Set("Authorization", "Bearer "+signing.HashKey(signingKey))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return struct{}{}, err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d: %s", res.StatusCode, answer)
		}
		return struct{}{}, err
	})
	require.NoError(s.t, err)
}

func (s *site) urls() []string {
	urls := make([]string, len(s.servers))
	for i, server := range s.servers {
		urls[i] = "http://127.0.0.1:" + strconv.Itoa(server.Config().Port)
	}
	return urls
}

// killServer kills a server and waits until the app has taken note of the last
// calls that it made: those must not be mistaken for calls of its successor.
func (s *site) killServer(i int) {
	server := s.servers[i]
	require.NoError(s.t, server.Kill())
	s.kills++
	s.keepLog(server)
	s.wantNoDefect(server)
	if s.app != nil {
		last := s.app.last()
		s.await(recoveryTimeout, "the app's last answers", func(context.Context) error {
			if !s.app.answered(last) {
				return errors.New("they are not given")
			}
			return nil
		})
	}
}

// restartServer starts a server again and returns when it does its work.
func (s *site) restartServer(i int) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.ctx, recoveryTimeout)
	defer cancel()
	require.NoError(s.t, s.servers[i].Restart(ctx))
	s.awaitServed()
	s.recoveries = append(s.recoveries, time.Since(began))
}

// killStarting starts a server and kills it after a while, or as soon as it is
// up.
func (s *site) killStarting(i int, after time.Duration) {
	ctx, cancel := context.WithTimeout(s.ctx, after)
	defer cancel()
	err := s.servers[i].Restart(ctx)
	if err != nil {
		require.ErrorIs(s.t, err, context.DeadlineExceeded, "it could not start")
	}
	s.killServer(i)
}

// restartApp starts the app again after it was killed.
func (s *site) restartApp() {
	ctx, cancel := context.WithTimeout(s.ctx, recoveryTimeout)
	defer cancel()
	require.NoError(s.t, s.child.Restart(ctx))
}

func (s *site) killApp() {
	require.NoError(s.t, s.child.Kill())
	s.kills++
}

// awaitServed waits until every partition has an owner among the servers that
// run and are not frozen.
func (s *site) awaitServed() {
	s.await(recoveryTimeout, "all partitions to be served", func(ctx context.Context) error {
		missing := float64(s.partitions)
		for _, server := range s.running() {
			metrics, err := readMetrics(ctx, server)
			if err != nil {
				return err
			}
			missing -= float64(s.partitions) - metrics["jetstep_partitions_unserved"]
		}
		if missing > 0 {
			return fmt.Errorf("%v are not", missing)
		}
		return nil
	})
}

func (s *site) running() []*harness.Server {
	var running []*harness.Server
	for _, server := range s.servers {
		if server.Exited() == nil && server != s.frozen {
			running = append(running, server)
		}
	}
	return running
}

// awaitQuiet waits until everything that was accepted is done and nothing is
// left to do.
func (s *site) awaitQuiet() {
	s.awaitDone(s.ledger.catchUp, func() []string { return s.ledger.open(s.sender.required) })
}

// awaitDone does so as told by a ledger.
func (s *site) awaitDone(catchUp func() error, open func() []string) {
	read, moved := s.ledger.journal.offset, time.Now()
	s.await(trialTimeout, "all to be quiet", func(ctx context.Context) error {
		if err := catchUp(); err != nil {
			return harness.Permanent(err)
		}
		err := s.quiet(ctx, open())
		if s.ledger.journal.offset != read {
			read, moved = s.ledger.journal.offset, time.Now()
		}
		if err != nil && time.Since(moved) > stallTimeout {
			return harness.Permanent(fmt.Errorf("nothing happens: %w", err))
		}
		return err
	})
}

// quiet tells what is not done yet; open is what the ledger knows of it.
func (s *site) quiet(ctx context.Context, open []string) error {
	if len(open) > 0 {
		return errors.New(atMost(5, open))
	}
	for _, server := range s.running() {
		metrics, err := readMetrics(ctx, server)
		if err != nil {
			return err
		}
		if depth, live := metrics["inngest_queue_depth"], metrics["jetstep_runs_live"]; depth > 0 || live > 0 {
			return fmt.Errorf("%v jobs are queued and %v runs live", depth, live)
		}
	}
	return nil
}

// check wants that nothing went wrong, and says what happened.
func (s *site) check() {
	s.t.Helper()
	wrong := s.ledger.verdict(s.sender.required, s.sender.optional)
	require.Empty(s.t, wrong, atMost(20, wrong))
	s.t.Logf("%d kills, %d events accepted (%d requests sent again, %d events given up), %d runs, %d step bodies repeated, %d late calls, recovery %s",
		s.kills, s.sender.accepted.Load(), s.sender.again.Load(), len(s.sender.optional), len(s.ledger.runs), s.ledger.repeated, s.ledger.late, spread(s.recoveries))
}

// stop ends the servers in order, which none may refuse.
func (s *site) stop() {
	for _, server := range s.running() {
		err := server.Stop(40 * time.Second)
		s.wantNoDefect(server)
		require.NoError(s.t, err)
	}
}

// wantNoDefect looks for what the runtime says of a defect, which a kill may
// have hidden.
func (s *site) wantNoDefect(server *harness.Server) {
	lines := server.Log().Lines()
	for i, line := range lines {
		if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			require.Fail(s.t, "defect", strings.Join(lines[i:min(i+60, len(lines))], "\n"))
		}
	}
}

func (s *site) await(timeout time.Duration, what string, probe func(context.Context) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	_, err := harness.Await(ctx, what, func(ctx context.Context) (struct{}, error) {
		for _, server := range s.servers {
			if err := server.Exited(); err != nil && server != s.stopped && !strings.Contains(err.Error(), "killed") {
				return struct{}{}, harness.Permanent(err)
			}
		}
		return struct{}{}, probe(ctx)
	})
	require.NoError(s.t, err)
}

// keepLog keeps what a killed server complained about, but for the failures
// that scripts make.
func (s *site) keepLog(server *harness.Server) {
	for line := range strings.Lines(server.Log().Mentioning(`"level":"WARN"`, `"level":"ERROR"`)) {
		if !strings.Contains(line, firstFailure) {
			s.past = append(s.past, strings.TrimSpace(line))
		}
	}
}

// tell shows the servers' complaints if the test failed.
func (s *site) tell() {
	if !s.t.Failed() {
		return
	}
	for _, server := range s.servers {
		s.keepLog(server)
	}
	s.t.Logf("after %d kills; warnings of servers, latest last:\n%s", s.kills, strings.Join(s.past[max(0, len(s.past)-40):], "\n"))
}

// readMetrics reads GET /metrics: values by name, for metrics without labels.
func readMetrics(ctx context.Context, server *harness.Server) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			metrics[name] = n
		}
	}
	return metrics, nil
}

// spread is the least, the middle and the greatest of durations.
func spread(all []time.Duration) string {
	if len(all) == 0 {
		return "never"
	}
	sorted := append([]time.Duration(nil), all...)
	slices.Sort(sorted)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("%v to %v, median %v", round(sorted[0]), round(sorted[len(sorted)-1]), round(sorted[len(sorted)/2]))
}
