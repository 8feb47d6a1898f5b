package config

import (
	"path/filepath"
	"slices"
	"time"
)

// Given holds the flags that were on the command line, by option name and
// with the Go type of their Kind.
type Given map[string]any

// Surroundings is what Load may know about the process.
type Surroundings struct {
	Environ []string // "NAME=value"
	Dir     string   // working directory, where the search for a file begins
	Home    string   // home directory, "" if there is none
}

const (
	defaultDir          = ".jetstep"
	defaultPollInterval = 5 * time.Second
)

// Load merges all sources of the options and checks the result. An error of
// type *InvalidError names the option; any other is about the config file or
// an address. Nothing is returned with an error.
func Load(mode Mode, given Given, from Surroundings) (Options, error) {
	l := &layers{mode: mode, given: given}
	for _, prefix := range envPrefixes {
		l.env = append(l.env, variablesFrom(from.Environ, prefix))
	}
	var skipped []error
	if path := l.text("config"); path != "" {
		var err error
		if l.file, err = readFile(path); err != nil {
			return Options{}, err
		}
	} else {
		l.file, skipped = findFile(from.Dir, from.Home)
	}
	opts := l.assemble()
	opts.SkippedFiles = skipped
	if l.err != nil {
		return Options{}, l.err
	}
	if err := opts.validate(); err != nil {
		return Options{}, err
	}
	return opts, nil
}

// assemble reads every option once. Conversion errors end up in l.err.
func (l *layers) assemble() Options {
	opts := Options{
		Mode:               l.mode,
		ConfigFile:         l.file.path,
		Host:               l.text("host"),
		Port:               l.integer("port"),
		SigningKey:         l.text("signing-key"),
		SigningKeyFallback: l.text("signing-key-fallback"),
		EventKeys:          l.list("event-key"),
		UI:                 !l.boolean("no-ui"),
		QueueWorkers:       l.integer("queue-workers"),
		RetryInterval:      seconds(l.integer("retry-interval")),
		EndpointPatience:   l.duration("endpoint-patience"),
		ShutdownTimeout:    l.duration("shutdown-timeout"),
		SDKURLs:            l.list("sdk-url"),
		// Only dev looks for apps, and asks healthy ones again (cli-config §6).
		Discovery:    l.mode == Dev && !l.boolean("no-discovery"),
		Poll:         l.mode == Dev && !l.boolean("no-poll"),
		PollInterval: seconds(l.integer("poll-interval")),
		DataDir:      l.dataDir(),
		SQLiteDir:    l.sqliteDir(),

		OTLPEndpoint: l.text("otlp-endpoint"),

		HistoryRetention: l.duration("history-retention"),
		HistoryMaxRuns:   l.integer("history-max-runs"),

		Engine:      Engine(l.text("engine")),
		DrainRedis:  l.text("drain-redis"),
		Fsync:       Fsync(l.text("fsync")),
		Partitions:  l.integer("partitions"),
		NATS:        l.nats(),
		Original:    l.original(),
		Ineffective: l.ineffective(),
		UnknownKeys: l.unknownKeys(),
	}
	if opts.PollInterval == 0 {
		opts.PollInterval = defaultPollInterval
	}
	if opts.NATS.StoreDir == "" && opts.DataDir != "" {
		opts.NATS.StoreDir = filepath.Join(opts.DataDir, "nats")
	}
	return opts
}

// dataDir decides where things are kept, "" for a temporary directory. In dev
// naming a directory is taken as the wish to keep it, except by sqlite-dir,
// which the original ignores there without persist.
func (l *layers) dataDir() string {
	dir, named := l.text("data-dir"), l.text("sqlite-dir")
	switch {
	case dir != "":
		return dir
	case l.mode == Dev && !l.boolean("persist"):
		return ""
	case named != "":
		return named
	}
	return defaultDir
}

// sqliteDir is "" for the data directory. Like that of the original, it counts
// in dev only for what is kept.
func (l *layers) sqliteDir() string {
	if l.mode == Dev && !l.boolean("persist") {
		return ""
	}
	return l.text("sqlite-dir")
}

func (l *layers) nats() NATS {
	return NATS{
		URLs:           l.trimmed("nats-url"),
		StoreDir:       l.text("nats-store-dir"),
		Creds:          l.text("nats-creds"),
		NKey:           l.text("nats-nkey"),
		User:           l.text("nats-user"),
		Password:       l.text("nats-password"),
		Token:          l.text("nats-token"),
		TLSCA:          l.text("nats-tls-ca"),
		TLSCert:        l.text("nats-tls-cert"),
		TLSKey:         l.text("nats-tls-key"),
		Domain:         l.text("nats-domain"),
		Replicas:       l.integer("nats-replicas"),
		PlacementTags:  l.trimmed("nats-placement-tags"),
		Port:           l.integer("nats-port"),
		ListenHost:     l.text("nats-listen-host"),
		ListenTLSCert:  l.text("nats-listen-tls-cert"),
		ListenTLSKey:   l.text("nats-listen-tls-key"),
		ListenUser:     l.text("nats-listen-user"),
		ListenPassword: l.text("nats-listen-password"),
	}
}

func (l *layers) original() Original {
	return Original{
		Persist:                l.boolean("persist"),
		SQLiteDir:              l.text("sqlite-dir"),
		Tick:                   time.Duration(l.integer("tick")) * time.Millisecond,
		ConnectGatewayPort:     l.integer("connect-gateway-port"),
		ConnectGatewayGRPCIP:   l.text("connect-gateway-grpc-ip"),
		ConnectGatewayGRPCPort: l.integer("connect-gateway-grpc-port"),
		ConnectExecutorGRPCIP:  l.text("connect-executor-grpc-ip"),
		ConnectExecutorPort:    l.integer("connect-executor-grpc-port"),
		DebugAPIPort:           l.integer("debug-api-port"),
		RedisURI:               l.text("redis-uri"),
		PostgresURI:            l.text("postgres-uri"),
		PostgresMaxIdleConns:   l.integer("postgres-max-idle-conns"),
		PostgresMaxOpenConns:   l.integer("postgres-max-open-conns"),
		PostgresMaxIdleTime:    time.Duration(l.integer("postgres-conn-max-idle-time")) * time.Minute,
		PostgresMaxLifetime:    time.Duration(l.integer("postgres-conn-max-lifetime")) * time.Minute,
	}
}

// ineffective are the options without effect that were given. A Redis that is
// not used is one: whoever names it may think that it is.
func (l *layers) ineffective() []string {
	unused := ""
	if Engine(l.text("engine")) != EngineRedis {
		unused = "redis-uri"
	}
	var names []string
	for _, o := range OptionsOf(l.mode) {
		if _, place := l.find(o.Name); (o.Inert || o.Name == unused) && place != "" {
			names = append(names, o.Name)
		}
	}
	return names
}

// unknownKeys finds misspelt keys of the config file. Keys of the other
// command and of the original's API client are fine: one file serves all.
func (l *layers) unknownKeys() []string {
	known := []string{"api-host", "api-port", "prod"}
	for _, o := range options {
		known = append(known, o.Name)
	}
	var unknown []string
	for key := range l.file.values {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	return unknown
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
