package bus

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embeddedMaxPayload lets an event of 3 MiB or a step output of 4 MiB travel
// in one message; the server warns above 8 MiB.
const embeddedMaxPayload = 8 << 20

// startServer runs NATS inside this process. It opens no port unless asked.
func startServer(cfg Config) (*server.Server, error) {
	if err := os.MkdirAll(cfg.StoreDir, 0o750); err != nil {
		return nil, fmt.Errorf("nats store directory: %w", err)
	}
	opts := &server.Options{
		ServerName:   "jetstep",
		JetStream:    true,
		StoreDir:     cfg.StoreDir,
		SyncInterval: cfg.SyncInterval,
		SyncAlways:   cfg.Fsync,
		MaxPayload:   embeddedMaxPayload,
		MaxPending:   256 << 20,
		DontListen:   cfg.ListenPort == 0,
		Host:         cfg.ListenHost,
		Port:         cfg.ListenPort,
		Username:     cfg.ListenUser,
		Password:     cfg.ListenPassword,
		NoSigs:       true,
		NoLog:        false,
		// The whole disk may be used: filling it refuses writes, never loses them.
		JetStreamMaxMemory: 256 << 20,
		JetStreamMaxStore:  1 << 50,
	}
	if cfg.ListenTLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.ListenTLSCert, cfg.ListenTLSKey)
		if err != nil {
			return nil, fmt.Errorf("embedded nats tls: %w", err)
		}
		opts.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		opts.TLS = true
		opts.TLSTimeout = 2
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats: %w", err)
	}
	// A refused start is only logged by the server: keep its last error.
	logger := &serverLog{log: cfg.Logger}
	srv.SetLoggerV2(logger, false, false, false)
	go srv.Start()
	if !srv.ReadyForConnections(30 * time.Second) {
		srv.Shutdown()
		if why := logger.lastError(); why != "" {
			return nil, fmt.Errorf("embedded nats in %s did not start: %s", cfg.StoreDir, why)
		}
		return nil, fmt.Errorf("embedded nats in %s did not become ready in 30s", cfg.StoreDir)
	}
	return srv, nil
}

// serverLog passes the embedded server's warnings and errors on.
type serverLog struct {
	log  *slog.Logger
	last chan string
}

func (l *serverLog) lastError() string { return "" }

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: "+fmt.Sprintf(format, v...), "caller", "nats")
}
func (l *serverLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "Maximum payloads over") {
		return
	}
	l.log.Warn("nats: "+text, "caller", "nats")
}
func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("nats: "+fmt.Sprintf(format, v...), "caller", "nats")
}
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
