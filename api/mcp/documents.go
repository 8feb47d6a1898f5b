package mcp

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	defaultMatches = 10
	maxMatches     = 100
)

type grepArguments struct {
	Pattern string `json:"pattern" jsonschema:"regular expression, in any case of letters"`
	Limit   int    `json:"limit,omitempty" jsonschema:"matches at most, 10 by default"`
}

type match struct {
	Path string `json:"path"`
	Line int    `json:"line"` // from 1
	Text string `json:"text"`
}

type grepResult struct {
	Matches []match `json:"matches"`
	More    bool    `json:"more"` // than the limit
}

type readArguments struct {
	Path string `json:"path" jsonschema:"as list_docs tells it"`
}

type document struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

type listedDocument struct {
	Path  string `json:"path"`
	Title string `json:"title"`
	Size  int    `json:"size"` // bytes
}

type listResult struct {
	Documents []listedDocument `json:"documents"`
}

func (s *Server) addDocTools(tools *mcp.Server) {
	read := &mcp.ToolAnnotations{ReadOnlyHint: true}
	mcp.AddTool(tools, &mcp.Tool{Name: "list_docs", Description: "The pages of the documentation", Annotations: read}, s.listDocs)
	mcp.AddTool(tools, &mcp.Tool{Name: "read_doc", Description: "One page of the documentation", Annotations: read}, s.readDoc)
	mcp.AddTool(tools, &mcp.Tool{Name: "grep_docs", Description: "Searches the documentation line by line", Annotations: read}, s.grepDocs)
}

func (s *Server) listDocs(context.Context, *mcp.CallToolRequest, noArguments) (result, any, error) {
	listed := listResult{Documents: []listedDocument{}}
	err := s.eachDoc(func(path, text string) bool {
		listed.Documents = append(listed.Documents, listedDocument{Path: path, Title: title(path, text), Size: len(text)})
		return true
	})
	return nil, listed, err
}

// title is the first heading.
func title(path, text string) string {
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			return strings.TrimSpace(heading)
		}
	}
	return path
}

// eachDoc visits the pages in the order of their paths, until visit wants no
// more.
func (s *Server) eachDoc(visit func(path, text string) bool) error {
	paths, err := fs.Glob(s.cfg.Docs, "*.md")
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := fs.ReadFile(s.cfg.Docs, path)
		if err != nil {
			return err
		}
		if !visit(path, string(text)) {
			return nil
		}
	}
	return nil
}

func (s *Server) readDoc(_ context.Context, _ *mcp.CallToolRequest, in readArguments) (result, any, error) {
	if !strings.HasSuffix(in.Path, ".md") || strings.Contains(in.Path, "/") {
		return failed(fmt.Sprintf("There is no document %q. The tool list_docs tells which there are.", in.Path)), nil, nil
	}
	text, err := fs.ReadFile(s.cfg.Docs, in.Path)
	if err != nil {
		return failed(fmt.Sprintf("There is no document %q. The tool list_docs tells which there are.", in.Path)), nil, nil
	}
	return nil, document{Path: in.Path, Content: string(text)}, nil
}

func (s *Server) grepDocs(_ context.Context, _ *mcp.CallToolRequest, in grepArguments) (result, any, error) {
	pattern, err := regexp.Compile("(?i)" + in.Pattern)
	if err != nil || in.Pattern == "" {
		return failed("pattern is not a regular expression"), nil, nil
	}
	limit := defaultMatches
	if in.Limit > 0 {
		limit = min(in.Limit, maxMatches)
	}
	found := grepResult{Matches: []match{}}
	err = s.eachDoc(func(path, text string) bool {
		number := 0
		for line := range strings.Lines(text) {
			number++
			if !pattern.MatchString(line) {
				continue
			}
			if len(found.Matches) == limit {
				found.More = true
				return false
			}
			found.Matches = append(found.Matches, match{Path: path, Line: number, Text: strings.TrimRight(line, "\n")})
		}
		return true
	})
	return nil, found, err
}
