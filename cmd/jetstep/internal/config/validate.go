package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// InvalidError refuses the value of an option. It is printed with "Error: "
// in front (cli-config §6).
type InvalidError struct {
	Option string // name without dashes
	Text   string // the whole message, which contains the name
}

func (e *InvalidError) Error() string { return e.Text }

// invalid makes an InvalidError that begins with the option's name.
func invalid(option, format string, args ...any) *InvalidError {
	return &InvalidError{Option: option, Text: option + " " + fmt.Sprintf(format, args...)}
}

// validate checks in the order of cli-config §6, then what is Jetstep's own.
func (o Options) validate() error {
	checks := []func() error{o.checkKeys, o.checkPools, o.checkAddresses, o.checkNumbers, o.checkEngine, o.NATS.check}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkKeys applies to start only; dev accepts everybody.
func (o Options) checkKeys() error {
	if o.Mode != Start {
		return nil
	}
	if o.SigningKey == "" {
		return invalid("signing-key", "is required")
	}
	if err := checkSigningKey("signing-key", o.SigningKey); err != nil {
		return err
	}
	if len(o.EventKeys) == 0 {
		return &InvalidError{Option: "event-key", Text: "at least one event-key is required"}
	}
	if o.SigningKeyFallback == "" {
		return nil
	}
	return checkSigningKey("signing-key-fallback", o.SigningKeyFallback)
}

// checkPools applies to start only, as in the original (cli-config §5).
func (o Options) checkPools() error {
	idle, open := o.Original.PostgresMaxIdleConns, o.Original.PostgresMaxOpenConns
	switch {
	case o.Mode != Start:
		return nil
	case open <= 1:
		return invalid("postgres-max-open-conns", "(%d) must be greater than 1", open)
	case idle > open:
		return invalid("postgres-max-idle-conns", "(%d) cannot be greater than postgres-max-open-conns (%d)", idle, open)
	}
	return nil
}

func (o Options) checkAddresses() error {
	if ip := o.Original.ConnectGatewayGRPCIP; net.ParseIP(ip) == nil {
		return fmt.Errorf("invalid connect gateway gRPC IP %q: must be an IP address", ip)
	}
	if ip := o.Original.ConnectExecutorGRPCIP; net.ParseIP(ip) == nil {
		return fmt.Errorf("invalid connect executor gRPC IP %q: must be an IP address", ip)
	}
	if uri := o.Original.PostgresURI; uri != "" && !hasScheme(uri, "postgres", "postgresql") {
		return fmt.Errorf("unsupported database URL: %s", redact(uri))
	}
	used := o.Mode == Start || o.Engine == EngineRedis // dev of the original knows no such option
	if uri := o.Original.RedisURI; uri != "" && used && !namesRedis(uri) {
		return errors.New("error parsing redis uri: invalid format")
	}
	return nil
}

func hasScheme(uri string, schemes ...string) bool {
	u, err := url.Parse(uri)
	return err == nil && slices.Contains(schemes, u.Scheme)
}

// namesRedis tells whether a URL is one of a Redis, of whatever kind: whoever dials
// it says what is wrong with the rest. A list of hosts is no URL for net/url.
func namesRedis(uri string) bool {
	scheme, _, ok := strings.Cut(uri, "://")
	base, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	return ok && slices.Contains([]string{"redis", "rediss", "valkey", "valkeys", "unix"}, base)
}

// redact hides the password of a URL. What cannot be parsed is not shown.
func redact(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "(not a URL)"
	}
	return u.Redacted()
}

