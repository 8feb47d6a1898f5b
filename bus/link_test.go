package bus

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// file writes a file for a test.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// login is a way to log in: how the server asks for it, what is right and what
// is not.
type login struct {
	server func(*testing.T, *server.Options) (right, wrong Config)
}

func logins() map[string]login {
	return map[string]login{
		"user and password": {func(_ *testing.T, o *server.Options) (right, wrong Config) {
			o.Username, o.Password = "u", "secret"
			return Config{User: "u", Password: "secret"}, Config{User: "u", Password: "guess"}
		}},
		"token": {func(_ *testing.T, o *server.Options) (right, wrong Config) {
			o.Authorization = "token"
			return Config{Token: "token"}, Config{Token: "guess"}
		}},
		"nkey": {func(t *testing.T, o *server.Options) (right, wrong Config) {
			public, seed := nkey(t, nkeys.CreateUser)
			_, other := nkey(t, nkeys.CreateUser)
			o.Nkeys = []*server.NkeyUser{{Nkey: public}}
			return Config{NkeyFile: file(t, "user.nk", seed)}, Config{NkeyFile: file(t, "other.nk", other)}
		}},
		"credentials": {func(t *testing.T, o *server.Options) (right, wrong Config) {
			right.CredsFile = operatorMode(t, o)
			wrong.CredsFile = operatorMode(t, &server.Options{})
			return right, wrong
		}},
	}
}

func nkey(t *testing.T, create func() (nkeys.KeyPair, error)) (public, seed string) {
	t.Helper()
	pair, err := create()
	require.NoError(t, err)
	public, err = pair.PublicKey()
	require.NoError(t, err)
	raw, err := pair.Seed()
	require.NoError(t, err)
	return public, string(raw)
}

// operatorMode makes the server trust an operator with one account that may
// use JetStream, and returns the credentials file of one of its users.
func operatorMode(t *testing.T, o *server.Options) string {
	t.Helper()
	operator, err := nkeys.CreateOperator()
	require.NoError(t, err)
	operatorID, err := operator.PublicKey()
	require.NoError(t, err)
	resolver := &server.MemAccResolver{}
	account := func(limits jwt.JetStreamLimits) (nkeys.KeyPair, string) {
		pair, err := nkeys.CreateAccount()
		require.NoError(t, err)
		id, err := pair.PublicKey()
		require.NoError(t, err)
		claims := jwt.NewAccountClaims(id)
		claims.Limits.JetStreamLimits = limits
		encoded, err := claims.Encode(operator)
		require.NoError(t, err)
		require.NoError(t, resolver.Store(id, encoded))
		return pair, id
	}
	_, system := account(jwt.JetStreamLimits{})
	app, _ := account(jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit})
	o.TrustedOperators = []*jwt.OperatorClaims{jwt.NewOperatorClaims(operatorID)}
	o.SystemAccount, o.AccountResolver = system, resolver

	userID, seed := nkey(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(userID).Encode(app)
	require.NoError(t, err)
	creds, err := jwt.FormatUserConfig(token, []byte(seed))
	require.NoError(t, err)
	return file(t, "user.creds", string(creds))
}

func TestOpenLogsIn(t *testing.T) {
	t.Parallel()
	for name, l := range logins() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var right, wrong Config
			n := startNATS(t, func(o *server.Options) { right, wrong = l.server(t, o) })
			for _, cfg := range []Config{wrong, {}} {
				cfg.URLs = []string{n.url()}
				err := tryOpen(t, cfg)
				require.ErrorIs(t, err, ErrUnauthorized)
				require.Contains(t, err.Error(), n.url())
				require.NotContains(t, err.Error(), "guess")
				require.NotContains(t, err.Error(), "\n")
			}
			right.URLs = []string{n.url()}
			b := open(t, right)
			require.NoError(t, b.Publish(t.Context(), numbered(3)))
			require.Contains(t, b.Location(), n.url())
		})
	}
}

func TestOpenLogsInByURL(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.Username, o.Password = "u", "secret" })
	url := func(password string) string { return strings.Replace(n.url(), "//", "//u:"+password+"@", 1) }
	err := tryOpen(t, Config{URLs: []string{url("guess")}})
	require.ErrorIs(t, err, ErrUnauthorized)
	require.NotContains(t, err.Error(), "guess")
	b := open(t, Config{URLs: []string{url("secret")}})
	require.NotContains(t, b.Location(), "secret")
}

func TestOpenRefusesBadLoginFiles(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	missing := filepath.Join(t.TempDir(), "none")
	junk := file(t, "junk", "junk")
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"no credentials file": {Config{CredsFile: missing}, "nats credentials: open " + missing},
		"no nkey file":        {Config{NkeyFile: missing}, "nats nkey " + missing},
		"junk nkey":           {Config{NkeyFile: junk}, "nats nkey " + junk},
		"no CA file":          {Config{TLSCA: missing}, "nats tls ca: open " + missing},
		"junk CA":             {Config{TLSCA: junk}, junk + " holds no certificate"},
		"no certificate":      {Config{TLSCert: missing, TLSKey: missing}, "nats tls: open " + missing},
	} {
		c.cfg.URLs = []string{n.url()}
		require.ErrorContains(t, tryOpen(t, c.cfg), c.says, name)
	}
}

// authority is a certificate authority of a test's own.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t, cert, key, file(t, "ca.pem", pemText("CERTIFICATE", der))}
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue makes a certificate for 127.0.0.1 that serves both ends.
func (a *authority) issue() (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, a.cert, &private.PublicKey, a.key)
	require.NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	return file(a.t, "cert.pem", pemText("CERTIFICATE", der)), file(a.t, "key.pem", pemText("PRIVATE KEY", pkcs8))
}

func TestOpenOverTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t), newAuthority(t)
	cert, key := ours.issue()
	n := startNATS(t, func(o *server.Options) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		pool.AddCert(ours.cert)
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, 5
	})
	clientCert, clientKey := ours.issue()
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"another CA":     {Config{TLSCA: other.file, TLSCert: clientCert, TLSKey: clientKey}, "unknown authority"},
		"no CA":          {Config{TLSCert: clientCert, TLSKey: clientKey}, "unknown authority"},
		"no certificate": {Config{TLSCA: ours.file}, "tls"},
	} {
		c.cfg.URLs = []string{n.url()}
		err := tryOpen(t, c.cfg)
		require.ErrorIs(t, err, ErrUnreachable, name)
		require.ErrorContains(t, err, c.says, name)
	}
	b := open(t, Config{URLs: []string{n.url()}, TLSCA: ours.file, TLSCert: clientCert, TLSKey: clientKey})
	require.NoError(t, b.Publish(t.Context(), numbered(3)))
}

func TestOpenUnreachable(t *testing.T) {
	t.Parallel()
	port, err := harness.FreePort()
	require.NoError(t, err)
	url := "nats://127.0.0.1:" + strconv.Itoa(port)
	for _, urls := range [][]string{{url}, {url, url}, {strings.Replace(url, "//", "//u:hidden@", 1)}} {
		err = tryOpen(t, Config{URLs: urls})
		require.ErrorIs(t, err, ErrUnreachable)
		require.Contains(t, err.Error(), url)
		require.NotContains(t, err.Error(), "hidden")
		require.NotContains(t, err.Error(), "\n")
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		[]string{"nats://a:4222", "nats://b", "nats server", "tls://c:1"},
		redacted([]string{"nats://a:4222", "nats://u:p@b", "u:p@d", "tls://token@c:1"}))
}

func TestOpenWithoutJetStream(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.JetStream = false })
	err := tryOpen(t, Config{URLs: []string{n.url()}})
	require.ErrorIs(t, err, ErrUnsuitable)
	require.ErrorContains(t, err, "JetStream is switched off")
}

func TestOpenWithSmallMaxPayload(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.MaxPayload = 4096 })
	err := tryOpen(t, Config{URLs: []string{n.url()}})
	require.ErrorIs(t, err, ErrUnsuitable)
	require.ErrorContains(t, err, "max_payload of 4096 bytes is too small")
}

// A server that says it is of that version, and no more.
func fakeServer(t *testing.T, version string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"F\",\"version\":%q,\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n", version)
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					if lines.Text() == "PING" {
						_, _ = fmt.Fprint(c, "PONG\r\n")
					}
				}
			}()
		}
	}()
	return "nats://" + l.Addr().String()
}

func TestOpenRefusesOldServers(t *testing.T) {
	t.Parallel()
	err := tryOpen(t, Config{URLs: []string{fakeServer(t, "2.10.29")}})
	require.ErrorIs(t, err, ErrUnsuitable)
	require.ErrorContains(t, err, "server version 2.10.29 is too old: 2.12 or newer is needed")
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"2.12.0": true, "2.12": true, "2.15.2": true, "3.0.0-beta.1": true, "2.12.0-RC.3": true,
		"2.11.9": false, "1.99.0": false, "2.9.25": false, "": false, "dev": false,
	} {
		require.Equal(t, ok, checkVersion(version) == nil, "%q", version)
	}
}

func TestOpenInADomain(t *testing.T) {
	t.Parallel()
	n := startNATS(t, func(o *server.Options) { o.JetStreamDomain = "hub" })
	exercise(t, n.open(func(c *Config) { c.Domain = "hub" }))
	err := tryOpen(t, Config{URLs: []string{n.url()}, Domain: "other"})
	require.Contains(t, err.Error(), n.url())
	exercise(t, open(t, Config{StoreDir: t.TempDir(), Domain: "leaf", Partitions: 1}))
}

// exercise uses everything once that addresses JetStream.
func exercise(t *testing.T, b *Bus) {
	t.Helper()
	require.NoError(t, b.Publish(t.Context(), numbered(3)))
	require.Len(t, storedEvents(t, b), 3)
	_, err := b.EventAt(t.Context(), 1)
	require.NoError(t, err)
	_, err = appendOne(t, openLog(t, b), []byte("x"))
	require.NoError(t, err)
	require.Len(t, records(t, b), 1)
	require.NoError(t, b.SendCommand(t.Context(), 0, "start", "1", nil))
	put(t, b.Registry(), appWith("a"))
	l, err := b.AcquireLease(t.Context(), 0, "one", nil)
	require.NoError(t, err)
	require.NoError(t, l.Release(t.Context()))
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	url := []string{"nats://127.0.0.1:1"}
	for says, cfg := range map[string]Config{
		"needs a store directory":                     {},
		"partitions must be 1 to 256, not -1":         {StoreDir: "x", Partitions: -1},
		"partitions must be 1 to 256, not 257":        {StoreDir: "x", Partitions: 257},
		"replicas must be 1 to 5, not 6":              {URLs: url, Replicas: 6},
		"replicas must be 1 to 5, not -1":             {URLs: url, Replicas: -1},
		"3 replicas need an external cluster":         {StoreDir: "x", Replicas: 3},
		"TLS needs both a certificate and a key":      {StoreDir: "x", ListenTLSCert: "c"},
		"client TLS needs both a certificate and a k": {URLs: url, TLSKey: "k"},
	} {
		require.ErrorContains(t, tryOpen(t, cfg), says)
	}
}

func TestReplicasNeedACluster(t *testing.T) {
	t.Parallel()
	n := startNATS(t, nil)
	require.ErrorContains(t, tryOpen(t, Config{URLs: []string{n.url()}, Replicas: 3}), "create stream LOG_0")
}
