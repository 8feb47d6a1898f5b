package export

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/resource"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlpresource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

const name = "jetstep"

// resource is who sends spans.
type resource struct {
	attributes []*common.KeyValue
	version    string
}

// resourceOf is this server, as OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
// describe it.
func resourceOf(ctx context.Context, version string) (resource, error) {
	described, err := sdk.New(ctx, sdk.WithFromEnv())
	if err != nil {
		return resource{}, fmt.Errorf("resource of exported traces: %w", err)
	}
	r := resource{version: version}
	named := false
	for _, a := range described.Attributes() {
		r.attributes = append(r.attributes, text(string(a.Key), a.Value.String()))
		named = named || a.Key == "service.name"
	}
	if !named {
		r.attributes = append(r.attributes, text("service.name", name), text("service.version", version))
	}
	return r, nil
}

func (r resource) wrap(spans []*otlp.Span) []*otlp.ResourceSpans {
	return []*otlp.ResourceSpans{{
		Resource:   &otlpresource.Resource{Attributes: r.attributes},
		ScopeSpans: []*otlp.ScopeSpans{{Scope: &common.InstrumentationScope{Name: name, Version: r.version}, Spans: spans}},
	}}
}
