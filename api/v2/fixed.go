package v2

import (
	"net/http"

	"jetstep/function"
)

// firstDay is when the only account and environment are said to be from.
const firstDay = "2021-05-13T09:30:04Z"

func (s *server) health(*http.Request, []string) (*answer, error) {
	return single(object{"status": "ok"})
}

func (s *server) account(*http.Request, []string) (*answer, error) {
	return single(object{
		"id": function.AccountID.String(), "email": "dev@inngest.local", "name": "Dev Server", "createdAt": firstDay, "updatedAt": firstDay,
	})
}

func (s *server) environments(r *http.Request, _ []string) (*answer, error) {
	limit, err := paramsOf(r).limit(limits{usual: 20, most: 250})
	if err != nil {
		return nil, err
	}
	only := object{"createdAt": firstDay, "id": function.EnvironmentID.String(), "name": environmentName, "type": "TEST"}
	return listing([]object{only}, "", false, limit), nil
}

// environmentName is that of the only environment.
const environmentName = "dev"

// keys shows the configured keys in clear, as the original does.
func (s *server) keys(configured []string) handler {
	return func(r *http.Request, _ []string) (*answer, error) {
		limit, err := paramsOf(r).limit(limits{usual: 20, most: 100})
		if err != nil {
			return nil, err
		}
		var items []object
		if asked := r.Header.Get("X-Inngest-Env"); asked == "" || asked == environmentName {
			for _, key := range configured {
				items = append(items, object{"createdAt": stamp(s.Now()), "environment": environmentName, "key": key})
			}
		}
		more := len(items) > limit
		return listing(items[:min(limit, len(items))], "", more, limit), nil
	}
}
