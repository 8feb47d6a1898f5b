package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/cmd/jetstep/internal/config"
	"jetstep/function"
)

// fakeService stops as it is told to.
type fakeService struct {
	shutdown func(ctx context.Context) error
}

func (f fakeService) URL() string                        { return "http://localhost:1" }
func (f fakeService) KnownApps() []string                { return nil }
func (f fakeService) Draining() string                   { return "" }
func (f fakeService) Location() string                   { return "nowhere" }
func (f fakeService) History() string                    { return "nowhere" }
func (f fakeService) Failed() <-chan error               { return nil }
func (f fakeService) Shutdown(ctx context.Context) error { return f.shutdown(ctx) }

func TestStop(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	sleep := func(d time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return fmt.Errorf("steps are running: %w", ctx.Err())
			}
		}
	}
	cases := map[string]struct {
		shutdown func(context.Context) error
		want     string // error
		took     time.Duration
		logged   string
	}{
		"idle":          {shutdown: sleep(0), logged: "stopped"},
		"busy for long": {shutdown: sleep(9 * time.Second), took: 9 * time.Second, logged: "stopped"},
		"too long":      {shutdown: sleep(time.Hour), took: timeout, logged: "stopped while steps were running"},
		"hung": {shutdown: func(context.Context) error { time.Sleep(time.Hour); return nil },
			took: timeout + shutdownGrace, logged: "parts of the server did not stop in time"},
		"failed": {shutdown: func(context.Context) error { return errors.New("disk full") }, want: "shutting down: disk full"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				began := time.Now()
				err := stop(fakeService{shutdown: c.shutdown}, timeout, slog.New(slog.NewTextHandler(&log, nil)))
				require.Equal(t, c.took, time.Since(began))
				defer time.Sleep(2 * time.Hour) // let the hung one end
				require.Contains(t, log.String(), c.logged)
				if c.want == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, c.want)
				}
			})
		})
	}
}

func TestShutdownTimeout(t *testing.T) {
	t.Parallel()
	cases := []struct {
		mode        config.Mode
		given, want time.Duration
	}{
		{config.Start, 30 * time.Second, 30 * time.Second},
		{config.Start, 0, 0},
		{config.Dev, 30 * time.Second, time.Second},
		{config.Dev, time.Millisecond, time.Millisecond},
	}
	for _, c := range cases {
		require.Equal(t, c.want, shutdownTimeout(config.Options{Mode: c.mode, ShutdownTimeout: c.given}))
	}
}

// busyPort is taken until the test ends.
func busyPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return portOf(l)
}

func TestPortConflicts(t *testing.T) {
	t.Parallel()
	t.Run("dev moves on and says so", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		busy, busyNATS := busyPort(t), busyPort(t)
		opts := config.Options{Mode: config.Dev, Host: "127.0.0.1", Port: busy,
			NATS: config.NATS{Port: busyNATS, ListenHost: "127.0.0.1"}}
		p, err := openPorts(&opts, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		defer p.close()
		require.Greater(t, opts.Port, busy)
		require.Equal(t, portOf(p.api), opts.Port)
		require.Greater(t, opts.NATS.Port, busyNATS)
		require.NotEqual(t, opts.Port, opts.NATS.Port)
		require.Contains(t, log.String(), fmt.Sprintf(
			`msg="Port conflict, using new port" name="dev server api" from=%d to=%d`, busy, opts.Port))
		require.Contains(t, log.String(), fmt.Sprintf("name=nats from=%d to=%d", busyNATS, opts.NATS.Port))
	})
	t.Run("start fails", func(t *testing.T) {
		t.Parallel()
		busy := busyPort(t)
		opts := config.Options{Mode: config.Start, Host: "127.0.0.1", Port: busy}
		_, err := openPorts(&opts, slog.New(slog.DiscardHandler))
		require.EqualError(t, err, fmt.Sprintf(
			"cannot listen on port %d: listen tcp 127.0.0.1:%d: bind: address already in use", busy, busy))
	})
	t.Run("start fails on the port of NATS", func(t *testing.T) {
		t.Parallel()
		busy := busyPort(t)
		opts := config.Options{Mode: config.Start, Host: "127.0.0.1",
			NATS: config.NATS{Port: busy, ListenHost: "127.0.0.1"}}
		_, err := openPorts(&opts, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, fmt.Sprintf("cannot listen on nats-port %d: ", busy))
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", opts.Port))
		require.NoError(t, err, "the API's port is free again")
		require.NoError(t, l.Close())
	})
	t.Run("an address of another machine", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{Mode: config.Dev, Host: "192.0.2.1", Port: 8288}
		_, err := openPorts(&opts, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, "cannot assign requested address", "searching would be pointless")
	})
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"0.0.0.0": "http://localhost:80", "127.0.0.1": "http://localhost:80", "::": "http://localhost:80",
		"10.1.2.3": "http://10.1.2.3:80", "fe80::1": "http://[fe80::1]:80",
	}
	for ip, want := range cases {
		require.Equal(t, want, publicURL(&net.TCPAddr{IP: net.ParseIP(ip), Port: 80}))
	}
}

