package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStartRefuses holds the texts of cli-config §6.
func TestStartRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		given Given
		want  string
	}{
		"no signing key":    {Given{}, "signing-key is required"},
		"empty signing key": {Given{"signing-key": ""}, "signing-key is required"},
		"odd":               {Given{"signing-key": "abc"}, "signing-key must be hex string with even number of chars"},
		"not hex":           {Given{"signing-key": "zz"}, "signing-key must be valid hex string: encoding/hex: invalid byte: U+007A 'z'"},
		"no event key":      {Given{"signing-key": "abcd"}, "at least one event-key is required"},
		"empty event key":   {Given{"signing-key": "abcd", "event-key": []string{""}}, "at least one event-key is required"},
		"fallback key":      {keys(Given{"signing-key-fallback": "zz"}), "signing-key-fallback must be valid hex string: encoding/hex: invalid byte: U+007A 'z'"},
		"max open":          {keys(Given{"postgres-max-open-conns": 1}), "postgres-max-open-conns (1) must be greater than 1"},
		"idle over open":    {keys(Given{"postgres-max-idle-conns": 101}), "postgres-max-idle-conns (101) cannot be greater than postgres-max-open-conns (100)"},
		"gateway ip":        {keys(Given{"connect-gateway-grpc-ip": "nope"}), `invalid connect gateway gRPC IP "nope": must be an IP address`},
		"executor ip":       {keys(Given{"connect-executor-grpc-ip": "nope"}), `invalid connect executor gRPC IP "nope": must be an IP address`},
		"database scheme":   {keys(Given{"postgres-uri": "mysql://u:secret@h/d"}), "unsupported database URL: mysql://u:xxxxx@h/d"},
		"database no url":   {keys(Given{"postgres-uri": "://secret"}), "unsupported database URL: (not a URL)"},
		"redis":             {keys(Given{"redis-uri": "nope"}), "error parsing redis uri: invalid format"},
		"order":             {Given{"signing-key": "zz", "redis-uri": "nope"}, "signing-key must be valid hex string: encoding/hex: invalid byte: U+007A 'z'"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Start, c.given, Surroundings{})
			require.EqualError(t, err, c.want)
		})
	}
}

func TestSigningKey(t *testing.T) {
	t.Parallel()
	const odd, hexErr = "k must be hex string with even number of chars", "k must be valid hex string: encoding/hex: "
	cases := map[string]string{
		"abcd":                "",
		"signkey-prod-abcd":   "", // 17 characters: the original refuses it
		"signkey-dev-abcd":    "",
		"signkey-my_env-ABCD": "",
		"signkey-prod-abc":    hexErr + "odd length hex string",
		"signkey-dev-abc":     odd,
		"signkey-prod-zz":     odd,
		"signkey-dev-zz":      hexErr + "invalid byte: U+007A 'z'",
		"signkey-prod-":       "k must have hex digits after its prefix",
		"signkey--abcde":      hexErr + "invalid byte: U+0073 's'",
	}
	for key, want := range cases {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			err := checkSigningKey("k", key)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, want)
		})
	}
}

