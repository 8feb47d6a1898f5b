package appsync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetstep/executor/signing"
	"jetstep/function"
	"jetstep/jcs"
)

// The errors that a ping leaves on an app (sdk-protocol §5.1, cli-config §14).
const (
	errUnreachable    = "unreachable"
	errProtocol       = "unsupported_protocol"
	errUnauthorized   = "unauthorized"
	errForbidden      = "forbidden"
	errNotFound       = "url_not_found"
	errInternal       = "internal_server_error"
	errNotSDK         = "not_sdk"
	errNotOK          = "http_not_ok"
	errSignature      = "sig_verification_failed"
	errNoFunctions    = "no_functions"
	errInvalid        = "invalid_function"
	errInvalidKey     = "invalid_signing_key"
	errMissingKey     = "missing_signing_key"
	errMissingBranch  = "missing_branch_env_name"
	errNoRegistration = "the app answered but did not register here: does its API base URL name this server?"
)

// said400 are the errors behind a status 400, by what its message contains.
var said400 = []struct{ part, err string }{
	{"Your signing key is invalid", errInvalidKey},
	{"No functions registered", errNoFunctions},
	{"function is invalid", errInvalid},
	{"You didn't specify your workspace's signing key", errMissingKey},
	{"No INNGEST_ENV branch name found", errMissingBranch},
}

// maxAnswer bounds what is read of an app's answer; in-band ones hold all
// functions.
const maxAnswer = 8 << 20

// answer is what an app said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// put sends the request that makes the app at url register, or with inBand
// answer with its registration (sdk-protocol §5.1).
func (s *Syncer) put(ctx context.Context, url string, inBand bool) (*answer, error) {
	text, err := json.Marshal(map[string]string{"url": url})
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", url, err)
	}
	body, err := jcs.Canonicalize(text) // the form that SDKs verify (sdk-protocol §3.1)
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", url, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ping %s: %w", url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerKind, s.cfg.Kind)
	if inBand {
		req.Header.Set(headerSyncKind, kindInBand)
	}
	return s.send(req, body)
}

// send signs and sends a request to an app. One that refuses a signature gets
// that of the next key.
func (s *Syncer) send(req *http.Request, body []byte) (*answer, error) {
	if len(s.cfg.SigningKeys) == 0 {
		return s.sendOnce(req)
	}
	var last *answer
	for _, key := range s.cfg.SigningKeys {
		signed := req.Clone(req.Context())
		if len(body) > 0 {
			signed.Body = io.NopCloser(bytes.NewReader(body))
		}
		signed.Header.Set(signing.Header, signing.Sign(key, body, time.Now()))
		answer, err := s.sendOnce(signed)
		if err != nil || answer.status != http.StatusUnauthorized {
			return answer, err
		}
		last = answer
	}
	return last, nil
}

func (s *Syncer) sendOnce(req *http.Request) (*answer, error) {
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("answer of %s: %w", req.URL, err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: text}, nil
}

// trouble is the error to leave on an app after that answer, "" for none.
func (a *answer) trouble() string {
	sdk := a.header.Get(headerSDK)
	if language, version, ok := strings.Cut(sdk, ":"); ok {
		if _, blocked := function.BlockedSDK(language, version); blocked {
			return function.ErrorSDKBlocked
		}
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return errUnauthorized
	case a.status == http.StatusForbidden:
		return errForbidden
	case a.status == http.StatusNotFound:
		return errNotFound
	case a.status == http.StatusBadRequest:
		return a.trouble400()
	case a.status >= http.StatusInternalServerError:
		return errInternal
	case a.status < 200 || a.status > 299:
		return errNotOK
	case sdk == "":
		return errNotSDK
	}
	return ""
}

func (a *answer) trouble400() string {
	var said struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || said.Message == "" {
		return errNotOK
	}
	for _, known := range said400 {
		if strings.Contains(said.Message, known.part) {
			return known.err
		}
	}
	return said.Message
}

