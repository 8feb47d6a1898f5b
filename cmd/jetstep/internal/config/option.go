package config

import "fmt"

// Mode is the command the options belong to.
type Mode uint8

// The two servers. As bits, so that an option can belong to both.
const (
	Dev Mode = 1 << iota
	Start

	both = Dev | Start
)

// String is the name of the command.
func (m Mode) String() string {
	switch m {
	case Dev:
		return "dev"
	case Start:
		return "start"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Kind is the type of an option's value. It decides how text from a variable
// or a file is read.
type Kind uint8

// The kinds, with the Go type that each has in Given.
const (
	String   Kind = iota // string
	List                 // []string; text is split on commas
	Int                  // int
	Bool                 // bool
	Duration             // time.Duration
)

// Option describes one option: as a flag, as a variable (JETSTEP_<NAME>,
// INNGEST_<NAME>) and as a key of the config file, which all share its name.
type Option struct {
	Name     string
	Aliases  []string
	Kind     Kind
	Default  string // as it would be written on the command line
	Usage    string
	Category string
	Modes    Mode // the commands that accept it
	HiddenIn Mode // the commands whose help does not show it
	Inert    bool // accepted for compatibility, no effect yet
}

// Categories of the help page, which shows them in alphabetical order.
const (
	catApps    = "Apps"
	catNATS    = "NATS"
	catServer  = "Server"
	catStorage = "Storage"
	catInert   = "Without effect yet"
)

// Places tells whether an option says where something is stored.
func (o Option) Places() bool {
	return (o.Category == catStorage || o.Category == catNATS || o.Name == "config") && o.Name != "persist"
}

// OptionsOf lists the options that a command accepts, in the order of its help.
func OptionsOf(mode Mode) []Option {
	var list []Option
	for _, o := range options {
		if o.Modes&mode != 0 {
			list = append(list, o)
		}
	}
	return list
}

// optionOf finds an option that the command accepts.
func optionOf(mode Mode, name string) (Option, bool) {
	for _, o := range options {
		if o.Name == name && o.Modes&mode != 0 {
			return o, true
		}
	}
	return Option{}, false
}

// options is the one list of options; flags, variables and file keys follow
// from it. Those of the original are in cli-config §5 and §6; data-dir, fsync,
// partitions, engine, drain-redis, endpoint-patience, shutdown-timeout, otlp-endpoint, signing-key-fallback and nats-* are Jetstep's.
var options = []Option{
	{Name: "config", Kind: String, Modes: both, Category: catServer,
		Usage: "config `FILE`; otherwise jetstep.json|yaml|yml or inngest.json|yaml|yml is searched in this directory, its parents and ~/.config"},
	{Name: "host", Kind: String, Default: "0.0.0.0", Modes: both, Category: catServer,
		Usage: "address to listen on"},
	{Name: "port", Aliases: []string{"p"}, Kind: Int, Default: "8288", Modes: both, Category: catServer,
		Usage: "port to listen on; dev takes the next free one, start fails when it is taken"},
	{Name: "signing-key", Kind: String, Modes: Start, Category: catServer,
		Usage: "key that requests between server and SDKs are signed with, hex (required)"},
	{Name: "signing-key-fallback", Kind: String, Modes: Start, Category: catServer,
		Usage: "second signing key that is accepted while keys are rotated"},
	{Name: "event-key", Kind: List, Modes: Start, Category: catServer,
		Usage: "key that may send events, repeatable (at least one is required)"},
	{Name: "no-ui", Kind: Bool, Modes: Start, Category: catServer,
		Usage: "serve no web interface and no GraphQL"},
	{Name: "queue-workers", Kind: Int, Default: "100", Modes: both, Category: catServer,
		Usage: "how many steps are called at the same time"},
	{Name: "retry-interval", Kind: Int, Default: "0", Modes: both, Category: catServer,
		Usage: "`SECONDS` between retries of a step; 0 backs off exponentially"},
	{Name: "endpoint-patience", Kind: Duration, Default: "15m", Modes: both, Category: catServer,
		Usage: "how long the app of a durable endpoint may report nothing before it is called to go on with the run"},
	{Name: "otlp-endpoint", Kind: String, Modes: both, Category: catServer,
		Usage: "`URL` of an OpenTelemetry collector that gets the traces of runs: http://host:4318, or grpc://host:4317; the variables OTEL_EXPORTER_OTLP_… work, too"},
	{Name: "shutdown-timeout", Kind: Duration, Default: "30s", Modes: both, Category: catServer,
		Usage: "how long start waits for running steps when it is told to stop"},

	{Name: "sdk-url", Aliases: []string{"u"}, Kind: List, Modes: both, Category: catApps,
		Usage: "serve endpoint of an app, repeatable (e.g. http://localhost:3000/api/inngest)"},
	{Name: "no-discovery", Kind: Bool, Modes: Dev, Category: catApps,
		Usage: "do not look for apps on local ports"},
	{Name: "no-poll", Kind: Bool, Modes: Dev, Category: catApps,
		Usage: "do not ask healthy apps for changes"},
	{Name: "poll-interval", Kind: Int, Default: "5", Modes: both, Category: catApps,
		Usage: "`SECONDS` between looks at the apps (0 means 5)"},

	{Name: "data-dir", Kind: String, Modes: both, Category: catStorage,
		Usage: "directory for everything that is stored (start: ./.jetstep; dev: a temporary one; given to dev it implies --persist)"},
	{Name: "sqlite-dir", Kind: String, Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "directory of main.db, the history in SQLite (default <data-dir>); without --data-dir it is that, too"},
	{Name: "persist", Kind: Bool, Modes: Dev, Category: catStorage,
		Usage: "keep what is stored, in ./.jetstep"},
	{Name: "nats-store-dir", Kind: String, Modes: both, Category: catStorage,
		Usage: "directory of the embedded NATS (default <data-dir>/nats)"},
	{Name: "engine", Kind: String, Default: string(EngineNATS), Modes: both, Category: catStorage,
		Usage: "where runs and their jobs are kept: nats, or redis, as the original keeps them"},
	{Name: "redis-uri", Kind: String, Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "Redis of --engine redis, redis://…; runs that the original left there go on"},
	{Name: "drain-redis", Kind: String, Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "with --engine nats, a Redis whose runs go on to their end, while new ones start on NATS"},
	{Name: "history-retention", Kind: Duration, Default: "0s", Modes: both, Category: catStorage,
		Usage: "how long events and ended runs are shown, such as 720h; 0 keeps them for ever"},
	{Name: "history-max-runs", Kind: Int, Default: "0", Modes: both, Category: catStorage,
		Usage: "how many of the latest runs are shown; 0 keeps any number"},
	{Name: "fsync", Kind: String, Default: string(FsyncInterval), Modes: both, Category: catStorage,
		Usage: "when the embedded NATS syncs to disk: interval (survives a killed process; power loss can cost a second) or always"},
	{Name: "partitions", Kind: Int, Default: "0", Modes: both, Category: catStorage,
		Usage: "partitions of a new installation, fixed afterwards (0 means 4)"},

	{Name: "postgres-uri", Kind: String, Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "PostgreSQL for the history, postgres://…, instead of SQLite; nothing waits for it that executes functions"},
	{Name: "postgres-max-idle-conns", Kind: Int, Default: "10", Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "connections to PostgreSQL that are kept when idle"},
	{Name: "postgres-max-open-conns", Kind: Int, Default: "100", Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "connections to PostgreSQL at most"},
	{Name: "postgres-conn-max-idle-time", Kind: Int, Default: "5", Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "`MINUTES` after which an idle connection to PostgreSQL is closed"},
	{Name: "postgres-conn-max-lifetime", Kind: Int, Default: "30", Modes: both, HiddenIn: Dev, Category: catStorage,
		Usage: "`MINUTES` after which a connection to PostgreSQL is replaced"},

	{Name: "nats-url", Kind: List, Modes: both, Category: catNATS,
		Usage: "external NATS instead of the embedded one, comma separated"},
	{Name: "nats-creds", Kind: String, Modes: both, Category: catNATS, Usage: "credentials `FILE` for the external NATS"},
	{Name: "nats-nkey", Kind: String, Modes: both, Category: catNATS, Usage: "nkey seed `FILE` for the external NATS"},
	{Name: "nats-user", Kind: String, Modes: both, Category: catNATS, Usage: "user name for the external NATS"},
	{Name: "nats-password", Kind: String, Modes: both, Category: catNATS, Usage: "password for the external NATS"},
	{Name: "nats-token", Kind: String, Modes: both, Category: catNATS, Usage: "token for the external NATS"},
	{Name: "nats-tls-ca", Kind: String, Modes: both, Category: catNATS, Usage: "CA certificate `FILE` to check the external NATS with"},
	{Name: "nats-tls-cert", Kind: String, Modes: both, Category: catNATS, Usage: "client certificate `FILE` for the external NATS"},
	{Name: "nats-tls-key", Kind: String, Modes: both, Category: catNATS, Usage: "client key `FILE` for the external NATS"},
	{Name: "nats-domain", Kind: String, Modes: both, Category: catNATS, Usage: "JetStream domain of the external NATS"},
	{Name: "nats-replicas", Kind: Int, Default: "1", Modes: both, Category: catNATS, Usage: "copies of each stream in an external cluster (1 to 5)"},
	{Name: "nats-placement-tags", Kind: List, Modes: both, Category: catNATS, Usage: "tags of the servers that hold the streams, comma separated"},
	{Name: "nats-port", Kind: Int, Default: "0", Modes: both, Category: catNATS, Usage: "open the embedded NATS to other clients on this port (0: not)"},
	{Name: "nats-listen-host", Kind: String, Default: "127.0.0.1", Modes: both, Category: catNATS, Usage: "address of --nats-port"},
	{Name: "nats-listen-tls-cert", Kind: String, Modes: both, Category: catNATS, Usage: "certificate `FILE` of --nats-port"},
	{Name: "nats-listen-tls-key", Kind: String, Modes: both, Category: catNATS, Usage: "key `FILE` of --nats-port"},
	{Name: "nats-listen-user", Kind: String, Modes: both, Category: catNATS, Usage: "user name asked for on --nats-port"},
	{Name: "nats-listen-password", Kind: String, Modes: both, Category: catNATS, Usage: "password asked for on --nats-port"},

	inert(Int, "tick", "150", both, 0, "queue polling period in ms"),
	inert(Int, "connect-gateway-port", "8289", both, 0, "port of the WebSocket gateway"),
	inert(Int, "connect-gateway-grpc-port", "50052", both, 0, "gRPC port of the gateway"),
	inert(Int, "connect-executor-grpc-port", "50053", both, 0, "gRPC port of the executor"),
	inert(String, "connect-gateway-grpc-ip", "127.0.0.1", both, 0, "advertised IP of the gateway"),
	inert(String, "connect-executor-grpc-ip", "127.0.0.1", both, 0, "advertised IP of the executor"),
	inert(Int, "debug-api-port", "7777", Dev, Dev, "gRPC port of the debug API"),
	inert(String, "system-trace-endpoint", "", Dev, Dev, "OTLP endpoint of internal traces"),
	inert(String, "system-trace-url-path", "", Dev, Dev, "OTLP path of internal traces"),
}

// inert is an option of the original that is accepted, so that existing
// command lines work, but changes nothing yet.
func inert(kind Kind, name, def string, modes, hidden Mode, usage string) Option {
	return Option{Name: name, Kind: kind, Default: def, Modes: modes, HiddenIn: hidden,
		Category: catInert, Inert: true, Usage: usage + " (accepted, no effect yet)"}
}
