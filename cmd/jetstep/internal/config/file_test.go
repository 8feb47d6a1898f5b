package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileSearch(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		files   map[string]string // path below the root → text
		want    string            // "" means none
		skipped int
	}{
		"none": {},
		"working directory before its parent": {
			files: map[string]string{"a/b/inngest.yml": "port: 1", "a/inngest.json": "{}"}, want: "a/b/inngest.yml"},
		"parent": {
			files: map[string]string{"a/inngest.json": "{}"}, want: "a/inngest.json"},
		"parent before home": {
			files: map[string]string{"inngest.json": "{}", "home/.config/inngest/inngest.json": "{}"}, want: "inngest.json"},
		"home": {
			files: map[string]string{"home/.config/inngest/inngest.yaml": ""}, want: "home/.config/inngest/inngest.yaml"},
		"own home first": {
			files: map[string]string{"home/.config/inngest/inngest.json": "{}", "home/.config/jetstep/jetstep.json": "{}"},
			want:  "home/.config/jetstep/jetstep.json"},
		"own name first": {
			files: map[string]string{"a/b/inngest.json": "{}", "a/b/jetstep.yml": ""}, want: "a/b/jetstep.yml"},
		"json, yaml, yml": {
			files: map[string]string{"a/b/inngest.yml": "", "a/b/inngest.yaml": ""}, want: "a/b/inngest.yaml"},
		"broken files are skipped": {
			files: map[string]string{"a/b/inngest.json": "{", "a/b/inngest.yaml": "[1]", "a/inngest.json": "{}"},
			want:  "a/inngest.json", skipped: 2},
		"directories that cannot be entered are passed over": {files: map[string]string{"home/.config": ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, filepath.FromSlash(path))
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			}
			found, skipped := findFile(filepath.Join(root, "a", "b"), filepath.Join(root, "home"))
			want := c.want
			if want != "" {
				want = filepath.Join(root, filepath.FromSlash(want))
			}
			require.Equal(t, want, found.path)
			require.Len(t, skipped, c.skipped)
			opts, err := Load(Dev, nil, Surroundings{Dir: filepath.Join(root, "a", "b"), Home: filepath.Join(root, "home")})
			require.NoError(t, err)
			require.Len(t, opts.SkippedFiles, c.skipped)
		})
	}
}

func TestExplicitFile(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		name, text string
		port       int
		wantErr    string
	}{
		"json":                    {name: "x.json", text: `{"port": 1}`, port: 1},
		"yaml":                    {name: "x.yaml", text: "port: 1", port: 1},
		"yaml, extension in caps": {name: "x.YML", text: "port: 1", port: 1},
		"other extension":         {name: "x.conf", text: "port: 1", port: 1},
		"no extension, yaml":      {name: "x", text: "port: 1", port: 1},
		"no extension, json":      {name: "x", text: "{\n\t\"port\": 1\n}", port: 1},
		"no extension, neither":   {name: "x", text: "\t{", wantErr: "yaml"},
		"bad json":                {name: "x.json", text: "port: 1", wantErr: "invalid character"},
		"empty json":              {name: "x.json", text: "", wantErr: "unexpected end"},
		"json list":               {name: "x.json", text: "[]", wantErr: "cannot unmarshal"},
		"empty yaml":              {name: "x.yaml", text: "", port: 8288},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(write(t, c.name, c.text), c.name)
			for _, from := range []struct {
				given Given
				env   []string
			}{
				{given: Given{"config": path}},
				{env: []string{"INNGEST_CONFIG=" + path}},
				{env: []string{"INNGEST_CONFIG=/none", "JETSTEP_CONFIG=" + path}},
			} {
				opts, err := Load(Dev, from.given, Surroundings{Environ: from.env})
				if c.wantErr != "" {
					require.ErrorContains(t, err, "error reading config file "+path+": error parsing config file: ")
					require.ErrorContains(t, err, c.wantErr)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, c.port, opts.Port)
				require.Equal(t, path, opts.ConfigFile)
			}
		})
	}
}

func TestExplicitFileMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.json")
	_, err := Load(Start, Given{"config": path}, Surroundings{})
	require.EqualError(t, err, "error reading config file "+path+
		": error parsing config file: open "+path+": no such file or directory")
}
