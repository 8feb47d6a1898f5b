package v2

import "net/http"

// listed is what GET /operations says of a route beside its method and path
// (http-api §15).
type listed struct{ id, tool, summary string } // tool is "" for what is no tool of /mcp

// Tool is a route that /mcp has as a tool. Parameters stand in the path as {name}.
type Tool struct{ Name, Method, Path, Summary string }

// Tools are all such routes. Their paths begin with a prefix of the API.
func Tools() []Tool {
	var tools []Tool
	for _, r := range (&server{}).table() {
		if r.listed != nil && r.listed.tool != "" {
			tools = append(tools, Tool{Name: r.listed.tool, Method: r.method, Path: toolPrefix + r.pattern, Summary: r.listed.summary})
		}
	}
	return tools
}

// toolPrefix is the shorter of the prefixes.
const toolPrefix = "/v2"

// operation is an entry of that list, for tools that are made from it.
type operation struct {
	ID      string    `json:"id"`
	Summary string    `json:"summary"`
	HTTP    operated  `json:"http"`
	MCP     *toolName `json:"mcp,omitempty"`
}

type operated struct {
	Method string `json:"method"`
	Path   string `json:"path"`
}

type toolName struct {
	Name string `json:"name"`
}

const operationsPath = "/operations"

// operations answers GET /operations, which needs no key.
func (s *server) operations(*http.Request, []string) (*answer, error) {
	var operations []operation
	for _, r := range s.routes {
		if r.listed == nil {
			continue
		}
		o := operation{ID: r.listed.id, Summary: r.listed.summary, HTTP: operated{r.method, prefixes[0] + r.pattern}}
		if r.listed.tool != "" {
			o.MCP = &toolName{r.listed.tool}
		}
		operations = append(operations, o)
	}
	a, err := single(map[string]any{"operations": operations})
	a.cache = "public, max-age=300, stale-while-revalidate=3600"
	return a, err
}
