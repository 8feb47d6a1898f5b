package realtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/executor/signing"
	"jetstep/function"
)

const (
	issuer = "rt.inngest.com"
	// tokenLife is for connecting only: a connection outlives its token.
	tokenLife = time.Minute
	// secretPurpose derives the tokens' secret from the signing key, which all
	// processes of a cluster share.
	secretPurpose = "jetstep realtime tokens"
)

// Bounds of what a client may ask for.
const (
	maxTopics    = 1000 // of one connection
	maxNameBytes = 512  // of a channel's or a topic's name
	maxTokenBody = 256 << 10
)

// Kinds of topics.
const (
	topicRun   = "run"   // of a channel: a run's id or a name that the app chose
	topicEvent = "event" // of no channel
)

// Topic is what can be subscribed to.
type Topic struct {
	Kind    string    `json:"kind"` // "run" or "event"
	EnvID   uuid.UUID `json:"env_id"`
	Channel string    `json:"channel,omitempty"`
	Name    string    `json:"name"`
}

func (t Topic) validate() error {
	switch {
	case t.Kind != topicRun && t.Kind != topicEvent:
		return fmt.Errorf("topic kind must be %q or %q", topicRun, topicEvent)
	case t.Kind == topicRun && t.Channel == "":
		return errors.New("channel is empty")
	case t.Name == "":
		return errors.New("topic is empty")
	case len(t.Channel) > maxNameBytes:
		return fmt.Errorf("channel exceeds %d bytes", maxNameBytes)
	case len(t.Name) > maxNameBytes:
		return fmt.Errorf("topic exceeds %d bytes", maxNameBytes)
	}
	return nil
}

func (t Topic) subject() string {
	channel := t.Channel
	if t.Kind == topicEvent {
		channel = ""
	}
	return bus.RealtimeSubject(t.EnvID.String(), channel, t.Name)
}

// Claims are the contents of a token (http-api §4, §11).
type Claims struct {
	jwt.RegisteredClaims
	Env     uuid.UUID `json:"env"`
	Topics  []Topic   `json:"topics"`
	Publish bool      `json:"publish"`
}

// tokens makes and verifies tokens.
type tokens struct {
	secrets [][]byte // the first makes, all verify
	parser  *jwt.Parser
	now     func() time.Time
}

func newTokens(keys []string, now func() time.Time) tokens {
	t := tokens{now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now),
	)}
	t.secrets = signing.Secrets(secretPurpose, keys...)
	return t
}

// mint makes a token for topics that is valid for life.
func (t tokens) mint(topics []Topic, life time.Duration) (string, error) {
	now := t.now()
	claims := Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: function.AccountID.String(), ID: ulid.Make().String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
		},
		Env: function.EnvironmentID, Topics: topics,
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.secrets[0])
}

// verify returns what a token claims, if it is genuine and not expired.
func (t tokens) verify(token string) (*Claims, error) {
	err := jwt.ErrTokenMalformed
	if token == "" {
		return nil, err
	}
	for _, secret := range t.secrets {
		claims := &Claims{}
		if _, err = t.parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return secret, nil }); err == nil {
			return claims, nil
		}
	}
	return nil, err
}

// CreateToken is POST /v1/realtime/token. Who may ask is the caller's to
// check: a subscriber's own token must not open further topics.
func (s *Server) CreateToken(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		s.refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body cannot exceed %d bytes", maxTokenBody))
		return
	}
	topics, parseErr := parseTopics(body)
	switch {
	case err != nil, errors.Is(parseErr, errNoTopics):
		s.refuse(w, http.StatusBadRequest, "Invalid request: must provide a list of topics")
		return
	case parseErr != nil:
		s.refuse(w, http.StatusBadRequest, "Invalid request: "+parseErr.Error())
		return
	}
	token, err := s.tokens.mint(topics, tokenLife)
	if err != nil {
		s.log.Error("a realtime token could not be made", "error", err)
		s.refuse(w, http.StatusInternalServerError, "Unable to create token")
		return
	}
	s.answer(w, http.StatusCreated, struct {
		JWT string `json:"jwt"`
	}{token})
}

var errNoTopics = errors.New("no list of topics")

// parseTopics reads a list of topics for a token, in the environment that
// there is.
func parseTopics(body []byte) ([]Topic, error) {
	var sent []struct {
		Kind    string `json:"kind"`
		Channel string `json:"channel"`
		Name    string `json:"name"`
	}
	if err := json.Unmarshal(body, &sent); err != nil || sent == nil {
		return nil, errNoTopics
	}
	if len(sent) > maxTopics {
		return nil, fmt.Errorf("more than %d topics", maxTopics)
	}
	topics := make([]Topic, len(sent))
	for i, t := range sent {
		topics[i] = Topic{Kind: t.Kind, EnvID: function.EnvironmentID, Channel: t.Channel, Name: t.Name}
		if err := topics[i].validate(); err != nil {
			return nil, fmt.Errorf("topics[%d]: %w", i, err)
		}
	}
	return topics, nil
}
