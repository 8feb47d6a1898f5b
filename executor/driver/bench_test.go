package driver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// smallRequest is a typical call: one event, two finished steps.
func smallRequest(url string) *Request {
	return &Request{
		URL:        url,
		AppID:      uuid.MustParse("e564530a-d053-5aab-a66c-ab6b413d8170"),
		FunctionID: uuid.MustParse("01c740f1-569c-56c1-9430-67b2462e0c33"),
		RunID:      ulid.MustParse("01M8AD0GK1ZSZ0XPTVGTRXPC9K"),
		JobID:      "2s7uvj2zcd8a7", RequestID: "01M8AD0GZ9C1JWS3XKQ9BBNHG9",
		Generation: 1, MaxAttempts: 5, Version: 2, StepID: "step", StackCurrent: 2,
		Stack:  []string{"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", "a0f1490a20d0211c997b44bc357e1972deab8ae3"},
		Events: []json.RawMessage{json.RawMessage(`{"data":{"é":"ü"},"id":"01M8AD0GCP1QTJAGB33JQ8JBTR","name":"cl/one","ts":1795645522326,"user":{}}`)},
		Steps: []Memo{
			{ID: "a0f1490a20d0211c997b44bc357e1972deab8ae3", Data: json.RawMessage(`{"data":{"ok":true}}`)},
			{ID: "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", Data: json.RawMessage(`null`)},
		},
	}
}

const smallAnswer = `[{"id":"e0996a37c13d44c3b06074939d43fa3759bd32c1","op":"StepRun","name":"first","opts":{},"displayName":"first","userland":{"id":"first"},"data":{"a":1},"timing":{"a":1795645052056000000,"b":0}}]`

func answerSteps(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Inngest-Sdk", "inngest-js:v4.24.0")
	w.Header().Set("X-Inngest-Req-Version", "2")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusPartialContent)
	_, _ = io.WriteString(w, smallAnswer)
}

// The second is what direct is measured by.
func BenchmarkCall(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(answerSteps))
	defer server.Close()
	req := smallRequest(server.URL + "/api/inngest?fnId=cl-app-c1&stepId=step")
	for name, transport := range map[string]http.RoundTripper{
		"direct": nil, "transport": &http.Transport{MaxIdleConnsPerHost: DefaultMaxIdlePerHost, DisableCompression: true},
	} {
		b.Run(name, func(b *testing.B) {
			caller := New(Config{SigningKey: "0123456789abcdef0123456789abcdef", RequireSigning: true, Transport: transport})
			defer caller.Close()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := caller.Call(b.Context(), req)
					if err != nil || r.Kind != KindSteps {
						b.Errorf("got %+v, %v", r, err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkBody(b *testing.B) {
	small := smallRequest("")
	large := smallRequest("")
	for i := range 1000 {
		id := fmt.Sprintf("%040x", i*7919%1000)
		large.Stack = append(large.Stack, id)
		large.Steps = append(large.Steps, Memo{ID: id, Data: json.RawMessage(`{"data":{"ok":true}}`)})
	}
	for name, req := range map[string]*Request{"small": small, "1000 steps": large} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				body, _ := Body(req)
				b.SetBytes(int64(len(body)))
			}
		})
	}
}

func BenchmarkParseOps(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseOps([]byte(smallAnswer)); err != nil {
			b.Fatal(err)
		}
	}
}
