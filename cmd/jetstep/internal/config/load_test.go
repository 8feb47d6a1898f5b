package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// keys are the flags that start cannot do without.
func keys(more Given) Given {
	given := Given{"signing-key": "abcd", "event-key": []string{"x"}}
	for k, v := range more {
		given[k] = v
	}
	return given
}

// write makes a file in a new directory and returns the directory.
func write(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	return dir
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "inngest.json", `{"port": 4}`)
	cases := map[string]struct {
		given Given
		env   []string
		dir   string
		want  int
	}{
		"default":                       {want: 8288},
		"file over default":             {dir: file, want: 4},
		"variable over file":            {dir: file, env: []string{"INNGEST_PORT=3"}, want: 3},
		"own variable over original's":  {dir: file, env: []string{"INNGEST_PORT=3", "JETSTEP_PORT=2"}, want: 2},
		"flag over everything":          {dir: file, env: []string{"INNGEST_PORT=3", "JETSTEP_PORT=2"}, given: Given{"port": 1}, want: 1},
		"empty variable is unset":       {dir: file, env: []string{"INNGEST_PORT=", "JETSTEP_PORT="}, want: 4},
		"empty own variable is unset":   {dir: file, env: []string{"INNGEST_PORT=3", "JETSTEP_PORT="}, want: 3},
		"variable in lower case":        {env: []string{"INNGEST_port=3"}, want: 3},
		"other variables do not matter": {env: []string{"PORT=9", "INNGEST_=8", "INNGEST_PORTS=7"}, want: 8288},
		"flag zero is a value":          {env: []string{"INNGEST_PORT=3"}, given: Given{"port": 0}, want: 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, err := Load(Dev, c.given, Surroundings{Environ: c.env, Dir: c.dir})
			require.NoError(t, err)
			require.Equal(t, c.want, opts.Port)
		})
	}
}

