package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuildServerTakesTheGivenBinary(t *testing.T) {
	t.Setenv(BinaryVariable, "/opt/jetstep")
	path, err := BuildServer(t.Context(), t.TempDir())
	require.NoError(t, err)
	require.Equal(t, "/opt/jetstep", path)
}

func TestGoBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module tiny\n\ngo 1.26\n")
	write(t, dir, "main.go", "package main\n\nfunc main() {}\n")
	out := filepath.Join(dir, "tiny")
	require.NoError(t, GoBuild(t.Context(), dir, ".", out))
	require.FileExists(t, out)

	write(t, dir, "main.go", "package main\n\nfunc main() { undefined() }\n")
	require.ErrorContains(t, GoBuild(t.Context(), dir, ".", out), "undefined: undefined")
}

// The packages are only installed when the stamp differs from the lock file, so
// with the right stamp there is nothing to do, and no network is needed.
func TestInstallNodePackages(t *testing.T) {
	dir := t.TempDir()
	tools := t.TempDir()
	for _, tool := range []string{"node", "npm"} {
		script := "#!/bin/sh\necho $PWD >> " + tools + "/" + tool + ".runs\nmkdir -p node_modules\n"
		require.NoError(t, os.WriteFile(filepath.Join(tools, tool), []byte(script), 0o755))
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	runs := func() string {
		content, err := os.ReadFile(filepath.Join(tools, "npm.runs"))
		require.NoError(t, err)
		return string(content)
	}

	require.ErrorContains(t, InstallNodePackages(t.Context(), dir), "package-lock.json")
	write(t, dir, "package-lock.json", "{}")
	require.NoError(t, InstallNodePackages(t.Context(), dir))
	require.NoError(t, InstallNodePackages(t.Context(), dir))
	require.Equal(t, dir+"\n", runs())

	write(t, dir, "package-lock.json", `{"changed":true}`)
	require.NoError(t, InstallNodePackages(t.Context(), dir))
	require.Equal(t, dir+"\n"+dir+"\n", runs())

	require.NoError(t, os.WriteFile(filepath.Join(tools, "npm"), []byte("#!/bin/sh\necho no such package\nexit 1\n"), 0o755))
	write(t, dir, "package-lock.json", `{"changed":"again"}`)
	require.ErrorContains(t, InstallNodePackages(t.Context(), dir), "no such package")

	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, InstallNodePackages(t.Context(), dir), "need Node.js")
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
}
