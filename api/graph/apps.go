package graph

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

func (q queries) Apps(ctx context.Context, filter *generated.AppsFilterV1) ([]*generated.App, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	apps := []*generated.App{}
	for _, row := range c.liveApps {
		app := q.app(row)
		if filter == nil || filter.Method == nil || *filter.Method == app.Method {
			apps = append(apps, app)
		}
	}
	return apps, nil
}

func (q queries) App(ctx context.Context, id uuid.UUID) (*generated.App, error) {
	return q.appOf(ctx, id)
}

// appOf finds an app, archived or not, since runs of it may be shown.
func (r *resolver) appOf(ctx context.Context, id uuid.UUID) (*generated.App, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	row, err := c.app(id)
	if err != nil {
		return nil, err
	}
	return r.app(row), nil
}

// app is an app as clients see it (graphql §7).
func (r *resolver) app(row view.App) *generated.App {
	return &generated.App{
		ID: row.ID.String(), ExternalID: row.Name, Name: row.Name,
		SdkLanguage: row.SDKLanguage, SdkVersion: row.SDKVersion, Framework: row.Framework,
		URL: textPtr(row.URL), Checksum: textPtr(row.Checksum), Error: row.Error, Connected: row.Error == nil,
		Method: generated.AppMethod(strings.ToUpper(row.Method)), AppVersion: &row.Version,
		SdkFeatureReadiness: readiness(row.Metadata), Autodiscovered: r.commands.Discovered(row.URL),
	}
}

// readyReason is the reason that an SDK gives when a feature can be used.
const readyReason = 1

// readiness reads what an SDK observed about itself when it registered.
func readiness(metadata json.RawMessage) *generated.SDKFeatureReadiness {
	var stored struct {
		Observations string `json:"featureObservations"`
	}
	var seen struct {
		AI     *observation `json:"aiMetadataExtraction"`
		Traces *observation `json:"extendedTraces"`
	}
	if json.Unmarshal(metadata, &stored) != nil || json.Unmarshal([]byte(stored.Observations), &seen) != nil {
		return &generated.SDKFeatureReadiness{}
	}
	return &generated.SDKFeatureReadiness{AiMetadataExtraction: seen.AI.status(), ExtendedTraces: seen.Traces.status()}
}

type observation struct {
	Reason int `json:"readinessReason"`
}

func (o *observation) status() *generated.SDKFeatureStatus {
	if o == nil {
		return nil
	}
	return &generated.SDKFeatureStatus{Ready: o.Reason == readyReason, Reason: &o.Reason}
}

func (f appFields) Functions(ctx context.Context, obj *generated.App) ([]*generated.Function, error) {
	rows, err := f.rows(ctx, obj)
	if err != nil {
		return nil, err
	}
	functions := []*generated.Function{}
	for _, row := range rows {
		converted, err := toFunction(row)
		if err != nil {
			return nil, err
		}
		functions = append(functions, converted)
	}
	return functions, nil
}

func (f appFields) FunctionCount(ctx context.Context, obj *generated.App) (int, error) {
	rows, err := f.rows(ctx, obj)
	return len(rows), err
}

func (f appFields) rows(ctx context.Context, obj *generated.App) ([]view.Function, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	id, err := uuid.Parse(obj.ID)
	if err != nil {
		return nil, err
	}
	return c.functionsOf(id), nil
}
