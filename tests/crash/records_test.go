package crash_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// TestLedger shows that each kind of violation is found.
func TestLedger(t *testing.T) {
	t.Parallel()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	at := func(ms uint64) string { return ulid.MustNew(ms, nil).String() }
	memo := func(ms uint64) json.RawMessage { return raw(`{"data":{"by":"` + at(ms) + `","n":1}}`) }
	type memos = map[string]json.RawMessage
	// made is when the call was made, ran when its code was executed.
	call := func(run string, made uint64, m memos, step string, ran uint64) entry {
		e := entry{Run: run, Function: callee, N: 1, Request: at(made), Memos: m, Ran: step}
		if step != "" {
			e.By = at(ran)
		}
		return e
	}
	result := memos{"x": memo(21), "nap": raw("null"), "y": memo(41)}
	ended := call("R", 50, result, "", 0)
	ended.Result = result
	told := func(by, run string, m memos) entry {
		announced, err := json.Marshal(m)
		require.NoError(t, err)
		return entry{Run: by, Function: audit, Ended: &end{Run: run, Status: "Completed", Result: announced}}
	}
	good := []entry{
		call("R", 10, nil, "x", 11), call("R", 20, nil, "x", 21), call("R", 30, memos{"x": memo(21)}, "", 0),
		call("R", 40, memos{"x": memo(21), "nap": raw("null")}, "y", 41), ended, ended, told("A", "R", result), told("A", "R", result),
	}
	other := call("S", 10, nil, "x", 11)
	stranger := entry{Run: "T", Function: callee, N: 2, Request: at(1)}
	with := func(entries []entry, more ...entry) []entry { return slices.Concat(entries, more) }
	for name, tc := range map[string]struct {
		entries []entry
		want    string // "" for nothing wrong
	}{
		"repeated before it was recorded": {good, ""},
		"nothing":                         {nil, "callee 1 has no run"},
		"not ended":                       {good[:4], "callee 1: run R has not ended after 4 calls"},
		"not announced":                   {good[:6], "the end of run R was not announced"},
		"announced twice":                 {with(good, told("B", "R", result)), "announced to 2 runs"},
		"announced otherwise":             {with(good[:6], told("A", "R", memos{"x": raw("1")})), "announced with status Completed and result"},
		"two runs":                        {with(good, other), "callee 1 has 2 runs"},
		"not sent":                        {with(good, stranger), "callee 2 was never sent"},
		"never called":                    {with(good, told("B", "U", result)), "run U: it ended, but was never called"},
		"memo lost":                       {with(good, call("R", 60, nil, "x", 61)), "lacks the memo of step x"},
		"memo missing in a late call":     {with(good, call("R", 20, nil, "x", 61)), ""},
		"memo changed":                    {with(good, call("R", 60, memos{"x": memo(11), "nap": raw("null"), "y": memo(41)}, "", 0)), "changed the memo of step x"},
		"executed after it was recorded":  {with(good[:2], call("R", 30, memos{"x": memo(11)}, "", 0)), "ran by request " + at(20) + " after its outcome"},
		"memo from nowhere":               {with(good[:2], call("R", 30, memos{"y": memo(41)}, "", 0)), "step y never returned its memo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "journal")
			j, err := openJournal(path)
			require.NoError(t, err)
			for _, e := range tc.entries {
				require.NoError(t, j.write(&e))
			}
			l := newLedger(path)
			require.NoError(t, l.catchUp())
			wrong := atMost(100, l.verdict(map[key]bool{{callee, 1}: true}, nil))
			if tc.want == "" {
				require.Empty(t, wrong)
				require.Equal(t, 1+l.late, l.repeated)
				return
			}
			require.Contains(t, wrong, tc.want)
		})
	}
}

// TestJournal reads on where it stopped, and drops a torn line.
func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path)
	require.NoError(t, err)
	r := reader{path: path}
	read := func() (runs []string) {
		require.NoError(t, r.next(func(e *entry) { runs = append(runs, e.Run) }))
		return runs
	}
	require.Empty(t, read())
	require.NoError(t, j.write(&entry{Run: "1"}))
	require.NoError(t, j.write(&entry{Run: "2"}))
	require.Equal(t, []string{"1", "2"}, read())
	_, err = j.file.WriteString(`{"run":"torn`)
	require.NoError(t, err)
	require.Empty(t, read())

	j, err = openJournal(path)
	require.NoError(t, err)
	require.NoError(t, j.write(&entry{Run: "3"}))
	require.Equal(t, []string{"3"}, read())
}
