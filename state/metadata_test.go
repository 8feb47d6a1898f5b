package state

import (
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func TestMetadataIsValidated(t *testing.T) {
	t.Parallel()
	score := func(values string) Metadata {
		return Metadata{Scope: "run", Kind: "inngest.score", Op: "merge", Values: raw(values)}
	}
	free := func(kind, values string) Metadata {
		return Metadata{Scope: "step", Kind: kind, Op: "set", Values: raw(values)}
	}
	for name, c := range map[string]struct {
		item Metadata
		err  error
	}{
		"user's own":          {free("userland.x", `{"a":1}`), nil},
		"any other kind":      {free("mine", `{}`), nil},
		"allowed of inngest":  {free("inngest.ai", `{}`), nil},
		"longest kind":        {free(strings.Repeat("k", 128), `{}`), nil},
		"too long a kind":     {free(strings.Repeat("k", 129), `{}`), ErrMetadata},
		"no kind":             {free("", `{}`), ErrMetadata},
		"reserved":            {free("inngest.usage", `{}`), ErrMetadata},
		"no object":           {free("k", `[1]`), ErrMetadata},
		"no values":           {free("k", ``), ErrMetadata},
		"unknown op":          {Metadata{Scope: "run", Kind: "k", Op: "put", Values: raw(`{}`)}, ErrMetadata},
		"unknown scope":       {Metadata{Scope: "app", Kind: "k", Op: "set", Values: raw(`{}`)}, ErrMetadata},
		"too large":           {free("k", `{"a":"`+strings.Repeat("x", MaxMetadata)+`"}`), ErrMetadataTooLarge},
		"score":               {score(`{"acc":{"value":0.5},"ok":{"value":true}}`), nil},
		"score of text":       {score(`{"acc":{"value":"high"}}`), ErrMetadata},
		"score of nothing":    {score(`{"acc":{}}`), ErrMetadata},
		"score bare":          {score(`{"acc":1}`), ErrMetadata},
		"score not finite":    {score(`{"acc":{"value":1e999}}`), ErrMetadata},
		"score without name":  {score(`{" ":{"value":1}}`), ErrMetadata},
		"score with a quote":  {score(`{"it's":{"value":1}}`), ErrMetadata},
		"score with controls": {score(`{"a\nb":{"value":1}}`), ErrMetadata},
		"score's long name":   {score(`{"` + strings.Repeat("n", 129) + `":{"value":1}}`), ErrMetadata},
	} {
		if c.err == nil {
			require.NoError(t, c.item.Validate(), name)
			continue
		}
		require.ErrorIs(t, c.item.Validate(), c.err, name)
	}
}

func TestMetadataOfOpcodes(t *testing.T) {
	t.Parallel()
	none, err := ParseMetadata(nil)
	require.NoError(t, err)
	require.Empty(t, none)
	valid, err := ParseMetadata(raw(`[{"scope":"step","kind":"userland.a","op":"merge","values":{"x":1}},
		{"scope":"step","kind":"inngest.usage","op":"merge","values":{}},{"scope":"run","kind":"b","op":"add","values":{"n":2}}]`))
	require.ErrorIs(t, err, ErrMetadata, "what is left out is told")
	require.Equal(t, []Metadata{
		{Scope: "step", Kind: "userland.a", Op: "merge", Values: raw(`{"x":1}`)},
		{Scope: "run", Kind: "b", Op: "add", Values: raw(`{"n":2}`)},
	}, valid)
	_, err = ParseMetadata(raw(`{"scope":"step"}`))
	require.ErrorIs(t, err, ErrMetadata)
}

func TestMetadataOfLiveRunsAreCounted(t *testing.T) {
	t.Parallel()
	x := NewIndex()
	put := &MetadataPut{RunID: ulid.Make(), Items: []Metadata{{Kind: "kind", Values: raw(`{"a":1}`)}, {Kind: "k", Values: raw(`{}`)}}}
	require.Equal(t, 14, put.Size())
	x.ApplyOp(put, 1) // of a run that has ended
	x.ApplyOp(&RunPut{Run{ID: put.RunID}}, 2)
	put.RunSize = put.Size()
	x.ApplyOp(put, 3)
	x.ApplyOp(&RunChanged{RunID: put.RunID, MetadataSize: 20}, 4)
	run, _ := x.Run(put.RunID)
	require.Equal(t, 20, run.MetadataSize)
}

func TestEndpointIsDetachedOnce(t *testing.T) {
	t.Parallel()
	x := NewIndex()
	id := ulid.Make()
	require.False(t, (&Run{}).Sync())
	begun := &Endpoint{SDK: "go"}
	x.ApplyOp(&RunPut{Run{ID: id, Endpoint: begun}}, 1)
	before, _ := x.View(id)
	require.True(t, before.Sync())
	x.ApplyOp(&EndpointDetached{RunID: id}, 7)
	x.ApplyOp(&EndpointDetached{RunID: id}, 8)
	x.ApplyOp(&EndpointDetached{RunID: ulid.Make()}, 9)
	after, _ := x.View(id)
	require.False(t, after.Sync())
	require.Equal(t, int64(7), after.Endpoint.AsyncAt)
	require.True(t, before.Sync(), "a view does not change")
}
