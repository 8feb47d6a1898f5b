package dial

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Target is where a Redis is, and how to speak to it.
type Target struct {
	options  redis.UniversalOptions
	detect   bool // one address: whether it is of a cluster is asked there
	tls      tlsFiles
	insecure bool // certificates are not verified
}

// What counts for a URL that says nothing else.
const (
	portRedis    = "6379"
	portSentinel = "26379"
	dialTimeout  = 5 * time.Second
	ioTimeout    = 10 * time.Second
	maxBackoff   = time.Second
	retries      = 3
	connections  = 64 // of each server, at most
)

// errURL has nothing of the URL: what is wrong with one is often a password
// whose special characters are not encoded.
var errURL = errors.New("not a URL (special characters of a password must be percent-encoded)")

// Parse reads the URL of a Redis:
//
//	redis://[user:password@]host[:port][/database]
//	rediss://…              TLS; also redis+tls, valkeys
//	unix:///path?db=1       a socket
//	redis+cluster://…       a cluster; also rediss+cluster
//	redis+sentinel://…/?master_set=name
//
// Several hosts are separated by commas, or given as options addr; they are of a
// cluster unless there is a master_set (or master_name). Whether a single host is
// of a cluster is found out when it is opened. Other options are those of go-redis
// and of the original's client: see [Parse]'s errors.
func Parse(uri string) (*Target, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return nil, fmt.Errorf("redis: %w", errURL)
	}
	kind, err := kindOf(scheme)
	if err != nil {
		return nil, err
	}
	if kind.socket {
		return parseSocket(rest)
	}
	hosts, u, err := splitHosts(rest)
	if err != nil {
		return nil, err
	}
	t := &Target{options: defaults()}
	q := options{left: u.Query()}
	hosts = append(hosts, q.left["addr"]...)
	delete(q.left, "addr")
	t.options.MasterName = q.text("master_set", "master_name")
	sentinel := t.options.MasterName != ""
	switch {
	case kind.sentinel && !sentinel:
		return nil, errors.New("redis: sentinels are asked for a master: master_set is missing")
	case kind.cluster && sentinel:
		return nil, errors.New("redis: a cluster has no master_set")
	}
	port := portRedis
	if sentinel {
		port = portSentinel
	}
	for _, host := range hosts {
		address, err := withPort(host, port)
		if err != nil {
			return nil, err
		}
		t.options.Addrs = append(t.options.Addrs, address)
	}
	t.options.IsClusterMode = !sentinel && (kind.cluster || len(hosts) > 1)
	t.detect = !sentinel && !t.options.IsClusterMode
	if err := t.database(strings.Trim(u.Path, "/")); err != nil {
		return nil, err
	}
	t.credentials(u, &q, kind.sentinel)
	if err := t.read(&q); err != nil {
		return nil, err
	}
	if kind.tls {
		host, _, _ := net.SplitHostPort(t.options.Addrs[0])
		if len(t.options.Addrs) > 1 || sentinel {
			host = "" // each server's own
		}
		if t.options.TLSConfig, err = t.tls.config(host, t.insecure); err != nil {
			return nil, err
		}
	} else if t.tls != (tlsFiles{}) {
		return nil, errors.New("redis: files for TLS are given, and the URL is not rediss://")
	}
	return t, nil
}

// kind is what a URL's scheme says.
type kind struct{ tls, socket, cluster, sentinel bool }

func kindOf(scheme string) (kind, error) {
	base, more, _ := strings.Cut(strings.ToLower(scheme), "+")
	k := kind{}
	switch base {
	case "redis", "valkey":
	case "rediss", "valkeys":
		k.tls = true
	case "unix":
		k.socket = true
	default:
		return k, errors.New("redis: the URL begins with none of redis://, rediss://, unix://, redis+cluster://, redis+sentinel://")
	}
	switch more {
	case "":
	case "tls":
		k.tls = true
	case "cluster":
		k.cluster = true
	case "sentinel":
		k.sentinel = true
	case "socket":
		k.socket = true
	default:
		return k, fmt.Errorf("redis: a URL of scheme %s is not known", scheme)
	}
	return k, nil
}

// splitHosts reads what follows a scheme. Several hosts are none for net/url.
func splitHosts(rest string) (hosts []string, u *url.URL, err error) {
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	user := ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, authority = authority[:at+1], authority[at+1:]
	}
	hosts = strings.Split(authority, ",")
	if u, err = url.Parse("redis://" + user + "host" + tail); err != nil {
		return nil, nil, fmt.Errorf("redis: %w", errURL)
	}
	return hosts, u, nil
}

// withPort is an address with a port.
func withPort(host, port string) (string, error) {
	u, err := url.Parse("redis://" + host)
	if err != nil || u.Host != host {
		return "", errors.New("redis: an address is not of the form host:port")
	}
	name := u.Hostname()
	if name == "" {
		name = "127.0.0.1"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("redis: %s has no valid port", name)
	}
	return net.JoinHostPort(name, port), nil
}

// parseSocket reads a URL of a Unix socket, without its scheme.
func parseSocket(rest string) (*Target, error) {
	u, err := url.Parse("unix://" + rest)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", errURL)
	}
	if !strings.HasPrefix(u.Path, "/") || u.Host != "" {
		return nil, errors.New("redis: the URL of a socket has an absolute path: unix:///path")
	}
	t := &Target{options: defaults()}
	t.options.Addrs = []string{u.Path}
	q := options{left: u.Query()}
	t.credentials(u, &q, false)
	if err := t.read(&q); err != nil {
		return nil, err
	}
	return t, nil
}

func defaults() redis.UniversalOptions {
	return redis.UniversalOptions{
		DialTimeout: dialTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, ContextTimeoutEnabled: true,
		MaxRetries: retries, MaxRetryBackoff: maxBackoff, DialerRetries: 1, PoolSize: connections, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (t *Target) database(path string) error {
	if path == "" {
		return nil
	}
	n, err := strconv.Atoi(path)
	if err != nil || n < 0 {
		return errors.New("redis: the path of the URL is not the number of a database")
	}
	t.options.DB = n
	return nil
}

// credentials reads who we are. As in the original, sentinels are told the same,
// unless there are others for them.
func (t *Target) credentials(u *url.URL, q *options, sentinel bool) {
	o := &t.options
	if u.User != nil {
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	if o.MasterName == "" {
		return
	}
	o.SentinelUsername, o.SentinelPassword = o.Username, o.Password
	if sentinel { // what stands with the hosts is theirs, as go-redis has it
		if user, password := q.text("username"), q.text("password"); user != "" || password != "" {
			o.Username, o.Password = user, password
		}
	}
	if user, password := q.text("sentinel_username"), q.text("sentinel_password"); user != "" || password != "" {
		o.SentinelUsername, o.SentinelPassword = user, password
	}
}

// String names the target, without what is secret.
func (t *Target) String() string {
	o := &t.options
	scheme := "redis"
	switch {
	case strings.HasPrefix(o.Addrs[0], "/"):
		return fmt.Sprintf("unix://%s?db=%d", o.Addrs[0], o.DB)
	case o.TLSConfig != nil:
		scheme = "rediss"
	}
	text := scheme + "://" + strings.Join(o.Addrs, ",")
	switch {
	case o.MasterName != "":
		return fmt.Sprintf("%s/%d?master_set=%s", text, o.DB, url.QueryEscape(o.MasterName))
	case o.IsClusterMode:
		return text
	}
	return fmt.Sprintf("%s/%d", text, o.DB)
}
