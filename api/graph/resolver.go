package graph

import (
	"time"

	"jetstep/api/graph/generated"
)

// resolver answers the fields of the schema that take more than a value which
// is already there. Each type of the schema with such fields has its own view
// of it.
type resolver struct {
	reader   Reader
	commands Commands
	now      func() time.Time
}

type (
	queries            struct{ *resolver }
	mutations          struct{ *resolver }
	appFields          struct{ *resolver }
	functionFields     struct{ *resolver }
	eventFields        struct{ *resolver }
	eventV2Fields      struct{ *resolver }
	eventsFields       struct{ *resolver }
	runFields          struct{ *resolver }
	runsFields         struct{ *resolver }
	legacyRunFields    struct{ *resolver }
	spanFields         struct{ *resolver }
	deferFields        struct{ *resolver }
	deferredFromFields struct{ *resolver }
	streamFields       struct{ *resolver }
	workerFields       struct{ *resolver }
	workersFields      struct{ *resolver }
)

func (r *resolver) Query() generated.QueryResolver                       { return queries{r} }
func (r *resolver) Mutation() generated.MutationResolver                 { return mutations{r} }
func (r *resolver) App() generated.AppResolver                           { return appFields{r} }
func (r *resolver) Function() generated.FunctionResolver                 { return functionFields{r} }
func (r *resolver) Event() generated.EventResolver                       { return eventFields{r} }
func (r *resolver) EventV2() generated.EventV2Resolver                   { return eventV2Fields{r} }
func (r *resolver) EventsConnection() generated.EventsConnectionResolver { return eventsFields{r} }
func (r *resolver) FunctionRunV2() generated.FunctionRunV2Resolver       { return runFields{r} }
func (r *resolver) RunsV2Connection() generated.RunsV2ConnectionResolver { return runsFields{r} }
func (r *resolver) FunctionRun() generated.FunctionRunResolver           { return legacyRunFields{r} }
func (r *resolver) RunTraceSpan() generated.RunTraceSpanResolver         { return spanFields{r} }
func (r *resolver) RunDefer() generated.RunDeferResolver                 { return deferFields{r} }
func (r *resolver) RunDeferredFrom() generated.RunDeferredFromResolver   { return deferredFromFields{r} }
func (r *resolver) StreamItem() generated.StreamItemResolver             { return streamFields{r} }
func (r *resolver) ConnectV1WorkerConnection() generated.ConnectV1WorkerConnectionResolver {
	return workerFields{r}
}
func (r *resolver) ConnectV1WorkerConnectionsConnection() generated.ConnectV1WorkerConnectionsConnectionResolver {
	return workersFields{r}
}

// timePtr is nil for the zero time.
func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// textPtr is nil for the empty text.
func textPtr[S ~string](s S) *S {
	if s == "" {
		return nil
	}
	return &s
}

func ptr[T any](value T) *T { return &value }
