package database

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// LimitPages bounds a file of SQLite, as a disk does.
func (s *Store) LimitPages(t *testing.T, pages int) {
	t.Helper()
	_, err := s.writer.ExecContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(pages))
	require.NoError(t, err)
}
