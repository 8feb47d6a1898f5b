package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Redis is a Redis server (or Valkey, which has the same protocol) with a data
// directory of its own, on the loopback interface and without a password. It
// writes each command to its append-only file without syncing: its data survive
// a kill of the server, not of the machine.
type Redis struct {
	*Process
	binary string
	dir    string
	port   int
	more   []string // arguments
}

// StartRedis makes a new, empty server; more are arguments beside its own.
func StartRedis(ctx context.Context, more ...string) (*Redis, error) {
	return StartRedisServer(ctx, "", more...)
}

// StartRedisServer is StartRedis with a program of [RedisServers]; "" is the first.
func StartRedisServer(ctx context.Context, binary string, more ...string) (*Redis, error) {
	if binary == "" {
		servers := RedisServers()
		if len(servers) == 0 {
			return nil, errors.New("redis-server is missing: run scripts/install-test-tools.sh")
		}
		binary = servers[0]
	}
	dir, err := os.MkdirTemp("", "jetstep-redis-")
	if err != nil {
		return nil, err
	}
	r := &Redis{binary: binary, dir: dir, more: more}
	if r.port, err = FreePort(); err == nil {
		err = r.Restart(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Restart starts the server again after it has ended, on the same port and data.
func (r *Redis) Restart(ctx context.Context) (err error) {
	args := []string{
		"--port", strconv.Itoa(r.port), "--bind", "127.0.0.1", "--dir", r.dir, "--databases", "64",
		"--save", "", "--appendonly", "yes", "--appendfsync", "no",
	}
	r.Process, err = Start(Command{
		Name: "redis", Path: r.binary, Dir: r.dir, Env: Environment(r.dir), Args: append(args, r.more...),
	})
	if err != nil {
		return err
	}
	_, err = Await(ctx, "Redis", func(ctx context.Context) (struct{}, error) {
		if err := r.Exited(); err != nil {
			return struct{}{}, Permanent(err)
		}
		return struct{}{}, r.ping(ctx)
	})
	if err != nil {
		return errors.Join(err, r.Kill())
	}
	return nil
}

// ping asks whether the server answers, and whether it is the one that was
// started: on its port there might be another one. While it loads its data it
// does not answer.
func (r *Redis) ping(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Address())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\nINFO server\r\nQUIT\r\n")); err != nil {
		return err
	}
	answers, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	pong, info, _ := strings.Cut(string(answers), "\r\n")
	if pong != "+PONG" {
		return errors.New(pong)
	}
	if id := fmt.Sprintf("\r\nprocess_id:%d\r\n", r.cmd.Process.Pid); !strings.Contains(info, id) {
		return fmt.Errorf("another server listens on %s", r.Address())
	}
	return nil
}

// Address is the host and port of the server.
func (r *Redis) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// URL is the connection string of one of the server's 64 databases.
func (r *Redis) URL(database int) string { return fmt.Sprintf("redis://%s/%d", r.Address(), database) }

// Close ends the server and removes its data.
func (r *Redis) Close() error {
	err := r.signalAndWait(syscall.SIGTERM, 10*time.Second)
	if err != nil {
		err = errors.Join(err, r.Kill())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}
