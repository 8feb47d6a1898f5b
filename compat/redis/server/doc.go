// Package server is the part of a server that is different on the Redis path: it
// takes events, commands and what is registered, and drives package engine with
// them.
//
// It guarantees that an event which Event was told of, without an error, has
// started, resumed and cancelled what it should, and that telling it again does
// so once. What is stored in Redis is the business of the packages beside it; how
// events come here and where they go is its caller's. It must not call SDKs, and
// knows no NATS.
package server
