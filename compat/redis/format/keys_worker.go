package format

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// The keys of workers that connect have the environment as their hash tag
// (redis-state §17).

// GatewaysKey is the hash of [Gateway], by id.
const GatewaysKey = "{connect}:gateways"

func ofEnvironment(environment uuid.UUID, name string) string {
	return "{" + environment.String() + "}:" + name
}

// ConnectionsKey is the hash of [Connection], by id.
func ConnectionsKey(environment uuid.UUID) string { return ofEnvironment(environment, "conns") }

// AppConnectionsKey is the set of an app's connections.
func AppConnectionsKey(environment, app uuid.UUID) string {
	return ofEnvironment(environment, "conns_appid:"+app.String())
}

// WorkerGroupsKey is the hash of [WorkerGroup], by hash.
func WorkerGroupsKey(environment uuid.UUID) string { return ofEnvironment(environment, "groups") }

// GroupConnectionsKey is the set of a group's connections.
func GroupConnectionsKey(environment uuid.UUID, group string) string {
	return ofEnvironment(environment, "groups:"+group)
}

// RequestLeaseKey is the string [RequestLease].
func RequestLeaseKey(environment uuid.UUID, request ulid.ULID) string {
	return ofEnvironment(environment, "request-lease:"+request.String())
}

// ResponseKey is the string with a worker's answer, a protobuf message.
func ResponseKey(environment uuid.UUID, request ulid.ULID) string {
	return ofEnvironment(environment, "buffered-response:"+request.String())
}

// WorkerCapacityKey is the string with how many requests a worker takes at once.
func WorkerCapacityKey(environment uuid.UUID, instance string) string {
	return ofEnvironment(environment, "worker-capacity:"+function.Hash(instance))
}

// WorkerRequestsKey is the sorted set of a worker's requests.
func WorkerRequestsKey(environment uuid.UUID, instance string) string {
	return ofEnvironment(environment, "worker-requests-set:"+function.Hash(instance))
}

// RequestWorkerKey is the string with the worker that has a request.
func RequestWorkerKey(environment uuid.UUID, request ulid.ULID) string {
	return ofEnvironment(environment, "request-worker:"+request.String())
}

// For how many seconds these keys count.
const (
	RequestLeaseTTL   = 7320
	ResponseTTL       = 60
	WorkerCapacityTTL = 5400
	RequestWorkerTTL  = 720
)
