package graph_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/history/view"
)

// TestConfiguration has what was captured for a function with every setting
// (graphql §7), and its likes.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	const selection = `configuration{cancellations{event timeout condition} retries{value isDefault} priority eventsBatch{maxSize timeout key}
		concurrency{scope limit{value isPlanLimit} key} rateLimit{limit period key} debounce{period key} throttle{burst key limit period} singleton{mode key}}`
	for config, want := range map[string]string{
		`{"id":"8d1301bf-2ebd-5af7-822a-9e918f33ed07","fv":1,"name":"configured","slug":"demo-configured","priority":{"run":"event.data.p"},"concurrency":[{"limit":2,"key":"event.data.id","scope":"Env","hash":"1qli8ewrvdw7i"},{"limit":5,"scope":"Fn","hash":""}],"triggers":[{"event":"demo/configured","expression":"event.data.ok == true"}],"rateLimit":{"limit":100,"period":"1h","key":"event.data.id"},"throttle":{"burst":2,"key":"event.data.id","limit":10,"period":"1m"},"cancel":[{"event":"demo/cancel","timeout":"1h","if":"event.data.id == async.data.id"}],"steps":[{"id":"step","name":"step","uri":"http://localhost:3000/api/inngest?fnId=demo-configured\u0026stepId=step","retries":3}]}`: `{
			"name":"configured","concurrency":5,"triggers":[{"type":"EVENT","value":"demo/configured","condition":"event.data.ok == true"}],"configuration":{
			"cancellations":[{"event":"demo/cancel","timeout":"1h","condition":"event.data.id == async.data.id"}],
			"retries":{"value":3,"isDefault":false},"priority":"event.data.p","eventsBatch":null,
			"concurrency":[{"scope":"ENVIRONMENT","limit":{"value":2,"isPlanLimit":false},"key":"event.data.id"},
			               {"scope":"FUNCTION","limit":{"value":5,"isPlanLimit":false},"key":null}],
			"rateLimit":{"limit":100,"period":"1h","key":"event.data.id"},"debounce":null,
			"throttle":{"burst":2,"key":"event.data.id","limit":10,"period":"1m0s"},"singleton":null}}`,
		`{"name":"other","slug":"demo-other","triggers":[{"cron":"* * * * *"}],"singleton":{"mode":"skip","key":"event.data.id"},"debounce":{"period":"5s"},"batchEvents":{"maxSize":3,"timeout":"10s","key":"k"},"steps":[{"id":"step","name":"step","uri":"http://x"}]}`: `{
			"name":"other","concurrency":0,"triggers":[{"type":"CRON","value":"* * * * *","condition":null}],"configuration":{
			"cancellations":[],"retries":{"value":4,"isDefault":true},"priority":null,"eventsBatch":{"maxSize":3,"timeout":"10s","key":"k"},
			"concurrency":[{"scope":"ACCOUNT","limit":{"value":-1,"isPlanLimit":true},"key":null}],"rateLimit":null,
			"debounce":{"period":"5s","key":null},"throttle":null,"singleton":{"mode":"SKIP","key":"event.data.id"}}}`,
		`{"name":"account","slug":"demo-account","triggers":[],"concurrency":[{"limit":7,"scope":"Account","key":"'x'"}]}`: `{
			"name":"account","concurrency":0,"triggers":null,"configuration":{
			"cancellations":[],"retries":{"value":4,"isDefault":true},"priority":null,"eventsBatch":null,
			"concurrency":[{"scope":"ACCOUNT","limit":{"value":7,"isPlanLimit":false},"key":"'x'"}],"rateLimit":null,
			"debounce":null,"throttle":null,"singleton":null}}`,
	} {
		api, store := newAPI(t, &commands{})
		id := uuid.New()
		store.FunctionRows = []view.Function{{ID: id, AppID: uuid.MustParse(fixtureApp), Slug: "here", Config: json.RawMessage(config)}}
		_, answer := post(t, api, `{functionBySlug(query:{functionSlug:"here"}){name concurrency triggers{type value condition} `+selection+`}}`, nil)
		require.JSONEq(t, `{"data":{"functionBySlug":`+want+`}}`, answer)
	}
}

func TestBrokenConfiguration(t *testing.T) {
	t.Parallel()
	api, store := newAPI(t, &commands{})
	store.FunctionRows = []view.Function{{ID: uuid.Nil, AppID: uuid.MustParse(fixtureApp), Config: json.RawMessage(`{`)}}
	for _, document := range []string{`{functions{id}}`, `{apps{functions{id}}}`} {
		_, answer := post(t, api, document, nil)
		require.Contains(t, answer, "reading the definition of function 00000000-0000-0000-0000-000000000000")
	}
	store.AppRows[0].Metadata = json.RawMessage(`{}`)
	store.AppRows[1].Metadata = json.RawMessage(`{"featureObservations":"{\"extendedTraces\":{\"readinessReason\":1}}"}`)
	_, answer := post(t, api, `{apps{sdkFeatureReadiness{aiMetadataExtraction{ready} extendedTraces{ready}}}}`, nil)
	require.JSONEq(t, `{"data":{"apps":[{"sdkFeatureReadiness":{"aiMetadataExtraction":null,"extendedTraces":null}},
		{"sdkFeatureReadiness":{"aiMetadataExtraction":null,"extendedTraces":{"ready":true}}}]}}`, answer)
}
