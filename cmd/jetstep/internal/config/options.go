// Package config turns a command line, the environment and a config file into
// one checked Options value.
//
// It owns the list of options (names, aliases, defaults, help texts), where a
// value comes from (flag, then JETSTEP_* variable, then INNGEST_* variable,
// then config file, then default; cli-config §4) and which combinations are
// refused, with the exact texts that scripts look for (cli-config §6). It
// reads the config file and nothing else: it opens no port and makes no
// directory, and does not know what the options are used for.
package config

import "time"

// Options is everything that dev or start was told, checked and typed.
type Options struct {
	Mode       Mode
	ConfigFile string // the config file that was used, "" for none

	Host               string // address to listen on
	Port               int    // 0 lets the system choose
	SigningKey         string // as given, with its signkey- prefix; "" in dev
	SigningKeyFallback string // accepted during rotation; may be ""
	EventKeys          []string
	UI                 bool // web interface and GraphQL
	QueueWorkers       int
	RetryInterval      time.Duration // linear back-off; 0 means the default table
	EndpointPatience   time.Duration // see executor.Config.Patience
	ShutdownTimeout    time.Duration // for in-flight requests

	SDKURLs      []string // as given: a scheme may be missing
	Discovery    bool     // look for apps on local ports
	Poll         bool     // ask healthy apps again, too
	PollInterval time.Duration

	// DataDir holds everything that is stored; "" means a temporary directory
	// that is removed at exit.
	DataDir string
	// SQLiteDir is where main.db is, unless the history is in PostgreSQL; ""
	// means the data directory.
	SQLiteDir string
	// What is older than HistoryRetention is deleted from the history, and of
	// runs all but the latest HistoryMaxRuns; 0 keeps everything.
	HistoryRetention time.Duration
	HistoryMaxRuns   int

	// OTLPEndpoint is the URL of the collector that gets traces of runs; ""
	// leaves it to the environment.
	OTLPEndpoint string

	Engine     Engine
	DrainRedis string // Redis whose runs end beside those of NATS; "" for none
	Fsync      Fsync
	Partitions int // of a new installation; 0 means the default
	NATS       NATS

	Original Original

	// Ineffective names the options that were given but change nothing yet.
	Ineffective []string
	// UnknownKeys are keys of the config file that mean nothing.
	UnknownKeys []string
	// SkippedFiles are config files that were found but could not be read,
	// with the reason.
	SkippedFiles []error
}

// SQLite tells whether the history is in a file of this process.
func (o Options) SQLite() bool { return o.Original.PostgresURI == "" }

// Engine says where runs and their jobs are kept.
type Engine string

// With EngineNATS they are in JetStream; with EngineRedis in Original.RedisURI,
// as the original keeps them.
const (
	EngineNATS  Engine = "nats"
	EngineRedis Engine = "redis"
)

// Fsync says when the embedded NATS syncs its files.
type Fsync string

// With FsyncInterval an acknowledged write is in the page cache and survives
// the process; with FsyncAlways it is on the disk.
const (
	FsyncInterval Fsync = "interval"
	FsyncAlways   Fsync = "always"
)

// NATS says which server is used and how it is reached.
type NATS struct {
	URLs     []string // external servers; empty means embedded
	StoreDir string   // embedded; "" means "nats" in the data directory

	Creds, NKey                 string // files
	User, Password, Token       string
	TLSCA, TLSCert, TLSKey      string // files
	Domain                      string
	Replicas                    int
	PlacementTags               []string
	Port                        int // client port of the embedded server; 0 means none
	ListenHost                  string
	ListenTLSCert, ListenTLSKey string // files
	ListenUser, ListenPassword  string
}

// Embedded tells whether the process runs its own NATS.
func (n NATS) Embedded() bool { return len(n.URLs) == 0 }

// Original holds options of the original as they were given: most change
// nothing yet, but all are checked, and reported by GET /dev (http-api §7).
type Original struct {
	Persist                bool
	SQLiteDir              string
	Tick                   time.Duration
	ConnectGatewayPort     int
	ConnectGatewayGRPCIP   string
	ConnectGatewayGRPCPort int
	ConnectExecutorGRPCIP  string
	ConnectExecutorPort    int
	DebugAPIPort           int
	RedisURI               string
	PostgresURI            string
	PostgresMaxIdleConns   int
	PostgresMaxOpenConns   int
	PostgresMaxIdleTime    time.Duration
	PostgresMaxLifetime    time.Duration
}
