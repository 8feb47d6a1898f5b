package migrations

import (
	"context"
	"database/sql"
	"fmt"
)

// Preview says in words what [Migrate] would do, and whether the original's tables
// are as they should be already. It changes nothing, and fails as Migrate does.
func Preview(ctx context.Context, db *sql.DB, d Dialect) (what string, current bool, err error) {
	catalog, err := inspect(ctx, db, d)
	if err != nil {
		return "", false, fmt.Errorf("reading the database's catalog: %w", err)
	}
	plan, err := decide(d, catalog)
	if err != nil {
		return "", false, err
	}
	what, current = plan.describe(d, catalog)
	return what, current, nil
}

func (p plan) describe(d Dialect, c catalog) (what string, current bool) {
	switch applied := c.applied(); {
	case p.newer:
		return "it was migrated by a newer server: its schema is left as it is", true
	case applied == lastVersion(d):
		return "its schema is up to date", true
	case applied > 0:
		return fmt.Sprintf("its schema is brought from version %d to %d", applied, lastVersion(d)), false
	case p.legacyFrom < lastLegacy:
		return fmt.Sprintf("its schema is brought from the older version %d to the present one", p.legacyFrom), false
	case c.legacy > 0:
		return "its schema is brought from the last older version to the present one", false
	}
	return "it is empty: the schema is made", false
}
