package v2

import "net/http"

// listed is what GET /operations says of a route beside its method and path
// (http-api §15).
type listed struct{ id, tool, summary string } // tool is "" for what is no tool of /mcp

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
	return single(map[string]any{"operations": operations})
}
