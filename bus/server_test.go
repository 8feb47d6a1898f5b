package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestEmbeddedSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Config{StoreDir: dir, Partitions: 1})
	require.Equal(t, "embedded JetStream in "+dir, b.Location())
	exercise(t, b)
	b.Close()
	b = open(t, Config{StoreDir: dir, Partitions: 4})
	require.Equal(t, 1, b.Partitions())
	require.Equal(t, uint64(3), b.LastEvent())
	require.Len(t, storedEvents(t, b), 3)
	require.Len(t, records(t, b), 1)
}

func TestEmbeddedWithFsync(t *testing.T) {
	t.Parallel()
	exercise(t, open(t, Config{StoreDir: t.TempDir(), Partitions: 1, Fsync: true}))
}

// listeningSockets counts the TCP sockets of this process that listen.
func listeningSockets(t *testing.T) int {
	t.Helper()
	own := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			own[target] = true
		}
	}
	n := 0
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // no such protocol here
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && own["socket:["+fields[9]+"]"] {
				n++
			}
		}
	}
	return n
}

// Not parallel: other tests open ports.
func TestEmbeddedOpensNoPort(t *testing.T) {
	b := openEmbedded(t)
	require.Nil(t, b.server.Addr())
	require.Nil(t, b.server.ClusterAddr())
	require.Nil(t, b.server.MonitorAddr())
	require.Empty(t, b.ClientURL())
	if runtime.GOOS != "linux" {
		return
	}
	require.Zero(t, listeningSockets(t))
	open(t, Config{StoreDir: t.TempDir(), ListenHost: "127.0.0.1", ListenPort: -1})
	require.Equal(t, 1, listeningSockets(t), "the count can see a port")
}

func TestEmbeddedListener(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t), newAuthority(t)
	cert, key := ours.issue()
	b := open(t, Config{
		StoreDir: t.TempDir(), ListenHost: "127.0.0.1", ListenPort: -1, Partitions: 1,
		ListenTLSCert: cert, ListenTLSKey: key, ListenUser: "u", ListenPassword: "secret",
	})
	exercise(t, b)
	require.NotContains(t, b.ClientURL(), "secret")
	trust := func(a *authority) nats.Option {
		pool := x509.NewCertPool()
		pool.AddCert(a.cert)
		return nats.Secure(&tls.Config{RootCAs: pool})
	}
	for name, c := range map[string]struct {
		opts []nats.Option
		says string
	}{
		"no login":    {[]nats.Option{trust(ours)}, "Authorization"},
		"wrong login": {[]nats.Option{trust(ours), nats.UserInfo("u", "guess")}, "Authorization"},
		"another CA":  {[]nats.Option{trust(other), nats.UserInfo("u", "secret")}, "unknown authority"},
	} {
		_, err := nats.Connect(b.ClientURL(), c.opts...)
		require.ErrorContains(t, err, c.says, name)
	}
	nc, err := nats.Connect(b.ClientURL(), trust(ours), nats.UserInfo("u", "secret"))
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.Flush())

	// Another process can use it as its external NATS.
	second := open(t, Config{URLs: []string{b.ClientURL()}, TLSCA: ours.file, User: "u", Password: "secret"})
	require.Equal(t, uint64(3), second.LastEvent())
}

// captureLog collects log lines.
type captureLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *captureLog) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *captureLog) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func TestEmbeddedSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	plain := file(t, "plain", "")
	blocked := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(blocked, "jetstream"), nil, 0o600))
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"port taken": {Config{StoreDir: t.TempDir(), ListenHost: "127.0.0.1", ListenPort: taken.Addr().(*net.TCPAddr).Port},
			"did not start: Error listening on port: "},
		"store is a file":         {Config{StoreDir: plain}, "nats store directory: mkdir " + plain},
		"store below a file":      {Config{StoreDir: filepath.Join(plain, "x")}, "nats store directory: mkdir " + plain},
		"a file where streams go": {Config{StoreDir: blocked}, "did not start: Can't start JetStream: "},
		"no certificate":          {Config{StoreDir: t.TempDir(), ListenPort: -1, ListenTLSCert: plain, ListenTLSKey: plain}, "embedded nats tls: "},
		"options no server takes": {Config{StoreDir: t.TempDir(), Domain: "a.b"}, "embedded nats"},
	} {
		log := &captureLog{}
		c.cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		start := time.Now()
		err := tryOpen(t, c.cfg)
		require.ErrorContains(t, err, c.says, name)
		require.NotContains(t, err.Error(), "\n", name)
		require.Less(t, time.Since(start), readyTimeout, "%s: it is not waited for", name)
	}
}

