package appsync

import (
	"fmt"
	"slices"

	"jetstep/function"
)

// logRegistration says what a registration changed, and nothing when it
// changed nothing: apps register every few seconds.
func (s *Syncer) logRegistration(before, app *function.App, d *decision, c change) {
	if c.store == nil || !c.modified {
		return
	}
	log := s.log.With("app", app.Name, "url", app.URL)
	switch {
	case d.invalid != nil:
		log.Warn("app not synced: it has invalid functions", "reasons", reasons(d.invalid))
	case d.refusal != nil:
		log.Warn("app not synced", "error", d.refusal.Message)
	default:
		added, removed := difference(before, app)
		log.Info("app synced", "sdk", app.SDKLanguage+" "+app.SDKVersion, "functions", len(app.Functions),
			"added", added, "removed", removed)
		for i := range app.Functions {
			for _, warning := range app.Functions[i].Warnings() {
				log.Warn("function is configured without effect", "function_id", app.Functions[i].Slug, "reason", warning)
			}
		}
	}
}

// reasons is one text for each problem, with the function that has it.
func reasons(invalid *function.ValidationError) []string {
	list := make([]string, len(invalid.Problems))
	for i, problem := range invalid.Problems {
		list[i] = fmt.Sprintf("%s: %s", problem.Function, problem.Message)
	}
	return list
}

// difference lists the slugs that are new and those that are gone.
func difference(before, app *function.App) (added, removed []string) {
	had, has := slugs(before), slugs(app)
	for _, slug := range has {
		if !slices.Contains(had, slug) {
			added = append(added, slug)
		}
	}
	for _, slug := range had {
		if !slices.Contains(has, slug) {
			removed = append(removed, slug)
		}
	}
	return added, removed
}

func slugs(app *function.App) []string {
	if app == nil {
		return nil
	}
	list := make([]string, len(app.Functions))
	for i := range app.Functions {
		list[i] = app.Functions[i].Slug
	}
	return list
}
