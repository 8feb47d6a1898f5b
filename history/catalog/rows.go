package catalog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/history/database"
)

// tables are rows of apps and functions.
type tables struct {
	apps      []database.App
	functions []database.Function
}

// AppRow is the row of an app (database §5).
func AppRow(app *function.App) database.App {
	return database.App{
		ID: app.ID, Name: app.Name, SDKLanguage: app.SDKLanguage, SDKVersion: app.SDKVersion, Framework: app.Framework,
		Metadata: metadata(app.Metadata), Error: app.Error, Checksum: app.Checksum, CreatedAt: app.CreatedAt,
		ArchivedAt: app.ArchivedAt, URL: app.URL, Method: app.Method, AppVersion: app.AppVersion,
	}
}

// metadata is {"featureObservations":"<JSON>"}, {} without observations.
func metadata(observations json.RawMessage) json.RawMessage {
	if len(observations) == 0 {
		return json.RawMessage(`{}`)
	}
	row, err := json.Marshal(map[string]string{"featureObservations": string(observations)})
	if err != nil {
		return json.RawMessage(`{}`) // a string has no reason to fail
	}
	return row
}

// observations is the reverse of metadata, nil for none.
func observations(row json.RawMessage) json.RawMessage {
	var m struct {
		Observations string `json:"featureObservations"`
	}
	if json.Unmarshal(row, &m) != nil || !json.Valid([]byte(m.Observations)) {
		return nil
	}
	return json.RawMessage(m.Observations)
}

// FunctionRows are the rows of an app's functions, archived ones too. When these
// were is not in the registry: they have the time at which the app went or was
// last synced.
func FunctionRows(app *function.App) []database.Function {
	rows := make([]database.Function, 0, len(app.Functions)+len(app.Archived))
	for i := range app.Functions {
		rows = append(rows, functionRow(app, &app.Functions[i], app.ArchivedAt))
	}
	gone := app.ArchivedAt
	if gone.IsZero() {
		gone = cmp.Or(app.SyncedAt, app.CreatedAt)
	}
	for i := range app.Archived {
		rows = append(rows, functionRow(app, &app.Archived[i], gone))
	}
	return rows
}

func functionRow(app *function.App, fn *function.Function, archived time.Time) database.Function {
	config, err := json.Marshal(fn)
	if err != nil {
		config = json.RawMessage(`{}`) // only broken raw JSON in it could, which no registration lets in
	}
	return database.Function{
		ID: fn.ID, AppID: app.ID, Name: fn.Name, Slug: fn.Slug, Config: config, CreatedAt: cmp.Or(app.SyncedAt, app.CreatedAt), ArchivedAt: archived,
	}
}

// changes are the rows to be written so that stored says what the registry does.
// Rows that must give way come first: the names of apps, and the slugs of an
// app's active functions, are unique. Apps of which the registry knows nothing
// are left alone.
func changes(registered []*function.App, stored tables, now time.Time) tables {
	var gone, wanted tables
	apps, functions := map[uuid.UUID]database.App{}, map[uuid.UUID]database.Function{}
	for _, row := range stored.apps {
		apps[row.ID] = row
	}
	for _, row := range stored.functions {
		functions[row.ID] = row
	}
	names, known, listed := map[string]uuid.UUID{}, map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, app := range registered {
		known[app.ID] = true
		if app.Name != "" && app.ArchivedAt.IsZero() {
			names[app.Name] = app.ID
		}
	}
	for _, app := range registered {
		row := AppRow(app)
		if owner, taken := names[row.Name]; taken && owner != row.ID {
			row.Name = displaced(row.Name, row.ID)
		}
		if old, ok := apps[row.ID]; !ok || !sameApp(old, row) {
			wanted.apps = append(wanted.apps, row)
		}
		for _, row := range FunctionRows(app) {
			listed[row.ID] = true
			old, ok := functions[row.ID]
			switch {
			case ok && sameFunction(old, row):
			case row.ArchivedAt.IsZero():
				wanted.functions = append(wanted.functions, row)
			default:
				gone.functions = append(gone.functions, row)
			}
		}
	}
	for _, row := range stored.apps {
		if owner, taken := names[row.Name]; taken && owner != row.ID && !known[row.ID] {
			row.Name, row.ArchivedAt = displaced(row.Name, row.ID), cmp.Or(row.ArchivedAt, now)
			gone.apps = append(gone.apps, row)
		}
	}
	for _, row := range stored.functions {
		if known[row.AppID] && !listed[row.ID] && row.ArchivedAt.IsZero() {
			row.ArchivedAt = now
			gone.functions = append(gone.functions, row)
		}
	}
	slices.SortStableFunc(wanted.apps, archivedFirst)
	return tables{apps: append(gone.apps, wanted.apps...), functions: append(gone.functions, wanted.functions...)}
}

// archivedFirst lets apps that go give up their name before another takes it.
func archivedFirst(a, b database.App) int {
	switch {
	case a.ArchivedAt.IsZero() == b.ArchivedAt.IsZero():
		return bytes.Compare(a.ID[:], b.ID[:])
	case a.ArchivedAt.IsZero():
		return 1
	}
	return -1
}

// displaced is the name of an app whose name another one has now, as the
// original's migration makes it (database §3).
func displaced(name string, id uuid.UUID) string { return fmt.Sprintf("%s (id:%s)", name, id) }

// sameApp tells whether a row says what it should. When an app was made is
// never changed, and when it was archived does not matter.
func sameApp(stored, wanted database.App) bool {
	same := stored.ArchivedAt.IsZero() == wanted.ArchivedAt.IsZero() && sameJSON(stored.Metadata, wanted.Metadata)
	stored.CreatedAt, stored.ArchivedAt, stored.Metadata = wanted.CreatedAt, wanted.ArchivedAt, wanted.Metadata
	return same && reflect.DeepEqual(stored, wanted)
}

// sameFunction looks at what a sync changes: name and slug stay those of the
// first one (database §5). A config that means the same stays as it is, with
// what the original has in it besides.
func sameFunction(stored, wanted database.Function) bool {
	if stored.ArchivedAt.IsZero() != wanted.ArchivedAt.IsZero() {
		return false
	}
	if bytes.Equal(stored.Config, wanted.Config) {
		return true
	}
	fn, err := parse(&stored)
	if err != nil {
		return false
	}
	config, err := json.Marshal(&fn)
	return err == nil && bytes.Equal(config, wanted.Config)
}

// parse reads a function of a row; the row's id counts, whatever its config says
// (database §5).
func parse(row *database.Function) (function.Function, error) {
	var fn function.Function
	err := json.Unmarshal(row.Config, &fn)
	fn.ID = row.ID
	if fn.Slug == "" {
		fn.Slug, fn.Name = row.Slug, row.Name
	}
	return fn, err
}

// sameJSON compares JSON as text first, which it mostly is.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
