package dial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/pipeline"
)

// Open opens the client of a Redis that answers, and that can be used: it takes
// writes and is not too old. An error names the Redis and the reason.
func Open(ctx context.Context, uri string) (redis.UniversalClient, error) {
	t, err := Parse(uri)
	if err != nil {
		return nil, err
	}
	return t.Open(ctx)
}

// Open is [Open] of a URL that was parsed.
func (t *Target) Open(ctx context.Context) (redis.UniversalClient, error) {
	client, err := t.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	return client, nil
}

func (t *Target) open(ctx context.Context) (redis.UniversalClient, error) {
	quiet.Do(func() { redis.SetLogger(libraryLog{}) })
	o := t.options
	client := redis.NewUniversalClient(&o)
	info, err := client.Info(ctx).Result() // several sections at once are of Redis 7
	if err == nil {
		about := readInfo(info)
		if t.detect && about["cluster_enabled"] == "1" {
			_ = client.Close()
			return t.asCluster().open(ctx)
		}
		err = usable(about)
	}
	if err != nil {
		return nil, errors.Join(explained(err), client.Close())
	}
	pipeline.Gather(client)
	return client, nil
}

// asCluster is the same server, as one of a cluster.
func (t *Target) asCluster() *Target {
	cluster := *t
	cluster.options.IsClusterMode, cluster.options.DB, cluster.detect = true, 0, false
	return &cluster
}

// readInfo reads what a server says of itself.
func readInfo(info string) map[string]string {
	about := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			about[name] = value
		}
	}
	return about
}

// oldest is the version from which on all commands in use are there.
const oldestMajor, oldestMinor = 6, 2

// ErrUnusable is a Redis that answers, and that will not do however long one waits.
var ErrUnusable = errors.New("this Redis cannot be used")

// errMoment is a Redis that will do in a moment.
var errMoment = errors.New("not ready")

// usable tells why a server cannot be used. One that does not say is believed.
func usable(about map[string]string) error {
	if version := about["redis_version"]; version != "" {
		parts := strings.SplitN(version, ".", 3)
		major, err := strconv.Atoi(parts[0])
		minor := 0
		if err == nil && len(parts) > 1 {
			minor, err = strconv.Atoi(parts[1])
		}
		if err == nil && (major < oldestMajor || major == oldestMajor && minor < oldestMinor) {
			return fmt.Errorf("%w: version %s is older than %d.%d", ErrUnusable, version, oldestMajor, oldestMinor)
		}
	}
	if about["loading"] == "1" {
		return fmt.Errorf("%w: it is loading its data", errMoment)
	}
	if about["role"] == "slave" && about["cluster_enabled"] != "1" {
		return fmt.Errorf("%w: it is a replica, which takes no writes", errMoment)
	}
	return nil
}

// explained says what people can do about an error of a server.
func explained(err error) error {
	text := err.Error()
	for prefix, reason := range map[string]string{
		"WRONGPASS": "user or password is wrong",
		"NOAUTH":    "it wants a password",
		"NOPERM":    "the user may not do what is needed",
		"LOADING":   "it is loading its data",
	} {
		if strings.HasPrefix(text, prefix) {
			if prefix != "LOADING" {
				return fmt.Errorf("%w: %s: %w", ErrUnusable, reason, err)
			}
			return fmt.Errorf("%w: %s: %w", errMoment, reason, err)
		}
	}
	return err
}

// How long is waited between looks at a Redis that does not answer.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// Await is Open for who can wait: it tries until the context ends, or until it is
// known that waiting does not help. It says once that it waits.
func Await(ctx context.Context, uri string, log *slog.Logger) (redis.UniversalClient, error) {
	t, err := Parse(uri)
	if err != nil {
		return nil, err
	}
	began, said := time.Now(), false
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		client, err := t.Open(ctx)
		if err == nil {
			if said {
				log.Info("Redis is there", "redis", t.String(), "waited", time.Since(began).Round(time.Millisecond).String())
			}
			return client, nil
		}
		if errors.Is(err, ErrUnusable) || ctx.Err() != nil {
			return nil, err
		}
		if !said {
			log.Warn("Redis cannot be used yet: waiting for it", "redis", t.String(), "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// The client's library writes to standard error by itself, about each try.
var quiet sync.Once

type libraryLog struct{}

// Printf implements the library's logger.
func (libraryLog) Printf(ctx context.Context, format string, v ...any) {
	slog.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}