func TestClaimDirs(t *testing.T) {
	t.Parallel()
	t.Run("a temporary directory goes", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{Mode: config.Dev}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.DirExists(t, opts.NATS.StoreDir)
		require.True(t, d.isTemporary(opts.NATS.StoreDir))
		require.NoError(t, d.release())
		require.NoDirExists(t, opts.DataDir)
	})
	t.Run("a named one stays, and is private", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{DataDir: filepath.Join(t.TempDir(), "a", "b")}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.False(t, d.isTemporary(opts.NATS.StoreDir))
		require.NoError(t, d.release())
		info, err := os.Stat(opts.NATS.StoreDir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o750), info.Mode().Perm())
	})
	t.Run("only the store is kept", func(t *testing.T) {
		t.Parallel()
		store := filepath.Join(t.TempDir(), "n")
		opts := config.Options{NATS: config.NATS{StoreDir: store}}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.False(t, d.isTemporary(store))
		require.NoError(t, d.release())
		require.DirExists(t, store)
	})
	t.Run("one owner at a time", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		first := config.Options{DataDir: dir}
		d, err := claimDirs(&first)
		require.NoError(t, err)

		second := config.Options{DataDir: dir}
		_, err = claimDirs(&second)
		inUse := fmt.Sprintf("data directory %s is in use by another jetstep (process %d)", dir, os.Getpid())
		require.EqualError(t, err, inUse)
		elsewhere := config.Options{NATS: config.NATS{StoreDir: dir}}
		_, err = claimDirs(&elsewhere)
		require.EqualError(t, err, inUse)

		require.NoError(t, d.release())
		d, err = claimDirs(&second)
		require.NoError(t, err)
		require.NoError(t, d.release())
	})
	t.Run("a file in the way", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		for _, opts := range []config.Options{
			{DataDir: filepath.Join(file, "d")},
			{DataDir: t.TempDir(), NATS: config.NATS{StoreDir: filepath.Join(file, "n")}},
		} {
			_, err := claimDirs(&opts)
			require.ErrorContains(t, err, "cannot use data directory "+file)
			require.ErrorContains(t, err, "not a directory")
		}
	})
	t.Run("a lock that cannot be written", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, lockName), 0o700))
		opts := config.Options{DataDir: dir}
		_, err := claimDirs(&opts)
		require.ErrorContains(t, err, "cannot use data directory "+dir+": open ")
	})
	t.Run("nothing with an external NATS and PostgreSQL", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{NATS: config.NATS{URLs: []string{"nats://h"}}, Original: config.Original{PostgresURI: "postgres://h/d"}}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.Empty(t, opts.DataDir)
		require.NoError(t, d.release())
	})
	t.Run("only the history with an external NATS", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{NATS: config.NATS{URLs: []string{"nats://h"}}, DataDir: filepath.Join(t.TempDir(), "d")}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.Equal(t, opts.DataDir, opts.SQLiteDir)
		require.DirExists(t, opts.DataDir)
		require.NoDirExists(t, opts.NATS.StoreDir)
		require.NoError(t, d.release())
	})
	t.Run("the history elsewhere", func(t *testing.T) {
		t.Parallel()
		opts := config.Options{DataDir: t.TempDir(), SQLiteDir: filepath.Join(t.TempDir(), "h")}
		d, err := claimDirs(&opts)
		require.NoError(t, err)
		require.FileExists(t, filepath.Join(opts.SQLiteDir, lockName))
		require.NoError(t, d.release())
	})
}

