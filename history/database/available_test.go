package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func TestIsOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{context.Canceled, false},
		{errors.New("no such column"), false},
		{&pgconn.PgError{Code: "42703"}, false},
		{&pgconn.PgError{Code: "57P03"}, true}, // starting
		{&pgconn.PgError{Code: "53300"}, true}, // too many connections
		{fmt.Errorf("connecting: %w", &pgconn.ConnectError{}), true},
		{&net.OpError{Err: errors.New("refused")}, true},
		{context.DeadlineExceeded, true},
		{driver.ErrBadConn, true},
		{io.ErrUnexpectedEOF, true},
	} {
		require.Equal(t, c.want, isOutage(c.err), "%v", c.err)
	}
}

func TestUnavailableBeforeMigration(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	_, err = s.Event(t.Context(), ulid.Make())
	require.ErrorIs(t, err, ErrUnavailable)

	require.NoError(t, s.Migrate(t.Context()))
	_, err = s.Event(t.Context(), ulid.Make())
	require.ErrorIs(t, err, ErrNotFound)
}

func TestUnavailableServer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	s, err := New(Options{URI: "postgres://u:p@" + closed.Addr().String() + "/x"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(t, s.Migrate(ctx), ErrUnavailable)

	_, err = New(Options{URI: "mysql://x"})
	require.ErrorContains(t, err, `unsupported database URL: scheme "mysql"`)
}
