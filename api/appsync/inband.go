package appsync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"jetstep/executor/signing"
	"jetstep/function"
	"jetstep/jcs"
)

const kindInBand = "in_band"

// checksumInBand begins the checksum of an app that was synced in band. The
// same functions have another checksum when they are registered out of band,
// so this tells which of the two to ask for again, on any node.
const checksumInBand = kindInBand + ":"

// inBandAnswer is an app's registration in its answer to a ping
// (sdk-protocol §5.1).
type inBandAnswer struct {
	AppID        string          `json:"app_id"`
	AppVersion   string          `json:"appVersion"`
	Capabilities json.RawMessage `json:"capabilities"`
	Env          string          `json:"env"`
	Framework    string          `json:"framework"`
	Functions    json.RawMessage `json:"functions"`
	Platform     string          `json:"platform"`
	SDKLanguage  string          `json:"sdk_language"`
	SDKVersion   string          `json:"sdk_version"`
	URL          string          `json:"url"`
}

// Why an answer is no registration.
var (
	errNotInBand = errors.New("the answer holds no registration")
	errUnsigned  = errors.New("the answer's signature is not valid")
)

// pingInBand asks the app for its registration and takes it.
func (s *Syncer) pingInBand(ctx context.Context, url string) error {
	registration, env, platform, err := s.InBand(ctx, url)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errUnsigned):
		return s.setError(ctx, url, errSignature)
	case err != nil:
		s.log.Debug("app cannot be synced in band", "url", url, "error", err)
		return s.setError(ctx, url, "")
	}
	decided := plan(registration, env, platform, time.Now())
	decided.app.Checksum = checksumInBand + decided.app.Checksum
	var refusal *Refusal
	if _, err := s.register(ctx, decided); err != nil && !errors.As(err, &refusal) {
		return err
	}
	// The app may call itself by another URL than it is known by here.
	return s.dropPlaceholders(ctx, url)
}

// InBand asks the app at url for its registration and returns it with the
// app's environment and platform. Where keys are configured the answer must be
// signed with one, as it stands for a request that had to show one.
func (s *Syncer) InBand(ctx context.Context, url string) (registration *function.Registration, env, platform string, err error) {
	answer, err := s.put(ctx, url, true)
	if err != nil {
		return nil, "", "", fmt.Errorf("in-band sync of %s: %w", url, err)
	}
	if answer.status != http.StatusOK || answer.header.Get(headerSyncKind) != kindInBand {
		return nil, "", "", fmt.Errorf("in-band sync of %s: %w (status %d)", url, errNotInBand, answer.status)
	}
	if err := s.verify(answer); err != nil {
		return nil, "", "", fmt.Errorf("in-band sync of %s: %w", url, err)
	}
	var said inBandAnswer
	if err := json.Unmarshal(answer.body, &said); err != nil {
		return nil, "", "", fmt.Errorf("in-band sync of %s: %w: %w", url, errNotInBand, err)
	}
	registration, err = said.registration(url)
	if err != nil {
		return nil, "", "", fmt.Errorf("in-band sync of %s: %w", url, err)
	}
	return registration, said.Env, said.Platform, nil
}

// verify checks the answer's signature. Some SDKs sign the body's canonical
// form, others the bytes that they send less a final line end.
func (s *Syncer) verify(a *answer) error {
	if len(s.cfg.SigningKeys) == 0 {
		return nil
	}
	header, body := a.header.Get(signing.Header), bytes.TrimSpace(a.body)
	err := signing.Verify(header, body, time.Now(), s.cfg.SigningKeys...)
	if err == nil {
		return nil
	}
	if canonical, jcsErr := jcs.Canonicalize(body); jcsErr == nil &&
		signing.Verify(header, canonical, time.Now(), s.cfg.SigningKeys...) == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnsigned, err)
}

// registration is what the SDK would have sent to /fn/register.
func (a *inBandAnswer) registration(url string) (*function.Registration, error) {
	if a.AppID == "" {
		return nil, fmt.Errorf("%w: it names no app", errNotInBand)
	}
	if a.URL != "" {
		url = a.URL
	}
	body, err := json.Marshal(map[string]any{
		"url": url, "deployType": "ping", "framework": a.Framework,
		"sdk":     a.SDKLanguage + ":v" + strings.TrimPrefix(a.SDKVersion, "v"),
		"appName": a.AppID, "appVersion": a.AppVersion, "functions": a.Functions, "capabilities": a.Capabilities,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotInBand, err)
	}
	return function.ParseRegistration(body)
}
