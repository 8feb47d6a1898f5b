package harness

import (
	"context"
	"net/http"
)

// Topic is what a realtime token is for (http-api §11).
type Topic struct {
	Kind    string `json:"kind"` // "run" or "event"
	Channel string `json:"channel"`
	Name    string `json:"name"`
}

// RealtimeToken returns a token with which a subscriber can connect.
func (c *Client) RealtimeToken(ctx context.Context, topics ...Topic) (string, error) {
	var answer struct {
		JWT string `json:"jwt"`
	}
	err := c.callJSON(ctx, http.MethodPost, "/v1/realtime/token", topics, &answer)
	return answer.JWT, err
}
