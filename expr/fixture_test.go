package expr

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// readFixture decodes a JSON fixture captured from a reference server.
func readFixture(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "tests", "testdata", "fixtures", name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}