func TestTemporaryDirsAreRemovedWhileFilesAreStillMade(t *testing.T) {
	t.Parallel()
	d := &dirs{temporary: filepath.Join(t.TempDir(), "d")}
	full, done := make(chan struct{}), make(chan struct{})
	defer func() { <-done }() // before the directory of the test is removed
	go func() {
		defer close(done)
		for i := range 5000 {
			_ = os.MkdirAll(d.temporary, 0o700)
			_ = os.WriteFile(filepath.Join(d.temporary, strconv.Itoa(i)), nil, 0o600)
			if i == 100 {
				close(full)
			}
		}
	}()
	<-full
	require.NoError(t, d.release())
}

func TestIsBelow(t *testing.T) {
	t.Parallel()
	cases := map[string]bool{"/a": true, "/a/b": true, "/a/..b": true, "/ab": false, "/": false, "/b": false}
	for path, want := range cases {
		require.Equal(t, want, isBelow(path, "/a"), path)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	dev := config.Options{Mode: config.Dev, Discovery: true, SDKURLs: []string{"localhost:3000/api/inngest"}}
	require.Equal(t, []fact{
		{"url", "http://h"}, {"events", "http://h/e/<any key>"},
		{"apps", "localhost:3000/api/inngest, looking on local ports"}, {"storage", "s"}, {"history", "db"},
	}, facts(dev, "http://h", "s", "db", nil))

	start := config.Options{Mode: config.Start, EventKeys: []string{"secret", "b"}}
	require.Equal(t, []fact{
		{"url", "http://h"}, {"events", "http://h/e/<key>, 2 accepted"}, {"apps", "register themselves"}, {"storage", "s"}, {"history", "db"},
	}, facts(start, "http://h", "s", "db", nil))

	known := describeApps([]*function.App{
		{Name: "shop", Functions: make([]function.Function, 3)}, {URL: "http://localhost:3000"}, {Name: "mail", Error: "unreachable"},
	})
	require.Contains(t, facts(start, "http://h", "s", "db", known),
		fact{"apps", "shop with 3 functions, mail with 0 functions (unreachable)"}, "what a restart finds in the registry")
}

func TestStorageFact(t *testing.T) {
	t.Parallel()
	external := config.Options{NATS: config.NATS{URLs: []string{"nats://h"}}}
	require.Equal(t, "at", storageFact(external, "at", false))
	require.Equal(t, "at, removed at exit (--persist keeps it)", storageFact(config.Options{}, "at", true))
	require.Equal(t, "at, synced every second", storageFact(config.Options{Fsync: config.FsyncInterval}, "at", false))
	require.Equal(t, "at, synced on every write", storageFact(config.Options{Fsync: config.FsyncAlways}, "at", false))
}

// TestServe is a whole life on a terminal: banner, health, signal, end.
func TestServe(t *testing.T) {
	t.Parallel()
	banner, stdout := io.Pipe()
	var log bytes.Buffer
	signals, code := make(chan os.Signal, 1), make(chan int, 1)
	p := process{
		args:    []string{"jetstep", "dev", "--host", "127.0.0.1", "--port", "0", "--tick", "5", "-l", "debug", "extra"},
		environ: []string{"LOG_HANDLER=text"},
		dir:     t.TempDir(), stdout: stdout, stderr: &log, terminal: true, signals: signals,
		exit: func(code int) { t.Errorf("unexpected exit(%d)", code) },
	}
	go func() { code <- run(context.Background(), p) }()

	text := make([]byte, 4096)
	n, err := banner.Read(text)
	require.NoError(t, err)
	_, rest, ok := bytes.Cut(text[:n], []byte("url"))
	require.True(t, ok, "banner: %s", text[:n])
	url := string(bytes.Fields(rest)[0])

	resp, err := http.Get(url + "/health")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)

	signals <- os.Interrupt
	require.Equal(t, 0, <-code)
	_, err = http.Get(url + "/health")
	require.Error(t, err, "the listener is closed")
	for _, line := range []string{
		`level=WARN msg="options are accepted but have no effect yet" options=[tick]`,
		`level=WARN msg="ignoring arguments that are no option" arguments=[extra]`,
		`level=INFO msg="jetstep is running" mode=dev`, `level=INFO msg=stopped`,
	} {
		require.Contains(t, log.String(), line)
	}
}

func TestServeCannotStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cases := map[string]struct {
		opts config.Options
		want string
	}{
		"port":      {config.Options{Mode: config.Start, Host: "127.0.0.1", Port: busyPort(t)}, "address already in use"},
		"directory": {config.Options{Mode: config.Start, Host: "127.0.0.1", DataDir: file}, "not a directory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, serve(context.Background(), c.opts, slog.New(slog.DiscardHandler), io.Discard), c.want)
		})
	}
}
