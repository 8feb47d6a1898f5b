package function

// MergeFunctions resolves the functions of a sync against those of the app
// that are stored (sdk-protocol §4.2, §5.3). A function of the same slug keeps
// its id and gets the next version, whether or not it changed, also if it had
// been archived; others start with version 1. What incoming does not list
// goes, with what was archived, to archived. old may be nil; nothing given is
// changed. Of two incoming functions with one slug, the last counts.
func MergeFunctions(old *App, incoming []Function) (active, archived []Function) {
	stored := map[string]*Function{}
	var former []Function
	if old != nil {
		former = append(append(former, old.Functions...), old.Archived...)
	}
	for i := range former {
		if _, ok := stored[former[i].Slug]; !ok { // active ones come first
			stored[former[i].Slug] = &former[i]
		}
	}
	active = make([]Function, 0, len(incoming))
	position := map[string]int{}
	for _, f := range incoming {
		f.Version = 1
		if known, ok := stored[f.Slug]; ok {
			f.ID, f.Version = known.ID, known.Version+1
		}
		if at, ok := position[f.Slug]; ok {
			active[at] = f
			continue
		}
		position[f.Slug] = len(active)
		active = append(active, f)
	}
	for i := range former {
		if _, returned := position[former[i].Slug]; !returned && stored[former[i].Slug] == &former[i] {
			archived = append(archived, former[i])
		}
	}
	return active, archived
}

// Sync is the app after a registration: registered with the identity of old,
// which may be nil, and the merged functions.
func Sync(old *App, registered App, incoming []Function) App {
	registered.Functions, registered.Archived = MergeFunctions(old, incoming)
	if old != nil {
		registered.ID, registered.CreatedAt = old.ID, old.CreatedAt
	}
	if len(registered.Functions) == 0 {
		registered.Error = ErrorNoFunctions
	}
	return registered
}