// Ping makes the app at url register, and records on the app why it did not.
// Where the app answers well but no registration comes, it is asked for one in
// its answer. The error is only the registry's.
func (s *Syncer) Ping(ctx context.Context, url string) error {
	before := s.registrationsFrom(url)
	trouble := s.pingTrouble(ctx, url)
	switch {
	case ctx.Err() != nil:
		return nil // told to stop: nothing was found out about the app
	case s.registrationsFrom(url) > before:
		return nil // which has put its own, more precise error on the app
	case trouble != "":
		return s.setError(ctx, url, trouble)
	case s.awaitSynced(ctx, url):
		return nil
	}
	return s.pingInBand(ctx, url)
}

// pingTrouble pings and returns the error to record.
func (s *Syncer) pingTrouble(ctx context.Context, raw string) string {
	if u, err := url.Parse(raw); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return errProtocol
	}
	answer, err := s.put(ctx, raw, false)
	if err != nil {
		s.log.Debug("app does not answer", "url", raw, "error", err)
		return errUnreachable
	}
	return answer.trouble()
}

// awaitSynced tells whether an app of that URL has registered by itself and is
// well, or is within the RegistrationWait. SDKs register before they answer a
// ping, but maybe with another node, whose news take a moment.
func (s *Syncer) awaitSynced(ctx context.Context, url string) bool {
	if s.isInBand(url) {
		return false // it does not register by itself
	}
	deadline := time.NewTimer(s.cfg.RegistrationWait)
	defer deadline.Stop()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for !s.isSynced(url) {
		select {
		case <-look.C:
		case <-deadline.C:
			return s.isSynced(url)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// lookInterval is the pause between two looks at the catalog.
const lookInterval = 50 * time.Millisecond

func (s *Syncer) isSynced(url string) bool {
	for _, app := range s.cfg.Registry.Catalog().AppsByURL(url) {
		if app.Name != "" && app.Error == "" {
			return true
		}
	}
	return false
}

// isInBand tells whether the app of that URL was last synced in band.
func (s *Syncer) isInBand(url string) bool {
	for _, app := range s.cfg.Registry.Catalog().AppsByURL(url) {
		if strings.HasPrefix(app.Checksum, checksumInBand) {
			return true
		}
	}
	return false
}

// setError records on the apps of that URL what a ping found out, see
// nextError, and logs what is new: to the registry, or to this process.
func (s *Syncer) setError(ctx context.Context, url, found string) error {
	var failed error
	for _, known := range s.cfg.Registry.Catalog().AppsByURL(url) {
		var was, now string
		_, err := s.cfg.Registry.Update(ctx, known.ID, func(old *function.App) (*function.App, error) {
			if was, now = "", ""; !isActive(old) {
				return nil, nil
			}
			if was, now = old.Error, nextError(old, found); was == now {
				return nil, nil
			}
			app := *old
			app.Error = now
			return &app, nil
		})
		switch {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("record the state of app %s: %w", url, err))
		case !s.isNews(known.ID, was, now):
		case now == "":
			s.log.Info("app can be reached again", "app", known.Name, "url", url)
		default:
			s.log.Warn("app cannot be synced", "app", known.Name, "url", url, "error", now)
		}
	}
	return failed
}

// isNews tells whether an app's state is to be logged. An error is told once,
// also if an earlier process has found it or the app was added with it.
func (s *Syncer) isNews(app uuid.UUID, was, now string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told[app]
	s.told[app] = now
	return was != now || now != "" && told != now
}

// nextError is an app's error after a ping that led to no registration here.
// found is the ping's trouble, "" for a good answer: that clears what earlier
// pings left on an app, but a placeholder then still waits for its registration.
// What a registration left is more precise than the SDK's summary of it.
func nextError(app *function.App, found string) string {
	registered := app.Name != ""
	fromPing := app.Error == "" || leftByPings[app.Error]
	switch {
	case found == "" && !registered:
		return errNoRegistration
	case found == "" && fromPing:
		return ""
	case found == "":
		return app.Error
	case registered && !fromPing && (found == errInvalid || found == errNoFunctions):
		return app.Error
	}
	return found
}

// leftByPings are the errors that a good answer disproves.
var leftByPings = map[string]bool{
	errUnreachable: true, errProtocol: true, errUnauthorized: true, errForbidden: true, errNotFound: true,
	errInternal: true, errNotSDK: true, errNotOK: true, errSignature: true, errNoRegistration: true,
	errInvalid: true, errNoFunctions: true, errInvalidKey: true, errMissingKey: true, errMissingBranch: true,
}
