package state

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// Endpoint is what a run has that others have not: it was begun by the app
// itself, while the app served a request to one of its own routes, a durable
// endpoint (sdk-protocol §19). As long as that request lasts the app executes
// the run and only reports its steps; nobody calls it. The run goes on by
// itself, with the app being called, as soon as a step needs that or the app
// has been silent for too long. An Endpoint is never changed, only replaced.
type Endpoint struct {
	AppID uuid.UUID
	// SDK is what the app runs on, as "inngest-js:v4.24.0" or "go"; SDKs differ
	// in how they write the request's body and verify signatures.
	SDK string
	// Attempts is how often a step may be tried, retries + 1.
	Attempts int
	// AsyncAt is since when the run goes on by itself, in milliseconds since
	// 1970; 0 while the request that began it lasts.
	AsyncAt int64
}

func (e *Endpoint) code(c *coder) {
	c.uuid(&e.AppID)
	c.string(&e.SDK)
	c.int(&e.Attempts)
	c.int64(&e.AsyncAt)
}

// Sync tells whether the run is being executed by the request that began it.
func (r *Run) Sync() bool { return r.Endpoint != nil && r.Endpoint.AsyncAt == 0 }

// PatienceJob is the id of the job that calls the app of a Sync run which has
// been silent for too long: its process may be gone.
func (r *Run) PatienceJob() string { return function.Hash(r.Key() + "-sync") }

// Beginning is a run that its app has begun.
type Beginning struct {
	Run   Run
	Event SentEvent // what is published about it
	// Claim is the idempotency key of the run, "" for none.
	Claim string
}

// EndpointDetached says that a run of a durable endpoint goes on by itself
// from now on.
type EndpointDetached struct {
	RunID      ulid.ULID
	FunctionID uuid.UUID
}

func (o *EndpointDetached) tag() uint8 { return tagEndpointDetached }
func (o *EndpointDetached) code(c *coder) {
	c.ulid(&o.RunID)
	c.uuid(&o.FunctionID)
}

func (o *EndpointDetached) apply(x *Index, at int64) {
	if r, ok := x.Run(o.RunID); ok && r.Sync() {
		detached := *r.Endpoint
		detached.AsyncAt = at
		r.Endpoint = &detached
	}
}