func (o Options) checkNumbers() error {
	ports := []struct {
		option string
		value  int
	}{
		{"port", o.Port},
		{"nats-port", o.NATS.Port},
		{"connect-gateway-port", o.Original.ConnectGatewayPort},
		{"connect-gateway-grpc-port", o.Original.ConnectGatewayGRPCPort},
		{"connect-executor-grpc-port", o.Original.ConnectExecutorPort},
		{"debug-api-port", o.Original.DebugAPIPort},
	}
	for _, p := range ports {
		if p.value < 0 || p.value > 65535 {
			return invalid(p.option, "(%d) must be between 0 and 65535", p.value)
		}
	}
	switch {
	case o.QueueWorkers < 1:
		return invalid("queue-workers", "(%d) must be at least 1", o.QueueWorkers)
	case o.PollInterval < 0:
		return invalid("poll-interval", "must not be negative")
	case o.RetryInterval < 0:
		return invalid("retry-interval", "must not be negative")
	case o.EndpointPatience <= 0:
		return invalid("endpoint-patience", "must be positive")
	case o.HistoryRetention < 0:
		return invalid("history-retention", "must not be negative")
	case o.HistoryMaxRuns < 0:
		return invalid("history-max-runs", "(%d) must not be negative", o.HistoryMaxRuns)
	case o.ShutdownTimeout < 0:
		return invalid("shutdown-timeout", "must not be negative")
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		return invalid("partitions", "(%d) must be between 0 and %d", o.Partitions, maxPartitions)
	case o.Fsync != FsyncInterval && o.Fsync != FsyncAlways:
		return invalid("fsync", "must be %s or %s, not %q", FsyncInterval, FsyncAlways, o.Fsync)
	}
	return nil
}

func (o Options) checkEngine() error {
	switch {
	case o.Engine != EngineNATS && o.Engine != EngineRedis:
		return invalid("engine", "must be %s or %s, not %q", EngineNATS, EngineRedis, o.Engine)
	case o.Engine == EngineRedis && o.Original.RedisURI == "":
		return invalid("engine", "%s needs redis-uri", EngineRedis)
	case o.Engine == EngineRedis && o.DrainRedis != "":
		return invalid("drain-redis", "needs engine %s: with %s, redis-uri is the one that is worked on", EngineNATS, EngineRedis)
	case o.DrainRedis != "" && !namesRedis(o.DrainRedis):
		return invalid("drain-redis", "must begin with redis://, rediss://, redis+cluster://, redis+sentinel:// or unix://")
	}
	return nil
}

// maxPartitions is what a run id has room for.
const maxPartitions = 256

// check refuses NATS options that contradict each other: guessing which one
// was meant would connect with the wrong identity or open the wrong door.
func (n NATS) check() error {
	pairs := []struct{ a, aValue, b, bValue string }{
		{"nats-tls-cert", n.TLSCert, "nats-tls-key", n.TLSKey},
		{"nats-user", n.User, "nats-password", n.Password},
		{"nats-listen-tls-cert", n.ListenTLSCert, "nats-listen-tls-key", n.ListenTLSKey},
		{"nats-listen-user", n.ListenUser, "nats-listen-password", n.ListenPassword},
	}
	for _, p := range pairs {
		if p.aValue != "" && p.bValue == "" {
			return invalid(p.a, "needs %s", p.b)
		}
		if p.bValue != "" && p.aValue == "" {
			return invalid(p.b, "needs %s", p.a)
		}
	}
	if n.Replicas < 1 || n.Replicas > 5 {
		return invalid("nats-replicas", "(%d) must be between 1 and 5", n.Replicas)
	}
	if n.Embedded() {
		return n.checkEmbedded()
	}
	return n.checkExternal()
}

func (n NATS) checkEmbedded() error {
	external := []struct{ option, value string }{
		{"nats-creds", n.Creds}, {"nats-nkey", n.NKey}, {"nats-user", n.User}, {"nats-token", n.Token},
		{"nats-tls-ca", n.TLSCA}, {"nats-tls-cert", n.TLSCert}, {"nats-domain", n.Domain},
	}
	for _, e := range external {
		if e.value != "" {
			return invalid(e.option, "needs nats-url: the embedded NATS has no use for it")
		}
	}
	if n.Replicas > 1 {
		return invalid("nats-replicas", "(%d) needs nats-url: the embedded NATS is a single server", n.Replicas)
	}
	if n.Port != 0 && n.ListenUser == "" && !isLoopback(n.ListenHost) {
		return invalid("nats-listen-user", "is required when nats-port is open beyond this machine (nats-listen-host %s)", n.ListenHost)
	}
	return nil
}

func (n NATS) checkExternal() error {
	if n.Port != 0 {
		return invalid("nats-port", "is for the embedded NATS and cannot be used with nats-url")
	}
	ways := 0
	for _, value := range []string{n.Creds, n.NKey, n.User, n.Token} {
		if value != "" {
			ways++
		}
	}
	if ways > 1 {
		return &InvalidError{Option: "nats-creds", Text: "only one of nats-creds, nats-nkey, nats-user and nats-token can be used"}
	}
	return nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
