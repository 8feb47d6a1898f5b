package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/executor/signing"
	"jetstep/function"
)

// runTokens make and verify the tokens with which a client of a durable
// endpoint gets the result of its run (http-api §4).
type runTokens struct {
	secrets [][]byte
	parser  *jwt.Parser
	now     func() time.Time
}

const (
	runTokenIssuer  = "api.inngest.com"
	runTokenSubject = "run-claim"
	runTokenLife    = time.Hour
	runTokenPurpose = "jetstep run output tokens"
)

// runClaims are the contents of such a token; the names are http-api §4's.
type runClaims struct {
	jwt.RegisteredClaims
	Env   uuid.UUID
	RunID ulid.ULID
}

func newRunTokens(keys []string, now func() time.Time) runTokens {
	return runTokens{secrets: signing.Secrets(runTokenPurpose, keys...), now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(runTokenIssuer),
		jwt.WithSubject(runTokenSubject), jwt.WithExpirationRequired(), jwt.WithTimeFunc(now),
	)}
}

func (t runTokens) mint(run ulid.ULID) (string, error) {
	now := t.now()
	claims := runClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: runTokenIssuer, Subject: runTokenSubject,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(runTokenLife)),
		},
		Env: function.EnvironmentID, RunID: run,
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.secrets[0])
	if err != nil {
		return "", fmt.Errorf("token of run %s: %w", run, err)
	}
	return token, nil
}

// verify is the run that a token is for.
func (t runTokens) verify(token string) (ulid.ULID, error) {
	err := error(jwt.ErrTokenMalformed)
	for _, secret := range t.secrets {
		var claims runClaims
		_, err = t.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return secret, nil })
		if err == nil && claims.RunID.IsZero() {
			err = errors.New("the token names no run")
		}
		if err == nil {
			return claims.RunID, nil
		}
	}
	return ulid.ULID{}, err
}
