package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// embeddedMaxPayload lets an event of 3 MiB or a step output of 4 MiB travel
	// in one message; the server warns above 8 MiB.
	embeddedMaxPayload = 8 << 20
	// readyTimeout bounds the time from the end of start-up, when all streams
	// have been read, until the server takes connections.
	readyTimeout = 10 * time.Second
)

// embedded is a NATS server inside this process, with its directory.
type embedded struct {
	*server.Server
	dir *storeDir
	log *serverLog
}

// startServer runs NATS inside this process. It opens no port unless asked.
// Reading the streams takes a while after a crash, as long as ctx allows.
func startServer(ctx context.Context, cfg Config, log *serverLog) (*embedded, error) {
	opts, err := serverOptions(cfg)
	if err != nil {
		return nil, err
	}
	dir, err := openStoreDir(cfg.StoreDir)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		dir.close()
		return nil, fmt.Errorf("embedded nats: %w", err)
	}
	srv.SetLoggerV2(log, false, false, false)
	e := &embedded{Server: srv, dir: dir, log: log}
	if err := e.start(ctx); err != nil {
		return nil, fmt.Errorf("embedded nats in %s did not start: %w", cfg.StoreDir, err)
	}
	return e, nil
}

func serverOptions(cfg Config) (*server.Options, error) {
	opts := &server.Options{
		ServerName:      "jetstep",
		JetStream:       true,
		JetStreamDomain: cfg.Domain,
		StoreDir:        cfg.StoreDir,
		SyncInterval:    cfg.SyncInterval,
		SyncAlways:      cfg.Fsync,
		MaxPayload:      embeddedMaxPayload,
		MaxPending:      256 << 20,
		DontListen:      cfg.ListenPort == 0,
		Host:            cfg.ListenHost,
		Port:            cfg.ListenPort,
		Username:        cfg.ListenUser,
		Password:        cfg.ListenPassword,
		NoSigs:          true,
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
	return opts, nil
}

// start returns when the server takes connections, or why it does not; it is
// closed then. The server itself only logs that it gives up.
func (e *embedded) start(ctx context.Context) error {
	started := make(chan struct{})
	go func() {
		defer close(started)
		e.Start()
	}()
	select {
	case <-started:
	case <-ctx.Done():
		// It cannot be interrupted, and has the directory until it is done.
		go func() {
			<-started
			e.close()
		}()
		return context.Cause(ctx)
	}
	if err := e.ready(); err != nil {
		e.close()
		return err
	}
	return nil
}

// ready tells why a server whose start has ended takes no connections.
func (e *embedded) ready() error {
	if why := e.log.fatalError(); why != "" {
		return errors.New(why)
	}
	if e.ReadyForConnections(readyTimeout) {
		return nil
	}
	if why := e.log.lastError(); why != "" {
		return errors.New(why)
	}
	return fmt.Errorf("not ready after %s", readyTimeout)
}

// close shuts the server down, which writes its streams out.
func (e *embedded) close() {
	e.Shutdown()
	e.WaitForShutdown()
	e.dir.close()
}
