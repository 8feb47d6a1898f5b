package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// sdk is one of the apps. Its name is its app id; the clients that it serves
// beside the main one have the same id with a suffix.
type sdk struct {
	name string
	// command prepares the app once and tells how to run it.
	command func() (path string, args []string, err error)
	// mounts are further clients that only this app has, as in mounts.
	mounts map[string]string
	// cloud is the environment that, beside the keys, makes the SDK leave its
	// development mode.
	cloud []string
}

// mounts are the paths of an app's clients, by the suffix of their app id.
var mounts = map[string]string{
	"":            "/api/inngest",
	"-other":      "/api/other",
	"-stream":     "/api/stream",
	"-checkpoint": "/api/checkpoint",
	"-flow":       "/api/flow",
	"-redeployed": "/api/redeployed",
}

// nodeMounts are the clients that only the TypeScript apps have.
var nodeMounts = map[string]string{
	"-encrypted": "/api/encrypted",
	"-hooked":    "/api/hooked",
}

// ts4Mounts are those of the newest SDK.
var ts4Mounts = map[string]string{
	"-encrypted": "/api/encrypted",
	"-hooked":    "/api/hooked",
	"-attached":  "/api/attached",
}

var sdks = []sdk{
	{name: "ts4", command: nodeApp("ts4"), mounts: ts4Mounts, cloud: []string{"INNGEST_DEV=0"}},
	{name: "ts3", command: nodeApp("ts3"), mounts: nodeMounts, cloud: []string{"INNGEST_DEV=0"}},
	// For the Go SDK any value of INNGEST_DEV means development.
	{name: "go", command: goApp("go")},
}

// allMounts are the paths of all clients of the app.
func (s sdk) allMounts() map[string]string {
	all := maps.Clone(mounts)
	maps.Copy(all, s.mounts)
	return all
}

func nodeApp(dir string) func() (string, []string, error) {
	prepare := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return harness.InstallNodePackages(ctx, dir)
	})
	return func() (string, []string, error) {
		// Subscribers need a WebSocket, which Node.js 20 has only if asked for it.
		return "node", []string{"--experimental-websocket", filepath.Join(dir, "main.mjs")}, prepare()
	}
}

func goApp(dir string) func() (string, []string, error) {
	build := sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		out := filepath.Join(suite.dir, "sdk-app-go")
		return out, harness.GoBuild(ctx, dir, ".", out)
	})
	return func() (string, []string, error) {
		path, err := build()
		return path, nil, err
	}
}

// onRedis tells that runs are kept in a Redis, one for each deployment, instead
// of in NATS.
var onRedis = os.Getenv("JETSTEP_TEST_ENGINE") == "redis"

// onlyOnNATS skips a test on Redis; docs/compatibility.md says the same.
func onlyOnNATS(t *testing.T, why string) {
	t.Helper()
	if onRedis {
		t.Skip(why)
	}
}

// deploymentConfig says how to run a server for the apps.
type deploymentConfig struct {
	mode       harness.Mode
	dir        string // made if missing
	signingKey string
	eventKey   string
	args       []string // of the server
}

// deployment is a server that knows the addresses of all apps, which are
// started when first asked for.
type deployment struct {
	config deploymentConfig
	server *harness.Server
	redis  *harness.Redis // nil unless runs are kept there
	ports  map[string]int // by sdk name
	apps   map[string]func() (*harness.App, error)

	mu      sync.Mutex
	running []*harness.App
}

func deploy(c deploymentConfig) (*deployment, error) {
	binary, err := suite.binary()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	d := &deployment{config: c, ports: map[string]int{}, apps: map[string]func() (*harness.App, error){}}
	var urls []string
	for _, s := range sdks {
		// All are prepared before the first is started: one that is built in the
		// middle of a test would take the time of what others wait for.
		if _, _, err := s.command(); err != nil {
			return nil, err
		}
		port, err := harness.FreePort()
		if err != nil {
			return nil, err
		}
		d.ports[s.name] = port
		d.apps[s.name] = sync.OnceValues(func() (*harness.App, error) { return d.start(s) })
		for _, path := range s.allMounts() {
			urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	args := c.args
	if onRedis {
		if d.redis, err = harness.StartRedis(ctx); err != nil {
			return nil, err
		}
		args = append(slices.Clone(args), "--engine", "redis", "--redis-uri", d.redis.URL(0))
	}
	d.server, err = harness.StartServer(ctx, harness.ServerConfig{
		Binary: binary, Mode: c.mode, Dir: c.dir, SDKURLs: urls,
		SigningKey: c.signingKey, EventKey: c.eventKey, Args: args,
	})
	if err != nil && d.redis != nil {
		err = errors.Join(err, d.redis.Close())
	}
	return d, err
}

// start starts an app and waits until the server knows all its functions.
func (d *deployment) start(s sdk) (*harness.App, error) {
	path, args, err := s.command()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(d.config.dir, "app-"+s.name)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	app, err := harness.StartApp(ctx, harness.AppConfig{
		Name: s.name, Path: path, Args: args, Home: home,
		Port: d.ports[s.name], Env: d.environment(s),
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.running = append(d.running, app)
	d.mu.Unlock()
	for suffix := range s.allMounts() {
		if _, err := d.server.Client().AwaitApp(ctx, s.name+suffix); err != nil {
			return nil, fmt.Errorf("%w\napp log:\n%s\nserver log:\n%s",
				err, app.Log().Tail(30), d.server.Log().Tail(30))
		}
	}
	return app, nil
}

func (d *deployment) environment(s sdk) []string {
	if d.config.mode == harness.ModeDev {
		return []string{"INNGEST_DEV=" + d.server.URL()}
	}
	return append([]string{
		"INNGEST_BASE_URL=" + d.server.URL(),
		"INNGEST_SIGNING_KEY=" + d.config.signingKey,
		"INNGEST_EVENT_KEY=" + d.config.eventKey,
	}, s.cloud...)
}

// stop ends the server first, so that it does not complain about its apps. It
// may end in order, which is when a binary built for coverage writes its data.
func (d *deployment) stop() {
	_ = d.server.Stop(5 * time.Second)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, app := range d.running {
		_ = app.Kill()
	}
	if d.redis != nil {
		_ = d.redis.Close()
	}
}

// ownDeployment is a deployment that ends with the test.
func ownDeployment(t *testing.T, c deploymentConfig) *deployment {
	t.Helper()
	c.dir = t.TempDir()
	d, err := deploy(c)
	require.NoError(t, err)
	t.Cleanup(d.stop)
	return d
}

// sharedDeployment is the server in dev mode that most tests use.
func sharedDeployment(t *testing.T) *deployment {
	t.Helper()
	d, err := suite.shared()
	require.NoError(t, err)
	if err := d.server.Exited(); err != nil {
		require.NoError(t, errors.New("the shared server is gone"), err.Error())
	}
	return d
}
