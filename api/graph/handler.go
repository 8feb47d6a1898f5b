package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// cachedQueries is how many parsed documents are kept.
const cachedQueries = 1000

// Config is what the API is made of.
type Config struct {
	Reader   Reader
	Commands Commands
	Log      *slog.Logger
	Now      func() time.Time // nil for time.Now
}

// New makes the handler of /v0/gql (graphql §2). It answers POST, GET and
// OPTIONS; errors of resolvers come with status 200, those of a document with
// 422.
func New(config Config) http.Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers: &resolver{reader: config.Reader, commands: config.Commands, now: config.Now},
	})
	server := handler.New(schema)
	server.AddTransport(transport.Options{})
	server.AddTransport(transport.GET{})
	server.AddTransport(transport.POST{})
	server.AddTransport(transport.MultipartForm{MaxUploadSize: maxBody, MaxMemory: maxBody})
	server.SetQueryCache(lru.New[*ast.QueryDocument](cachedQueries))
	server.SetParserTokenLimit(maxTokens)
	server.Use(extension.Introspection{})
	server.Use(sizeLimit{})
	server.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		return next(withOperation(ctx, config.Reader))
	})
	server.AroundFields(countField)
	server.SetErrorPresenter(present)
	server.SetRecoverFunc(func(_ context.Context, failure any) error {
		config.Log.Error("graphql: resolver panicked", "failure", failure, "stack", string(debug.Stack()))
		return errors.New("internal system error")
	})
	return bounded(server)
}

// present shows an error of a resolver as the original does: by its path only.
func present(ctx context.Context, err error) *gqlerror.Error {
	if errors.Is(err, view.ErrUnavailable) {
		err = &gqlerror.Error{Message: view.ErrUnavailable.Error(), Path: graphql.GetPath(ctx)}
	}
	shown := graphql.DefaultErrorPresenter(ctx, err)
	if shown.Path != nil && shown.Extensions["code"] == nil {
		shown.Locations = nil
	}
	return shown
}

// bounded refuses bodies that are too large, and lists of operations.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method != http.MethodPost || err != nil || kind != "application/json" {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			refuse(w, http.StatusRequestEntityTooLarge, "request body is too large")
		case err != nil:
			refuse(w, http.StatusBadRequest, "request body could not be read")
		case bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")):
			refuseBatch(w)
		default:
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		}
	})
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"message":%q}],"data":null}`, message)
}

// refuseBatch answers what the original does, which reads the list as a
// document.
func refuseBatch(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = io.WriteString(w, `{"errors":[{"message":"Unexpected [","locations":[{"line":1,"column":1}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}],"data":null}`)
}