func TestOwnChecks(t *testing.T) {
	t.Parallel()
	external := []string{"nats://h:4222"}
	cases := map[string]struct {
		given Given
		want  string // "" means accepted
	}{
		"port":                     {Given{"port": 65536}, "port (65536) must be between 0 and 65535"},
		"negative port":            {Given{"nats-port": -1}, "nats-port (-1) must be between 0 and 65535"},
		"gateway port":             {Given{"connect-gateway-port": 70000}, "connect-gateway-port (70000) must be between 0 and 65535"},
		"engine":                   {Given{"engine": "mysql"}, `engine must be nats or redis, not "mysql"`},
		"engine without its URI":   {Given{"engine": "redis"}, "engine redis needs redis-uri"},
		"engine redis":             {Given{"engine": "redis", "redis-uri": "redis://h:6379/1"}, ""},
		"a cluster of Redis":       {Given{"engine": "redis", "redis-uri": "redis+cluster://a,b:2"}, ""},
		"several addresses":        {Given{"engine": "redis", "redis-uri": "redis://a:1,b:2"}, ""},
		"a Valkey":                 {Given{"engine": "redis", "redis-uri": "valkey://h"}, ""},
		"to drain":                 {Given{"drain-redis": "redis+sentinel://a/?master_set=m"}, ""},
		"to drain, no Redis":       {Given{"drain-redis": "h:6379"}, "drain-redis must begin with redis://, rediss://, redis+cluster://, redis+sentinel:// or unix://"},
		"engine with a bad URI":    {Given{"engine": "redis", "redis-uri": "http://h"}, "error parsing redis uri: invalid format"},
		"workers":                  {Given{"queue-workers": 0}, "queue-workers (0) must be at least 1"},
		"poll interval":            {Given{"poll-interval": -1}, "poll-interval must not be negative"},
		"poll interval 0":          {Given{"poll-interval": 0}, ""},
		"retry interval":           {Given{"retry-interval": -1}, "retry-interval must not be negative"},
		"partitions":               {Given{"partitions": 257}, "partitions (257) must be between 0 and 256"},
		"fsync":                    {Given{"fsync": "never"}, `fsync must be interval or always, not "never"`},
		"certificate without key":  {Given{"nats-url": external, "nats-tls-cert": "c"}, "nats-tls-cert needs nats-tls-key"},
		"password without user":    {Given{"nats-url": external, "nats-password": "p"}, "nats-password needs nats-user"},
		"listen key alone":         {Given{"nats-port": 1, "nats-listen-tls-key": "k"}, "nats-listen-tls-key needs nats-listen-tls-cert"},
		"listen user alone":        {Given{"nats-port": 1, "nats-listen-user": "u"}, "nats-listen-user needs nats-listen-password"},
		"replicas":                 {Given{"nats-url": external, "nats-replicas": 6}, "nats-replicas (6) must be between 1 and 5"},
		"replicas embedded":        {Given{"nats-replicas": 3}, "nats-replicas (3) needs nats-url: the embedded NATS is a single server"},
		"creds embedded":           {Given{"nats-creds": "f"}, "nats-creds needs nats-url: the embedded NATS has no use for it"},
		"port with external":       {Given{"nats-url": external, "nats-port": 4222}, "nats-port is for the embedded NATS and cannot be used with nats-url"},
		"two identities":           {Given{"nats-url": external, "nats-creds": "f", "nats-token": "t"}, "only one of nats-creds, nats-nkey, nats-user and nats-token can be used"},
		"one identity":             {Given{"nats-url": external, "nats-user": "u", "nats-password": "p"}, ""},
		"open port, everyone":      {Given{"nats-port": 4222, "nats-listen-host": "0.0.0.0"}, "nats-listen-user is required when nats-port is open beyond this machine (nats-listen-host 0.0.0.0)"},
		"open port, this machine":  {Given{"nats-port": 4222, "nats-listen-host": "localhost"}, ""},
		"open port, with password": {Given{"nats-port": 4222, "nats-listen-host": "::", "nats-listen-user": "u", "nats-listen-password": "p"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, err := Load(Dev, c.given, Surroundings{})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
			require.Zero(t, opts)
		})
	}
}

func TestDevDoesNotCheckPools(t *testing.T) {
	t.Parallel()
	_, err := Load(Dev, Given{"postgres-max-open-conns": 1}, Surroundings{})
	require.NoError(t, err)
}

func TestShutdownTimeoutNegative(t *testing.T) {
	t.Parallel()
	_, err := Load(Dev, nil, Surroundings{Environ: []string{"JETSTEP_SHUTDOWN_TIMEOUT=-1s"}})
	require.EqualError(t, err, "shutdown-timeout must not be negative")
}
