package realtime

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
	"jetstep/function"
)

func TestCreateToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	status, body := f.post(t, "/token", `[{"kind":"run","channel":"chan1","name":"topicA","env_id":"5a1b7a7e-0000-4000-a000-000000000000"}]`)
	require.Equal(t, 201, status, body)
	token := decode[struct{ JWT string }](t, body).JWT
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"HS256","typ":"JWT"}`, string(header))
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.Regexp(t, `^\{"iss":"rt\.inngest\.com","sub":"00000000-0000-4000-a000-000000000000","exp":1795647894,"iat":1795647834,`+
		`"jti":"[0-9A-Z]{26}","env":"`+env+`",`+
		`"topics":\[\{"kind":"run","env_id":"`+env+`","channel":"chan1","name":"topicA"\}\],"publish":false\}$`, string(claims))
}

func TestCreateTokenRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	long := strings.Repeat("x", maxNameBytes+1)
	for _, tt := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"nothing", ``, 400, "Invalid request: must provide a list of topics"},
		{"null", `null`, 400, "Invalid request: must provide a list of topics"},
		{"an object", `{}`, 400, "Invalid request: must provide a list of topics"},
		{"kind", `[{"kind":"x","channel":"c","name":"n"}]`, 400, `Invalid request: topics[0]: topic kind must be \"run\" or \"event\"`},
		{"no channel", `[{"kind":"run","name":"n"}]`, 400, "Invalid request: topics[0]: channel is empty"},
		{"no name", `[{"kind":"event","name":"n"},{"kind":"event"}]`, 400, "Invalid request: topics[1]: topic is empty"},
		{"long channel", `[{"kind":"run","name":"n","channel":"` + long + `"}]`, 400, "channel exceeds 512 bytes"},
		{"long name", `[{"kind":"run","channel":"n","name":"` + long + `"}]`, 400, "topic exceeds 512 bytes"},
		{"many", `[` + strings.Repeat(`{},`, maxTopics) + `{}]`, 400, "more than 1000 topics"},
		{"large", strings.Repeat(" ", maxTokenBody+1), 413, "Request body cannot exceed 262144 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, body := f.post(t, "/token", tt.body)
			require.Equal(t, tt.status, status)
			require.Contains(t, body, tt.says)
			require.Contains(t, body, `"data":null`)
		})
	}
	status, body := f.post(t, "/token", `[]`)
	require.Equal(t, 201, status, body)
}

func TestTokensAreVerified(t *testing.T) {
	t.Parallel()
	clock := now
	at := func() time.Time { return clock }
	old, rotated, other := newTokens([]string{testKey}, at), newTokens([]string{"00aa", testKey}, at), newTokens([]string{"00aa"}, at)
	dev := newTokens([]string{""}, at)
	topics := []Topic{runTopic("c", "n")}
	token, err := old.mint(topics, time.Minute)
	require.NoError(t, err)

	claims, err := old.verify(token)
	require.NoError(t, err)
	require.Equal(t, topics, claims.Topics)
	require.Equal(t, function.EnvironmentID, claims.Env)
	_, err = rotated.verify(token)
	require.NoError(t, err, "a key that is still accepted")
	for _, stranger := range []tokens{other, dev} {
		_, err = stranger.verify(token)
		require.ErrorIs(t, err, jwt.ErrTokenSignatureInvalid)
	}
	_, err = old.verify("")
	require.ErrorIs(t, err, jwt.ErrTokenMalformed)

	clock = now.Add(time.Minute)
	_, err = old.verify(token)
	require.ErrorIs(t, err, jwt.ErrTokenExpired)
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(nil, func() time.Time { return now })
	valid := func() *Claims {
		return &Claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}}
	}
	sign := func(method jwt.SigningMethod, key any, c *Claims) string {
		text, err := jwt.NewWithClaims(method, c).SignedString(key)
		require.NoError(t, err)
		return text
	}
	_, err := tokens.verify(sign(jwt.SigningMethodHS256, []byte(signing.DevSecret), valid()))
	require.NoError(t, err)

	_, err = tokens.verify(sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, valid()))
	require.ErrorIs(t, err, jwt.ErrTokenSignatureInvalid)
	_, err = tokens.verify(sign(jwt.SigningMethodHS512, []byte(signing.DevSecret), valid()))
	require.ErrorIs(t, err, jwt.ErrTokenSignatureInvalid)
	c := valid()
	c.ExpiresAt = nil
	_, err = tokens.verify(sign(jwt.SigningMethodHS256, []byte(signing.DevSecret), c))
	require.ErrorIs(t, err, jwt.ErrTokenRequiredClaimMissing)
	c = valid()
	c.Issuer = "connect.inngest.com"
	_, err = tokens.verify(sign(jwt.SigningMethodHS256, []byte(signing.DevSecret), c))
	require.ErrorIs(t, err, jwt.ErrTokenInvalidIssuer)
}
