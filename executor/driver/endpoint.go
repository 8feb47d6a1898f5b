package driver

import (
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
)

// endpoint is a step URI taken apart, so that a call only has to put its step
// id into the query.
type endpoint struct {
	url           url.URL
	before, after string // of the step id in the query
	discovery     string // text of the URL for DiscoveryStep
	// behind is set while the app there knows only the fallback signing key.
	behind atomic.Bool
}

// parseEndpoint prepares a step URI. The stepId parameter is replaced or added
// and the query re-encoded with sorted keys (sdk-protocol §7.1).
func parseEndpoint(uri string) (*endpoint, error) {
	parsed, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("parse step URI: %w", err)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return nil, fmt.Errorf("step URI %q is not an absolute http URL", uri)
	}
	lesser, greater := url.Values{}, url.Values{}
	for name, values := range parsed.Query() {
		switch {
		case name < "stepId":
			lesser[name] = values
		case name > "stepId":
			greater[name] = values
		}
	}
	e := &endpoint{url: *parsed, before: "stepId="}
	if len(lesser) > 0 {
		e.before = lesser.Encode() + "&" + e.before
	}
	if len(greater) > 0 {
		e.after = "&" + greater.Encode()
	}
	e.discovery = e.forStep(DiscoveryStep).String()
	return e, nil
}

// forStep returns the URL that calls the given step.
func (e *endpoint) forStep(stepID string) *url.URL {
	u := e.url
	u.RawQuery = e.before + url.QueryEscape(stepID) + e.after
	return &u
}

// text is forStep as text.
func (e *endpoint) text(stepID string) string {
	if stepID == DiscoveryStep {
		return e.discovery
	}
	return e.forStep(stepID).String()
}

// maxEndpoints bounds the cache; deploys with a new URL each would else fill
// it up for ever.
const maxEndpoints = 4096

// endpoints remembers parsed step URIs. The zero value is ready for use.
type endpoints struct {
	mu    sync.RWMutex
	byURI map[string]*endpoint
}

func (c *endpoints) get(uri string) (*endpoint, error) {
	c.mu.RLock()
	e := c.byURI[uri]
	c.mu.RUnlock()
	if e != nil {
		return e, nil
	}
	e, err := parseEndpoint(uri)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byURI == nil || len(c.byURI) >= maxEndpoints {
		c.byURI = make(map[string]*endpoint)
	}
	c.byURI[uri] = e
	return e, nil
}
