package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsFiles are files in PEM that TLS needs beside what the system has; "" for none.
type tlsFiles struct {
	authority        string // whom to believe about the server
	certificate, key string // who we are
}

// config is the TLS of a connection; host is the server's name, "" for that in its
// address.
func (f tlsFiles) config(host string, insecure bool) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: insecure}
	if f.authority != "" {
		pem, err := os.ReadFile(f.authority)
		if err != nil {
			return nil, fmt.Errorf("redis: tls_ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: tls_ca_file: no certificate in %s", f.authority)
		}
	}
	if (f.certificate == "") != (f.key == "") {
		return nil, errors.New("redis: tls_cert_file and tls_key_file belong together")
	}
	if f.certificate != "" {
		pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, fmt.Errorf("redis: tls_cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
