package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// clientName is what connections are called in the server's monitoring.
const clientName = "jetstep"

const reconnectWait = 250 * time.Millisecond

// DefaultPartitions is the number of partitions of a new installation.
const DefaultPartitions = 4

// MaxPartitions is bounded by the byte that run ids carry their partition in.
const MaxPartitions = 256

// Config says which NATS to use and how. With no URLs a server is embedded.
type Config struct {
	// StoreDir is the embedded server's directory for streams.
	StoreDir string
	// Fsync makes every write reach the disk before it is acknowledged. Off,
	// a write is in the page cache (it survives kill -9) and is synced every
	// SyncInterval.
	Fsync        bool
	SyncInterval time.Duration // default 1 s

	// The embedded server opens a client port only when ListenPort is not 0
	// (-1 picks a free one).
	ListenHost                 string
	ListenPort                 int
	ListenTLSCert              string
	ListenTLSKey               string
	ListenUser, ListenPassword string

	// URLs are those of an external NATS; the rest says how to log in.
	URLs                  []string
	CredsFile             string
	NkeyFile              string
	User, Password, Token string
	TLSCA                 string
	TLSCert, TLSKey       string
	Domain                string // JetStream domain, also of an embedded server

	// What follows is for streams that do not exist yet; later it is the
	// operator's to change.
	Replicas      int           // of each stream, default 1
	PlacementTags []string      // of each stream
	Partitions    int           // default DefaultPartitions
	EventMaxAge   time.Duration // default 7 days
	EventMaxBytes int64         // 0 = unlimited

	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.SyncInterval == 0 {
		c.SyncInterval = time.Second
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.EventMaxAge == 0 {
		c.EventMaxAge = 7 * 24 * time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case len(c.URLs) == 0 && c.StoreDir == "":
		return errors.New("nats: an embedded server needs a store directory")
	case c.Partitions < 1 || c.Partitions > MaxPartitions:
		return fmt.Errorf("nats: partitions must be 1 to %d, not %d", MaxPartitions, c.Partitions)
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("nats: replicas must be 1 to 5, not %d", c.Replicas)
	case len(c.URLs) == 0 && c.Replicas > 1:
		return fmt.Errorf("nats: %d replicas need an external cluster; one embedded server has 1", c.Replicas)
	case (c.ListenTLSCert == "") != (c.ListenTLSKey == ""):
		return errors.New("nats: the embedded server's TLS needs both a certificate and a key")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("nats: client TLS needs both a certificate and a key")
	}
	return nil
}

// apiPrefix is what subjects of the JetStream API begin with.
func (c Config) apiPrefix() string {
	if c.Domain != "" {
		return "$JS." + c.Domain + ".API."
	}
	return "$JS.API."
}

// options are the client options for one connection.
func (c Config) options() ([]nats.Option, error) {
	if len(c.URLs) == 0 {
		return c.embeddedOptions(), nil
	}
	opts := []nats.Option{
		nats.Name(clientName),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.Timeout(5 * time.Second),
	}
	if c.CredsFile != "" {
		if err := readable(c.CredsFile); err != nil {
			return nil, fmt.Errorf("nats credentials: %w", err)
		}
		opts = append(opts, nats.UserCredentials(c.CredsFile))
	}
	if c.NkeyFile != "" {
		opt, err := nats.NkeyOptionFromSeed(c.NkeyFile)
		if err != nil {
			return nil, fmt.Errorf("nats nkey %s: %w", c.NkeyFile, err)
		}
		opts = append(opts, opt)
	}
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	if tlsConfig != nil {
		opts = append(opts, nats.Secure(tlsConfig))
	}
	return opts, nil
}

// embeddedOptions log in as the listener's clients do.
func (c Config) embeddedOptions() []nats.Option {
	opts := []nats.Option{nats.Name(clientName), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait)}
	if c.ListenUser != "" {
		opts = append(opts, nats.UserInfo(c.ListenUser, c.ListenPassword))
	}
	return opts
}

func (c Config) tlsConfig() (*tls.Config, error) {
	if c.TLSCA == "" && c.TLSCert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("nats tls ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats tls: %s holds no certificate", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("nats tls: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
