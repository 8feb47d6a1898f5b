package main

import (
	"time"

	"jetstep/cmd/jetstep/internal/config"
)

// startOptionsJSON is how GET /dev shows the options, with the original's
// names (http-api §7).
type startOptionsJSON struct {
	Dir                string      `json:"dir"`
	URLs               []string    `json:"urls"`
	Autodiscover       bool        `json:"autodiscover"`
	Poll               bool        `json:"poll"`
	PollInterval       int         `json:"poll_interval"`
	Tick               int64       `json:"tick"` // nanoseconds
	RetryInterval      int         `json:"retry_interval"`
	QueueWorkers       int         `json:"queue_workers"`
	RequireKeys        bool        `json:"require_keys"`
	ConnectGatewayPort int         `json:"connectGatewayPort"`
	ConnectGatewayHost string      `json:"connectGatewayHost"`
	ConnectGRPC        connectGRPC `json:"connectGRPCConfig"`
	NoUI               bool        `json:"NoUI"`
	Persist            bool        `json:"persist"`
	RedisURI           string      `json:"redis_uri"`
	PostgresURI        string      `json:"postgres_uri"`
	PostgresMaxIdle    int         `json:"postgres-max-idle-conns"`
	PostgresMaxOpen    int         `json:"postgres-max-open-conns"`
	PostgresIdleTime   int         `json:"postgres-conn-max-idle-time"`
	PostgresLifetime   int         `json:"postgres-conn-max-lifetime"`
	SQLiteDir          string      `json:"sqlite_dir"`
	DebugAPIPort       int         `json:"debugAPIPort"`
}

type connectGRPC struct {
	Gateway  ipPort `json:"Gateway"`
	Executor ipPort `json:"Executor"`
}

type ipPort struct {
	IP   string `json:"IP"`
	Port int    `json:"Port"`
}

func startOptions(opts config.Options) startOptionsJSON {
	o := opts.Original
	urls := opts.SDKURLs
	if urls == nil {
		urls = []string{}
	}
	return startOptionsJSON{
		URLs:               urls,
		Autodiscover:       opts.Discovery,
		Poll:               opts.Poll,
		PollInterval:       seconds(opts.PollInterval),
		Tick:               o.Tick.Nanoseconds(),
		RetryInterval:      seconds(opts.RetryInterval),
		QueueWorkers:       opts.QueueWorkers,
		RequireKeys:        opts.Mode == config.Start,
		ConnectGatewayPort: o.ConnectGatewayPort,
		ConnectGatewayHost: opts.Host,
		ConnectGRPC: connectGRPC{
			Gateway:  ipPort{o.ConnectGatewayGRPCIP, o.ConnectGatewayGRPCPort},
			Executor: ipPort{o.ConnectExecutorGRPCIP, o.ConnectExecutorPort},
		},
		NoUI:             !opts.UI,
		Persist:          o.Persist,
		RedisURI:         o.RedisURI,
		PostgresURI:      o.PostgresURI,
		PostgresMaxIdle:  o.PostgresMaxIdleConns,
		PostgresMaxOpen:  o.PostgresMaxOpenConns,
		PostgresIdleTime: int(o.PostgresMaxIdleTime / time.Minute),
		PostgresLifetime: int(o.PostgresMaxLifetime / time.Minute),
		SQLiteDir:        o.SQLiteDir,
		DebugAPIPort:     o.DebugAPIPort,
	}
}

func seconds(d time.Duration) int { return int(d / time.Second) }
