package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// fileNames are tried in this order in every directory of the search. The
// original's names follow, so that its files keep working.
var fileNames = []string{
	"jetstep.json", "jetstep.yaml", "jetstep.yml",
	"inngest.json", "inngest.yaml", "inngest.yml",
}

// file is a parsed config file: flat keys equal to the option names.
type file struct {
	path   string
	values map[string]any
}

// readFile reads the file that was named explicitly. Its errors have the
// original's text (cli-config §4).
func readFile(path string) (file, error) {
	values, err := parseFile(path)
	if err != nil {
		return file{}, fmt.Errorf("error reading config file %s: error parsing config file: %w", path, err)
	}
	return file{path: path, values: values}, nil
}

// findFile searches dir, its parents and the user's ~/.config. The first file
// that parses ends the search; the others that it met come back as skipped.
// Finding none is not an error, nor is a directory that may not be entered:
// containers run as users whose home is somebody else's.
func findFile(dir, home string) (found file, skipped []error) {
	for _, d := range searchDirs(dir, home) {
		for _, name := range fileNames {
			path := filepath.Join(d, name)
			values, err := parseFile(path)
			if err == nil {
				return file{path: path, values: values}, skipped
			}
			if exists(path) {
				skipped = append(skipped, fmt.Errorf("%s: %w", path, err))
			}
		}
	}
	return file{}, skipped
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func searchDirs(dir, home string) []string {
	var dirs []string
	if dir != "" {
		for dirs = append(dirs, dir); filepath.Dir(dir) != dir; dirs = append(dirs, dir) {
			dir = filepath.Dir(dir)
		}
	}
	if home != "" {
		dirs = append(dirs, filepath.Join(home, ".config", "jetstep"), filepath.Join(home, ".config", "inngest"))
	}
	return dirs
}

// parseFile chooses the format by extension: JSON for .json, else YAML. A
// file without an extension may be either, and JSON is tried second.
func parseFile(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json":
		return parseJSON(text)
	case "":
		values, err := parseYAML(text)
		if err != nil {
			if fromJSON, jsonErr := parseJSON(text); jsonErr == nil {
				return fromJSON, nil
			}
		}
		return values, err
	}
	return parseYAML(text)
}

func parseJSON(text []byte) (map[string]any, error) {
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return values, nil
}

func parseYAML(text []byte) (map[string]any, error) {
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, err
	}
	return values, nil
}
