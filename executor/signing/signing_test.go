package signing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

const (
	primary  = "0123456789abcdef0123456789abcdef"
	fallback = "fedcba9876543210fedcba9876543210"
)

// The ping captured in sdk-protocol §3.1.
var (
	pingBody   = []byte(`{"url":"http://localhost:18101/api/inngest"}`)
	pingTime   = time.Unix(1795646393, 0)
	pingHeader = "t=1795646393&s=30a9f755fabdf680be82e273d3518ae0e83f5eca2a8772a298c9af52bfd8d1aa"
)

func TestSignMatchesCapturedTraffic(t *testing.T) {
	t.Parallel()
	require.Equal(t, pingHeader, signing.Sign(primary, pingBody, pingTime))
	require.Equal(t, pingHeader, signing.Sign("signkey-test-"+primary, pingBody, pingTime))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		header string
		body   string
		now    time.Time
		keys   []string
		want   error
	}{
		{"primary", pingHeader, string(pingBody), pingTime, []string{primary}, nil},
		{"fallback", pingHeader, string(pingBody), pingTime, []string{fallback, primary}, nil},
		{"prefixed key", pingHeader, string(pingBody), pingTime, []string{"signkey-prod-" + primary}, nil},
		{"parameters swapped", swapped(pingHeader), string(pingBody), pingTime, []string{primary}, nil},
		{"at the age limit", pingHeader, string(pingBody), pingTime.Add(signing.MaxAge), []string{primary}, nil},
		{"too old", pingHeader, string(pingBody), pingTime.Add(signing.MaxAge + 1), []string{primary}, signing.ErrExpired},
		{"too new", pingHeader, string(pingBody), pingTime.Add(-signing.MaxAge - 1), []string{primary}, signing.ErrExpired},
		{"other key", pingHeader, string(pingBody), pingTime, []string{fallback}, signing.ErrMismatch},
		{"other body", pingHeader, string(pingBody) + " ", pingTime, []string{primary}, signing.ErrMismatch},
		{"no key", pingHeader, string(pingBody), pingTime, nil, signing.ErrMismatch},
		{"only empty keys", signing.Sign("", pingBody, pingTime), string(pingBody), pingTime, []string{"", ""}, signing.ErrMismatch},
		{"empty", "", "", pingTime, []string{primary}, signing.ErrMalformed},
		{"not a query", "t=%zz", "", pingTime, []string{primary}, signing.ErrMalformed},
		{"short digest", "t=1795646393&s=30a9", "", pingTime, []string{primary}, signing.ErrMalformed},
		{"digest not hex", "t=1795646393&s=" + strings.Repeat("z", 64), "", pingTime, []string{primary}, signing.ErrMalformed},
		{"timestamp not a number", "t=now&s=" + strings.Repeat("0", 64), "", pingTime, []string{primary}, signing.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := signing.Verify(tc.header, []byte(tc.body), tc.now, tc.keys...)
			require.ErrorIs(t, err, tc.want)
		})
	}
}

func swapped(header string) string {
	stamp, sum, _ := strings.Cut(header, "&")
	return sum + "&" + stamp
}

func TestNormalizeKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "",
		"abcd":                   "abcd",
		"signkey-test-abcd":      "abcd",
		"signkey-b_2-ab-cd":      "ab-cd",
		"signkey--abcd":          "signkey--abcd",
		"signkey-test":           "signkey-test",
		"signkey-te.st-ab":       "signkey-te.st-ab",
		"signkey-a-signkey-b-cd": "signkey-b-cd",
		"Signkey-test-abcd":      "Signkey-test-abcd",
	} {
		require.Equal(t, want, signing.NormalizeKey(in), in)
	}
}

func TestHashKey(t *testing.T) {
	t.Parallel()
	const captured = "223e0a160af9da0a03e6dd2c4719c56f5d66a633cbe84e78aaa9f3735865522a" // §3.4
	require.Equal(t, captured, signing.HashKey(primary))
	require.Equal(t, captured, signing.HashKey("signkey-prod-"+primary))
	// printf %s not-hex | sha256sum
	require.Equal(t, "95340811d2f3ab05aa125fb6d059b6e02911560314c125fd2e99ad01d995cbd2", signing.HashKey("not-hex"))
}

func TestValidateKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		primary:                   "",
		"signkey-prod-" + primary: "",
		"":                        "signing-key is required",
		"abc":                     "signing-key must be hex string with even number of chars",
		"signkey-prod-abc":        "signing-key must be hex string with even number of chars",
		"zz":                      "signing-key must be valid hex string: encoding/hex: invalid byte: U+007A 'z'",
	} {
		err := signing.ValidateKey(key)
		if want == "" {
			require.NoError(t, err, key)
			continue
		}
		require.EqualError(t, err, want, key)
	}
}

func TestAuthorized(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		token string
		keys  []string
		want  bool
	}{
		{"raw key", primary, []string{primary}, true},
		{"raw key with prefix", "signkey-test-" + primary, []string{primary}, true},
		{"hash", signing.HashKey(primary), []string{primary}, true},
		{"hash with prefix", "signkey-prod-" + signing.HashKey(primary), []string{"signkey-prod-" + primary}, true},
		{"fallback", signing.HashKey(fallback), []string{primary, fallback}, true},
		{"other", fallback, []string{primary}, false},
		{"empty token", "", []string{primary}, false},
		{"empty token, empty fallback", "", []string{primary, ""}, false},
		{"truncated", primary[:len(primary)-1], []string{primary}, false},
		{"no key configured", "undefined", nil, true},
		{"only empty keys configured", "", []string{"", ""}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, signing.Authorized(tc.token, tc.keys...))
		})
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Bearer abc":       "abc",
		"bearer  abc ":     "abc",
		"Bearer undefined": "undefined",
		"Bearer ":          "",
		"Bearer":           "",
		"Basic abc":        "",
		"":                 "",
	} {
		require.Equal(t, want, signing.Bearer(in), in)
	}
}

func BenchmarkSign(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	for b.Loop() {
		signing.Sign(primary, body, pingTime)
	}
}
