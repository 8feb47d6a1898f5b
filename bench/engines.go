package bench

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EngineRedis is the engine of a server whose runs are in Redis; any other is
// passed on to the server as it is.
const EngineRedis = "redis"

// withEngine says that a measurement is of an engine, in the arguments of its
// server and in its name. Redis is started in dir, unless there is a URI; stop
// ends it.
func (o Options) withEngine(ctx context.Context, engine, dir string) (args []string, stop func(), err error) {
	stop = func() {}
	if engine == "" {
		return o.Args, stop, nil
	}
	args = append(slices.Clone(o.Args), "--engine", engine)
	if engine != EngineRedis {
		return args, stop, nil
	}
	uri := o.RedisURI
	if uri == "" {
		if uri, stop, err = startRedis(ctx, dir); err != nil {
			return nil, nil, err
		}
	}
	return append(args, "--redis-uri", uri), stop, nil
}

// engines are those that a scenario is measured with: one that says nothing else
// when none was asked for.
func (o Options) engines(s scenario) []string {
	if len(o.Engines) == 0 {
		return []string{""}
	}
	return slices.DeleteFunc(slices.Clone(o.Engines), func(engine string) bool { return engine == EngineRedis && s.nativeOnly })
}

// title is how a scenario's figures are called.
func title(scenario, engine string) string { return strings.TrimSpace(scenario + " " + engine) }

// startRedis runs a Redis, or what has its protocol, that keeps nothing on disk.
func startRedis(ctx context.Context, dir string) (uri string, stop func(), err error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if binary, err = exec.LookPath("valkey-server"); err != nil {
			return "", nil, fmt.Errorf("there is no redis-server to start, and no --redis-uri: %w", err)
		}
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(binary, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
		"--logfile", filepath.Join(dir, "redis.log"))
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start redis: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // it has nothing to lose
		_ = cmd.Wait()
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	answers := func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	if err := until(ctx, "redis", startTimeout, answers); err != nil {
		stop()
		return "", nil, err
	}
	return "redis://" + address + "/0", stop, nil
}
