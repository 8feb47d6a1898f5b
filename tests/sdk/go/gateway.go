package main

import (
	"encoding/json"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// gatewayFunctions have the server make requests for the app.
func gatewayFunctions(*app) []function {
	return []function{
		{id: "fetch", body: fetch},
		{id: "infer", retries: 1, body: infer},
	}
}

func fetch(r *run) (any, error) {
	body, err := json.Marshal(r.data.Body)
	if err != nil {
		return nil, err
	}
	res, err := step.Fetch[string](r.ctx, "call", step.FetchOpts{
		URL:     r.data.URL,
		Method:  "POST",
		Headers: map[string]string{"content-type": "application/json", "x-test": "sent"},
		Body:    string(body),
	})
	if err != nil {
		return nil, err
	}
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return map[string]any{"status": res.StatusCode, "pong": res.Headers["X-Pong"], "body": res.Body}, nil
}

// chat is the part that matters here of an OpenAI-like answer.
type chat struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
		} `json:"message"`
	} `json:"choices"`
}

func infer(r *run) (any, error) {
	outcome := map[string]any{}
	answer, err := step.Infer[map[string]any, chat](r.ctx, "inf", step.InferOpts[map[string]any]{
		Opts: step.InferOpenAIOpts(inngestgo.StrPtr("KEY"), &r.data.URL),
		Body: map[string]any{
			"model":    "m-1",
			"messages": []map[string]string{{"role": "user", "content": "hi"}},
		},
	})
	if err != nil {
		outcome["error"] = err.Error()
	} else {
		outcome["said"] = answer.Choices[0].Message.Content
	}
	if _, err := do(r, "after", give(0)); err != nil {
		return nil, err
	}
	return outcome, nil
}
