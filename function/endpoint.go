package function

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"
)

// EndpointRequest is the request to a durable endpoint that began a run, as
// its SDK tells it: the data of the run's event (sdk-protocol §19.1).
type EndpointRequest struct {
	Domain      string `json:"domain"` // scheme, host and port
	Method      string `json:"method"`
	Path        string `json:"path"`
	Fn          string `json:"fn"` // slug; may be empty
	ContentType string `json:"content_type"`
	QueryParams string `json:"query_params"` // as in the URL, without "?"
	Body        string `json:"body"`         // text, or base64 if the SDK sends that
}

// ErrEndpointRequest means that a request cannot be repeated by what is said of it.
var ErrEndpointRequest = errors.New("not a request to a durable endpoint")

// ParseEndpointRequest reads the data of the event. Its error is
// ErrEndpointRequest.
func ParseEndpointRequest(data json.RawMessage) (EndpointRequest, error) {
	var r EndpointRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrEndpointRequest, err)
	}
	at, err := url.Parse(r.Domain)
	switch {
	case err != nil:
		return r, fmt.Errorf("%w: domain: %w", ErrEndpointRequest, err)
	case at.Scheme != "http" && at.Scheme != "https", at.Host == "":
		return r, fmt.Errorf("%w: domain %q is not an absolute http URL", ErrEndpointRequest, r.Domain)
	case r.Method == "":
		return r, fmt.Errorf("%w: it has no method", ErrEndpointRequest)
	}
	return r, nil
}

// Slug names the endpoint.
func (r *EndpointRequest) Slug() string {
	if r.Fn != "" {
		return r.Fn
	}
	return r.Method + " " + r.Path
}

// AppID is the id of the endpoint's app.
func (r *EndpointRequest) AppID() uuid.UUID { return EndpointAppID(EnvironmentID, r.Domain) }

// URL is where the request went. The path may be escaped, as the TypeScript
// SDK has it, or not, as the Go SDK does. Its error is ErrEndpointRequest.
func (r *EndpointRequest) URL() (string, error) {
	u, err := url.Parse(r.Domain)
	if err != nil {
		return "", fmt.Errorf("%w: domain: %w", ErrEndpointRequest, err)
	}
	if path, err := url.PathUnescape(r.Path); err == nil {
		u.Path, u.RawPath = path, r.Path
	} else {
		u.Path = r.Path
	}
	u.RawQuery = r.QueryParams
	return u.String(), nil
}

// EndpointRetries is how many retries each step of an endpoint has: none if
// the SDK does not say, the usual number for a negative one (sdk-protocol §19.1).
func EndpointRetries(sent *int) int {
	switch {
	case sent == nil:
		return 0
	case *sent < 0:
		return DefaultRetries
	}
	return min(*sent, MaxRetries)
}

// Function is the endpoint's configuration in its stored form (sdk-protocol §19.1).
func (r *EndpointRequest) Function(retries int) Function {
	slug := r.Slug()
	return Function{
		ConfigVersion: 1,
		ID:            EndpointFunctionID(r.AppID(), slug),
		Version:       1,
		Name:          slug,
		Slug:          slug,
		Steps:         []Step{{ID: "step", Name: slug, URI: r.Domain, Retries: &retries}},
		Driver:        &Driver{URI: r.Domain, Metadata: map[string]string{"method": r.Method, "type": "sync"}},
	}
}