// A failed start leaves nothing behind: the directory can be used at once.
func TestFailedStartFreesTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for range 3 {
		require.Error(t, tryOpen(t, Config{StoreDir: dir, ListenHost: "127.0.0.1", ListenPort: taken.Addr().(*net.TCPAddr).Port}))
	}
	open(t, Config{StoreDir: dir})
}

func TestEmbeddedStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	_, err := Open(ctx, Config{StoreDir: dir})
	require.ErrorIs(t, err, context.Canceled)
	// What could not be interrupted keeps the directory until it has ended.
	eventually(t, func() bool {
		b, err := Open(t.Context(), Config{StoreDir: dir})
		if err != nil {
			require.ErrorIs(t, err, ErrStoreInUse)
			return false
		}
		b.Close()
		return true
	}, "the directory can be used again")
}

func TestStoreHasOneUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, Config{StoreDir: dir})
	err := tryOpen(t, Config{StoreDir: dir})
	require.ErrorIs(t, err, ErrStoreInUse)
	require.ErrorContains(t, err, dir)
	first.Close()
	open(t, Config{StoreDir: dir})
}

const storeEnv = "JETSTEP_BUS_TEST_STORE"

// child starts this test binary for one of the children's tasks.
func child(t *testing.T, task, store string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+task, storeEnv+"="+store)
	cmd.Stderr = os.Stderr
	return cmd
}

// childBus is the bus of a child process.
func childBus() *Bus {
	b, err := Open(context.Background(), Config{StoreDir: os.Getenv(storeEnv), Partitions: 1})
	if err != nil {
		panic(err)
	}
	return b
}

func init() { children["hold store"] = holdStoreChild }

func holdStoreChild() {
	childBus()
	_, _ = os.Stdout.WriteString("open\n")
	select {}
}

// The lock of a process that was killed does not stay.
func TestStoreOfAnotherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := child(t, "hold store", dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 5)
	_, err = out.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "open\n", string(buf))
	require.ErrorIs(t, tryOpen(t, Config{StoreDir: dir}), ErrStoreInUse)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	exercise(t, open(t, Config{StoreDir: dir}))
}

func TestServerLog(t *testing.T) {
	t.Parallel()
	out := &captureLog{}
	var failed []string
	l := &serverLog{
		log:          slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		onWriteError: func(stream string, err error) { failed = append(failed, stream+": "+err.Error()) },
	}
	require.Empty(t, l.lastError())
	l.Noticef("notice %d", 1)
	l.Warnf("warning %d", 2)
	l.Warnf("Maximum payloads over %d are discouraged", 3)
	l.Warnf("Plaintext passwords detected, use nkeys or bcrypt")
	l.Debugf("debug")
	l.Tracef("trace")
	l.Errorf("error %d", 4)
	require.Equal(t, "error 4", l.lastError())
	require.Empty(t, l.fatalError())
	l.Fatalf("fatal %d", 5)
	l.Fatalf("fatal %d", 6)
	require.Equal(t, "fatal 6", l.lastError())
	require.Equal(t, "fatal 5", l.fatalError(), "the first tells the cause")
	require.Empty(t, failed)
	l.Errorf("JetStream stream '%s > %s' critical write error: %v", "$G", "LOG_3", os.ErrPermission)
	require.Equal(t, []string{"LOG_3: permission denied"}, failed)
	text := out.String()
	for _, want := range []string{"nats: notice 1", "nats: warning 2", "nats: error 4", "nats: fatal 5", "nats: fatal 6"} {
		require.Contains(t, text, want)
	}
	for _, unwanted := range []string{"debug", "Maximum payloads", "Plaintext passwords"} {
		require.NotContains(t, text, unwanted)
	}
	require.NotContains(t, text, "trace")
	require.NotContains(t, text, "discouraged")
}
