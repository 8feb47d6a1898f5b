package appsync

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

func TestEndpointsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	registry := &fakeRegistry{apps: map[uuid.UUID]*function.App{}}
	s := New(Config{Registry: registry})
	simple := &function.EndpointRequest{Domain: "http://127.0.0.1:18101", Method: "GET", Path: "/simple"}
	require.NoError(t, s.RegisterEndpoint(t.Context(), simple, 3, "inngest-js:v4.24.0"))
	app := registry.app(t, simple.Domain)
	require.Equal(t, simple.AppID(), app.ID)
	require.Equal(t, function.MethodAPI, app.Method)
	require.Equal(t, simple.Domain, app.URL)
	require.Equal(t, "js", app.SDKLanguage)
	require.Equal(t, "4.24.0", app.SDKVersion)
	require.Len(t, app.Functions, 1)
	require.Equal(t, "GET /simple", app.Functions[0].Slug)

	require.NoError(t, s.RegisterEndpoint(t.Context(), simple, 3, "inngest-js:v4.24.0"))
	require.Equal(t, 1, registry.writes, "what is known is not written again")

	require.NoError(t, s.RegisterEndpoint(t.Context(), simple, 5, ""))
	other := &function.EndpointRequest{Domain: simple.Domain, Method: "POST", Path: "/simple"}
	require.NoError(t, s.RegisterEndpoint(t.Context(), other, 0, ""))
	app = registry.app(t, simple.Domain)
	require.Len(t, app.Functions, 2)
	require.Equal(t, 5, app.Functions[0].Retries())
	require.Equal(t, 2, app.Functions[0].Version)
	require.Equal(t, "js", app.SDKLanguage, "who does not say keeps what is known")
	require.Empty(t, s.due(), "nobody pings it")
}

func TestEndpointsOfOneAppAreBounded(t *testing.T) {
	t.Parallel()
	registry := &fakeRegistry{apps: map[uuid.UUID]*function.App{}}
	s := New(Config{Registry: registry})
	app := function.App{ID: (&function.EndpointRequest{Domain: "http://shop.example"}).AppID(), Name: "http://shop.example", Method: function.MethodAPI}
	for i := range maxEndpoints {
		r := function.EndpointRequest{Domain: app.Name, Method: "GET", Path: fmt.Sprintf("/items/%d", i)}
		app.Functions = append(app.Functions, r.Function(0))
	}
	_, err := registry.Update(t.Context(), app.ID, func(*function.App) (*function.App, error) { return &app, nil })
	require.NoError(t, err)
	more := &function.EndpointRequest{Domain: app.Name, Method: "GET", Path: "/items/more"}
	require.NoError(t, s.RegisterEndpoint(t.Context(), more, 0, ""))
	require.Len(t, registry.app(t, app.Name).Functions, maxEndpoints)
}
