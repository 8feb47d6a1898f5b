package migrations

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The versions that the migrations here know (database §3).
const (
	lastLegacy  = 18
	firstLegacy = 6 // 1 to 6 came with the first release that had any
)

// RefusedError says why a database is not migrated.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "cannot adopt this database: " + e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// plan is how a database gets to the current schema.
type plan struct {
	legacyFrom int  // the legacy version that it is at; lastLegacy when there is nothing to do
	newer      bool // a newer original migrated it: nothing of its schema is to be touched
}

// decide chooses the plan by the table of database §3, or returns a [RefusedError].
func decide(d Dialect, c catalog) (plan, error) {
	if applied := c.applied(); applied > 0 {
		return decideVersioned(d, c, applied)
	}
	switch {
	case c.legacyDirty:
		return plan{}, refuse("its legacy migration %d was interrupted (table migrations says dirty)", c.legacy)
	case c.legacy > lastLegacy:
		return plan{}, refuse("legacy migration %d is not known here", c.legacy)
	case c.legacy >= firstLegacy:
		return plan{legacyFrom: c.legacy}, nil
	case c.legacy > 0:
		return plan{}, refuse("legacy migration %d is too old; start a server of v1.17 on it first", c.legacy)
	}
	if found := c.known(d); len(found) > 0 {
		return plan{}, refuse("it has tables (%s) but no record of their version; "+
			"use an empty database, or restore goose_db_version", strings.Join(found, ", "))
	}
	return plan{legacyFrom: lastLegacy}, nil
}

// decideVersioned is for databases with rows in goose_db_version.
func decideVersioned(d Dialect, c catalog, applied int64) (plan, error) {
	var missing []int64
	for v := int64(1); v <= lastVersion(d); v++ {
		if !slices.Contains(c.versions, v) {
			missing = append(missing, v)
		}
	}
	if len(missing) > 0 && missing[0] < applied {
		return plan{}, refuse("it is at version %d but version %d is missing", applied, missing[0])
	}
	p := plan{legacyFrom: lastLegacy, newer: applied > lastVersion(d)}
	if p.newer {
		return p, complete(d, c)
	}
	return p, nil
}

// lastVersion is the newest version of the original that is known here.
func lastVersion(d Dialect) int64 {
	if d == SQLite {
		return 5
	}
	return 10
}

// complete returns a [RefusedError] unless the catalog has every table and column
// that is read or written here; more may be there.
func complete(d Dialect, c catalog) error {
	for _, table := range slices.Sorted(maps.Keys(required(d))) {
		columns, ok := c.columns[table]
		if !ok {
			return refuse("it has no table %s", table)
		}
		for _, column := range required(d)[table] {
			if !slices.Contains(columns, column) {
				return refuse("its table %s has no column %s", table, column)
			}
		}
	}
	return nil
}

// known lists the tables of the schema that are there, by name.
func (c catalog) known(d Dialect) []string {
	var found []string
	for table := range required(d) {
		if _, ok := c.columns[table]; ok {
			found = append(found, table)
		}
	}
	slices.Sort(found)
	return found
}
