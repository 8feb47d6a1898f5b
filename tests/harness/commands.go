package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// GraphQL sends a document and reads the data of the answer. An error in the
// answer is an error.
func (c *Client) GraphQL(ctx context.Context, document string, variables, data any) error {
	body := map[string]any{"query": document, "variables": variables}
	var answer struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := c.callJSON(ctx, http.MethodPost, "/v0/gql", body, &answer); err != nil {
		return err
	}
	if len(answer.Errors) > 0 {
		return errors.New(answer.Errors[0].Message)
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return fmt.Errorf("graphql: %w in %s", err, answer.Data)
	}
	return nil
}

// V2 makes a request to REST v2 with a body, none if it is nil, and reads the
// data of the answer.
func (c *Client) V2(ctx context.Context, method, path string, body, data any) error {
	var answer struct{ Data json.RawMessage }
	if err := c.callJSON(ctx, method, "/v2"+path, body, &answer); err != nil {
		return err
	}
	if answer.Data == nil {
		return nil // nothing is left out (http-api §14)
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return fmt.Errorf("%s /v2%s: %w in %s", method, path, err, answer.Data)
	}
	return nil
}

// Post sends a body to a path and reads the answer.
func (c *Client) Post(ctx context.Context, path string, body, answer any) error {
	return c.callJSON(ctx, http.MethodPost, path, body, answer)
}
