package export

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// The variables of OpenTelemetry that are looked at here. Its clients know
// those for headers, certificates, compression and time limits themselves.
const (
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envDisabled       = "OTEL_SDK_DISABLED"
)

// NewClient makes a client for the endpoint, or for that of the environment
// when it is empty; none when there is neither, or the environment forbids it.
// An endpoint is a URL, http://collector:4318, to which /v1/traces is added if
// it has no path; with the scheme grpc or grpcs, or when the environment says
// so, it is spoken to by gRPC.
func NewClient(endpoint string) (Client, error) {
	if os.Getenv(envDisabled) == "true" || endpoint == "" && os.Getenv(envExporter) == "none" {
		return nil, nil
	}
	if endpoint == "" && os.Getenv(envEndpoint) == "" && os.Getenv(envTracesEndpoint) == "" {
		return nil, nil
	}
	target, byGRPC, err := targetOf(endpoint, firstSet(envTracesProtocol, envProtocol))
	if err != nil {
		return nil, err
	}
	switch {
	case byGRPC && target == "":
		return otlptracegrpc.NewClient(), nil
	case byGRPC:
		return otlptracegrpc.NewClient(otlptracegrpc.WithEndpointURL(target)), nil
	case target == "":
		return otlptracehttp.NewClient(), nil
	}
	return otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(target)), nil
}

func firstSet(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// targetOf decides how an endpoint is spoken to. Empty stays empty: the
// clients read the environment by themselves.
func targetOf(endpoint, protocol string) (target string, byGRPC bool, err error) {
	switch protocol {
	case "", "http/protobuf":
	case "grpc":
		byGRPC = true
	default:
		return "", false, fmt.Errorf("OTLP protocol %q is not supported: use http/protobuf or grpc", protocol)
	}
	if endpoint == "" {
		return "", byGRPC, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", false, fmt.Errorf("OTLP endpoint: %w", err)
	}
	switch u.Scheme {
	case "grpc":
		u.Scheme, byGRPC = "http", true
	case "grpcs":
		u.Scheme, byGRPC = "https", true
	case "http", "https":
	default:
		return "", false, fmt.Errorf("OTLP endpoint %q: its scheme must be http, https, grpc or grpcs", endpoint)
	}
	if u.Host == "" {
		return "", false, fmt.Errorf("OTLP endpoint %q names no host", endpoint)
	}
	if !byGRPC && strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), byGRPC, nil
}