// TestWorkedExample is the observation of cli-config §4.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	dir := write(t, "inngest.json", `{"port":18440,"no-discovery":true,"no-poll":true,
		"sdk-url":["127.0.0.1:18410/api/inngest"],"poll-interval":3}`)
	opts, err := Load(Dev, nil, Surroundings{Dir: dir, Environ: []string{"INNGEST_PORT=18450",
		"INNGEST_SDK_URL=http://127.0.0.1:18410/api/inngest,http://127.0.0.1:18411/x"}})
	require.NoError(t, err)
	require.Equal(t, 18450, opts.Port)
	require.Equal(t, []string{"http://127.0.0.1:18410/api/inngest", "http://127.0.0.1:18411/x"}, opts.SDKURLs)
	require.Equal(t, 3*time.Second, opts.PollInterval)
	require.False(t, opts.Poll)
	require.False(t, opts.Discovery)
	require.Equal(t, filepath.Join(dir, "inngest.json"), opts.ConfigFile)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	original := Original{Tick: 150 * time.Millisecond, ConnectGatewayPort: 8289, ConnectGatewayGRPCIP: "127.0.0.1",
		ConnectGatewayGRPCPort: 50052, ConnectExecutorGRPCIP: "127.0.0.1", ConnectExecutorPort: 50053,
		PostgresMaxIdleConns: 10, PostgresMaxOpenConns: 100,
		PostgresMaxIdleTime: 5 * time.Minute, PostgresMaxLifetime: 30 * time.Minute}
	common := Options{Host: "0.0.0.0", Port: 8288, UI: true, QueueWorkers: 100, EndpointPatience: 15 * time.Minute, ShutdownTimeout: 30 * time.Second,
		PollInterval: 5 * time.Second, Engine: EngineNATS, Fsync: FsyncInterval, SDKURLs: []string{}, EventKeys: []string{},
		NATS: NATS{Replicas: 1, ListenHost: "127.0.0.1", URLs: []string{}, PlacementTags: []string{}}}

	dev := common
	dev.Mode, dev.Discovery, dev.Poll = Dev, true, true
	dev.Original = original
	dev.Original.DebugAPIPort = 7777
	got, err := Load(Dev, nil, Surroundings{})
	require.NoError(t, err)
	require.Equal(t, dev, got)

	start := common
	start.Mode, start.SigningKey, start.EventKeys = Start, "abcd", []string{"x"}
	start.DataDir, start.NATS.StoreDir = ".jetstep", filepath.Join(".jetstep", "nats")
	start.Original = original
	got, err = Load(Start, keys(nil), Surroundings{})
	require.NoError(t, err)
	require.Equal(t, start, got)
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		mode  Mode
		given Given
		env   []string
		data  string
		store string
	}{
		"start":                          {Start, nil, nil, ".jetstep", ".jetstep/nats"},
		"start, data-dir":                {Start, Given{"data-dir": "d"}, nil, "d", "d/nats"},
		"start, sqlite-dir":              {Start, Given{"sqlite-dir": "s"}, nil, "s", "s/nats"},
		"start, both":                    {Start, Given{"sqlite-dir": "s", "data-dir": "d"}, nil, "d", "d/nats"},
		"start, sqlite-dir by variable":  {Start, nil, []string{"INNGEST_SQLITE_DIR=s"}, "s", "s/nats"},
		"start, store elsewhere":         {Start, Given{"nats-store-dir": "n"}, nil, ".jetstep", "n"},
		"dev":                            {Dev, nil, nil, "", ""},
		"dev, persist":                   {Dev, Given{"persist": true}, nil, ".jetstep", ".jetstep/nats"},
		"dev, persist by variable":       {Dev, nil, []string{"INNGEST_PERSIST=1"}, ".jetstep", ".jetstep/nats"},
		"dev, persist in sqlite-dir":     {Dev, Given{"persist": true, "sqlite-dir": "s"}, nil, "s", "s/nats"},
		"dev, sqlite-dir alone":          {Dev, Given{"sqlite-dir": "s"}, nil, "", ""},
		"dev, data-dir implies persist":  {Dev, Given{"data-dir": "d"}, nil, "d", "d/nats"},
		"dev, only the store is kept":    {Dev, Given{"nats-store-dir": "n"}, nil, "", "n"},
		"dev, persist=false from a file": {Dev, Given{"persist": false}, []string{"INNGEST_PERSIST=1"}, "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := c.given
			if c.mode == Start {
				given = keys(given)
			}
			opts, err := Load(c.mode, given, Surroundings{Environ: c.env})
			require.NoError(t, err)
			require.Equal(t, c.data, opts.DataDir)
			require.Equal(t, filepath.FromSlash(c.store), opts.NATS.StoreDir)
		})
	}
}

func TestSQLiteDir(t *testing.T) {
	t.Parallel()
	both := Given{"sqlite-dir": "s", "data-dir": "d"}
	for _, c := range []struct {
		mode  Mode
		given Given
		want  string
	}{
		{Start, keys(nil), ""},
		{Start, keys(both), "s"},
		{Dev, both, ""}, // which the original ignores without persist
		{Dev, Given{"sqlite-dir": "s", "persist": true}, "s"},
	} {
		opts, err := Load(c.mode, c.given, Surroundings{})
		require.NoError(t, err)
		require.Equal(t, c.want, opts.SQLiteDir)
		require.True(t, opts.SQLite())
	}
	opts, err := Load(Dev, Given{"postgres-uri": "postgres://h/d"}, Surroundings{})
	require.NoError(t, err)
	require.False(t, opts.SQLite())
	require.Empty(t, opts.Ineffective)
}

func TestLists(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		env  []string
		file string
		want []string
	}{
		"blanks stay":             {env: []string{"INNGEST_EVENT_KEY=a, b"}, want: []string{"a", " b"}},
		"empty items go":          {env: []string{"INNGEST_EVENT_KEY=a,,b,"}, want: []string{"a", "b"}},
		"replaced, not merged":    {env: []string{"INNGEST_EVENT_KEY=a"}, file: "event-key: [b, c]", want: []string{"a"}},
		"list in a file":          {file: "event-key: [b, c]", want: []string{"b", "c"}},
		"text in a file":          {file: "event-key: b,c", want: []string{"b", "c"}},
		"strongest variable wins": {env: []string{"INNGEST_EVENT_KEY=a", "JETSTEP_EVENT_KEY=b"}, want: []string{"b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := Surroundings{Environ: c.env, Dir: write(t, "inngest.yaml", c.file)}
			opts, err := Load(Start, Given{"signing-key": "abcd"}, from)
			require.NoError(t, err)
			require.Equal(t, c.want, opts.EventKeys)
		})
	}
}

func TestNATSOptions(t *testing.T) {
	t.Parallel()
	env := []string{
		"JETSTEP_NATS_URL=nats://a:4222, nats://b:4222", "JETSTEP_NATS_CREDS=creds", "JETSTEP_NATS_TLS_CA=ca",
		"JETSTEP_NATS_TLS_CERT=cert", "JETSTEP_NATS_TLS_KEY=key", "JETSTEP_NATS_DOMAIN=hub",
		"JETSTEP_NATS_REPLICAS=3", "JETSTEP_NATS_PLACEMENT_TAGS=ssd, eu", "JETSTEP_FSYNC=always", "JETSTEP_PARTITIONS=16",
		"JETSTEP_SHUTDOWN_TIMEOUT=1m",
	}
	opts, err := Load(Dev, nil, Surroundings{Environ: env})
	require.NoError(t, err)
	require.Equal(t, NATS{URLs: []string{"nats://a:4222", "nats://b:4222"}, Creds: "creds", TLSCA: "ca", TLSCert: "cert",
		TLSKey: "key", Domain: "hub", Replicas: 3, PlacementTags: []string{"ssd", "eu"}, ListenHost: "127.0.0.1"}, opts.NATS)
	require.False(t, opts.NATS.Embedded())
	require.Equal(t, FsyncAlways, opts.Fsync)
	require.Equal(t, 16, opts.Partitions)
	require.Equal(t, time.Minute, opts.ShutdownTimeout)
}

func TestOptionsOfTheOtherCommandAreIgnored(t *testing.T) {
	t.Parallel()
	env := []string{"INNGEST_SIGNING_KEY=not hex", "INNGEST_EVENT_KEY=k", "INNGEST_NO_UI=1", "INNGEST_REDIS_URI=:"}
	opts, err := Load(Dev, nil, Surroundings{Environ: env})
	require.NoError(t, err)
	require.Empty(t, opts.SigningKey)
	require.Empty(t, opts.EventKeys)
	require.True(t, opts.UI)

	opts, err = Load(Start, keys(nil), Surroundings{Environ: []string{"INNGEST_NO_POLL=0", "INNGEST_NO_DISCOVERY=0"}})
	require.NoError(t, err)
	require.False(t, opts.Poll, "start never asks healthy apps")
	require.False(t, opts.Discovery)
}

func TestIneffectiveAndUnknown(t *testing.T) {
	t.Parallel()
	dir := write(t, "jetstep.yml", "tick: 100\nprot: 1\napi-host: x\npersist: true\nbogus: 2\n")
	opts, err := Load(Start, keys(Given{"redis-uri": "redis://h"}), Surroundings{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, []string{"redis-uri", "tick"}, opts.Ineffective, "a Redis that is not used is one")
	require.Equal(t, []string{"bogus", "prot"}, opts.UnknownKeys)
	require.Equal(t, 100*time.Millisecond, opts.Original.Tick)
}

func TestConversionErrorsNameTheirSource(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		env  string
		file string
		want string
	}{
		"integer in a variable":  {env: "INNGEST_PORT=http", want: `port must be a whole number, not "http" (from INNGEST_PORT)`},
		"boolean in a variable":  {env: "JETSTEP_NO_UI=yes", want: `no-ui must be true or false, not "yes" (from JETSTEP_NO_UI)`},
		"duration in a variable": {env: "JETSTEP_SHUTDOWN_TIMEOUT=30", want: `shutdown-timeout must be a duration such as 30s, not "30" (from JETSTEP_SHUTDOWN_TIMEOUT)`},
		"fraction in a file":     {file: "port: 1.5", want: `port must be a whole number, not "1.5" (from FILE)`},
		"list as an integer":     {file: "port: [1]", want: `port must be a whole number, not "[1]" (from FILE)`},
		"number as a boolean":    {file: "no-ui: 1", want: `no-ui must be true or false, not "1" (from FILE)`},
		"number as a duration":   {file: "shutdown-timeout: 30", want: `shutdown-timeout must be a duration such as 30s, not "30" (from FILE)`},
		"number as a key":        {file: "signing-key-fallback: 0123", want: `signing-key-fallback must be a text (in quotes) (from FILE)`},
		"numbers as keys":        {file: "sdk-url: [1]", want: `sdk-url must be a list of texts (in quotes) (from FILE)`},
		"number as a list":       {file: "sdk-url: 1", want: `sdk-url must be a list (from FILE)`},
		"first error wins":       {file: "host: [a]\nport: x", want: `host must be a text (in quotes) (from FILE)`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(write(t, "c.yaml", c.file), "c.yaml")
			_, err := Load(Start, keys(Given{"config": path}), Surroundings{Environ: []string{c.env}})
			var invalid *InvalidError
			require.ErrorAs(t, err, &invalid)
			want := c.want
			if c.file != "" {
				want = want[:len(want)-len("FILE)")] + path + ")"
			}
			require.Equal(t, want, err.Error())
			require.Contains(t, err.Error(), invalid.Option)
		})
	}
}

func TestValuesOfFiles(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ name, text string }{
		"json":            {"inngest.json", `{"port": 9000, "no-ui": true, "shutdown-timeout": "5s", "host": null}`},
		"json with texts": {"inngest.json", `{"port": "9000", "no-ui": "1", "shutdown-timeout": "5s"}`},
		"yaml":            {"inngest.yaml", "port: 9000\nno-ui: true\nshutdown-timeout: 5s\nhost:\n"},
		"yaml with texts": {"inngest.yml", "port: '9000'\nno-ui: 'true'\nshutdown-timeout: '5s'\nhost: ''\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, err := Load(Start, keys(nil), Surroundings{Dir: write(t, c.name, c.text)})
			require.NoError(t, err)
			require.Equal(t, 9000, opts.Port)
			require.False(t, opts.UI)
			require.Equal(t, 5*time.Second, opts.ShutdownTimeout)
			require.Equal(t, "0.0.0.0", opts.Host)
		})
	}
}
