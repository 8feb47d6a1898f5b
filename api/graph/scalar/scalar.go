// Package scalar reads and writes the scalars of the GraphQL API that are not
// plain text or numbers (graphql §4). It owns their wire form only.
package scalar

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// JSON is a value that is passed on as it is stored.
type JSON = json.RawMessage

// MarshalULID writes the 26 characters of an id.
func MarshalULID(id ulid.ULID) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(id.String())) })
}

// UnmarshalULID reads an id; its errors are part of answers to clients.
func UnmarshalULID(v any) (ulid.ULID, error) {
	text, ok := v.(string)
	if !ok {
		return ulid.ULID{}, errors.New("ULIDs must be strings")
	}
	return ulid.ParseStrict(text)
}

// MarshalUUID writes the 36 lower-case characters of an id, also of the nil one.
func MarshalUUID(id uuid.UUID) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(id.String())) })
}

// UnmarshalUUID reads an id.
func UnmarshalUUID(v any) (uuid.UUID, error) {
	text, ok := v.(string)
	if !ok {
		return uuid.UUID{}, errors.New("UUIDs must be strings")
	}
	return uuid.Parse(text)
}

// MarshalJSON writes stored JSON, null when there is none.
func MarshalJSON(value JSON) graphql.Marshaler {
	if !json.Valid(value) {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(value) })
}

// UnmarshalJSON reads any value.
func UnmarshalJSON(v any) (JSON, error) { return json.Marshal(v) }
