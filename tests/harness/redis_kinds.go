package harness

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// EnvRedisServers lists programs of Redis or Valkey servers that tests are to run on,
// beside those that are installed, as PATH lists directories.
const EnvRedisServers = "JETSTEP_TEST_REDIS_SERVERS"

// RedisServers are the servers that this machine has: paths of programs.
func RedisServers() []string {
	var servers []string
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			servers = append(servers, path)
		}
	}
	for _, path := range filepath.SplitList(os.Getenv(EnvRedisServers)) {
		if path != "" {
			servers = append(servers, path)
		}
	}
	return servers
}

// Certificates are files in PEM: one certificate that is its own authority, for
// servers on the loopback interface.
type Certificates struct{ Certificate, Key string }

// MakeCertificates writes certificates that last a day into a directory.
func MakeCertificates(dir string) (Certificates, error) {
	c := Certificates{filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jetstep tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return c, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	return c, errors.Join(
		os.WriteFile(c.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(c.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// RedisCluster are servers that share the keys, without replicas.
type RedisCluster struct{ Servers []*Redis }

// slots is how many a cluster has.
const slots = 16384

// StartRedisCluster makes a new, empty cluster that answers.
func StartRedisCluster(ctx context.Context, size int) (*RedisCluster, error) {
	c := &RedisCluster{}
	for range size {
		r, err := startClustered(ctx)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Servers = append(c.Servers, r)
	}
	if err := c.join(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// startClustered starts a server of a cluster. It listens on a second port, which
// is what the first one says and may be taken: then another pair is tried.
func startClustered(ctx context.Context) (r *Redis, err error) {
	for range 10 {
		r, err = StartRedis(ctx, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
		if err == nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return r, err
}

// join makes one cluster of the servers, and waits until each says so.
func (c *RedisCluster) join(ctx context.Context) error {
	clients := make([]*redis.Client, len(c.Servers))
	for i, r := range c.Servers {
		clients[i] = redis.NewClient(&redis.Options{Addr: r.Address()})
		defer func() { _ = clients[i].Close() }()
		first, last := i*slots/len(c.Servers), (i+1)*slots/len(c.Servers)-1
		if err := clients[i].ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
			return fmt.Errorf("giving slots to %s: %w", r.Address(), err)
		}
		host, port, err := net.SplitHostPort(c.Servers[0].Address())
		if err != nil {
			return err
		}
		if err := clients[i].ClusterMeet(ctx, host, port).Err(); err != nil {
			return fmt.Errorf("joining %s: %w", r.Address(), err)
		}
	}
	for i, client := range clients {
		_, err := Await(ctx, "the cluster", func(ctx context.Context) (struct{}, error) {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") ||
				!strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(clients)))) {
				err = fmt.Errorf("%s: %s", c.Servers[i].Address(), info)
			}
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// URL names one server of the cluster.
func (c *RedisCluster) URL() string { return "redis://" + c.Servers[0].Address() }

// Close ends all servers.
func (c *RedisCluster) Close() error {
	var errs []error
	for _, r := range c.Servers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Watched is a master with a replica, and a sentinel that puts one in the place of
// the other.
type Watched struct {
	Master, Replica *Redis
	sentinel        *Process
	dir             string
	port            int
}

// watchedName is what the sentinel calls the master.
const watchedName = "jetstep"

// StartWatched makes a new, empty master that a sentinel watches.
func StartWatched(ctx context.Context) (w *Watched, err error) {
	w = &Watched{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	if w.Master, err = StartRedis(ctx); err != nil {
		return nil, err
	}
	if w.Replica, err = StartRedis(ctx, "--replicaof", "127.0.0.1", strconv.Itoa(w.Master.port)); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "jetstep-sentinel-"); err != nil {
		return nil, err
	}
	if w.port, err = FreePort(); err != nil {
		return nil, err
	}
	conf := filepath.Join(w.dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n",
		w.port, w.dir, watchedName, w.Master.port, watchedName, watchedName)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	w.sentinel, err = Start(Command{
		Name: "sentinel", Path: w.Master.binary, Dir: w.dir, Env: Environment(w.dir), Args: []string{conf, "--sentinel"},
	})
	if err != nil {
		return nil, err
	}
	return w, w.ready(ctx)
}

// ready waits until the sentinel knows the replica, and that has what the master has.
func (w *Watched) ready(ctx context.Context) error {
	client := redis.NewSentinelClient(&redis.Options{Addr: w.address()})
	defer func() { _ = client.Close() }()
	_, err := Await(ctx, "the sentinel", func(ctx context.Context) (struct{}, error) {
		replicas, err := client.Replicas(ctx, watchedName).Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["master-link-status"] != "ok") {
			err = fmt.Errorf("replicas: %v", replicas)
		}
		return struct{}{}, err
	})
	return err
}

func (w *Watched) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port)) }

// URL names the sentinel and its master.
func (w *Watched) URL() string {
	return "redis+sentinel://" + w.address() + "/0?master_set=" + watchedName
}

// Fail kills the master once the replica has all that it has, and waits until the
// replica has taken its place.
func (w *Watched) Fail(ctx context.Context) error {
	master := redis.NewClient(&redis.Options{Addr: w.Master.Address()})
	defer func() { _ = master.Close() }()
	// A connection waits for what it wrote itself, and for all that was written before.
	conn := master.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Set(ctx, "jetstep:harness", "last", time.Second).Err(); err != nil {
		return err
	}
	if err := conn.Wait(ctx, 1, 10*time.Second).Err(); err != nil {
		return fmt.Errorf("waiting for the replica: %w", err)
	}
	if err := w.Master.Kill(); err != nil {
		return err
	}
	replica := redis.NewClient(&redis.Options{Addr: w.Replica.Address()})
	defer func() { _ = replica.Close() }()
	_, err := Await(ctx, "the new master", func(ctx context.Context) (struct{}, error) {
		info, err := replica.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "role:master") {
			err = errors.New("it is a replica still")
		}
		return struct{}{}, err
	})
	return err
}

// Close ends all that runs.
func (w *Watched) Close() error {
	var errs []error
	if w.sentinel != nil {
		errs = append(errs, w.sentinel.Kill())
	}
	for _, r := range []*Redis{w.Replica, w.Master} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
