package expr

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// The dialect's own functions (expressions.md §12). They are called with
// whatever value the event holds, not only with the declared types.

func lowercase(v ref.Val) ref.Val {
	s, _ := v.(types.String)
	return types.String(strings.ToLower(string(s)))
}

func uppercase(v ref.Val) ref.Val {
	s, _ := v.(types.String)
	return types.String(strings.ToUpper(string(s)))
}

// b64decode keeps what was decoded before the first bad group.
func b64decode(v ref.Val) ref.Val {
	s, _ := v.(types.String)
	decoded, _ := base64.StdEncoding.DecodeString(string(s))
	return types.String(decoded)
}

// jsonParse gives an empty map for anything but a JSON object.
func jsonParse(v ref.Val) ref.Val {
	s, _ := v.(types.String)
	object := map[string]any{}
	if err := json.Unmarshal([]byte(s), &object); err != nil || object == nil {
		object = map[string]any{}
	}
	return types.DefaultTypeAdapter.NativeToValue(object)
}

func date(v ref.Val) ref.Val {
	var t time.Time
	err := ErrUnknownDate
	switch v := v.(type) {
	case types.String:
		t, err = ParseDate(string(v))
	case types.Int:
		t, err = dateFromNumber(int64(v))
	}
	if err != nil {
		return noResult()
	}
	return types.Timestamp{Time: t}
}

func now(...ref.Val) ref.Val {
	return types.Timestamp{Time: time.Now().UTC()}
}

func nowPlus(v ref.Val) ref.Val {
	return shiftedNow(v, 1)
}

func nowMinus(v ref.Val) ref.Val {
	return shiftedNow(v, -1)
}

func shiftedNow(v ref.Val, sign time.Duration) ref.Val {
	s, _ := v.(types.String)
	d, err := ParseDuration(string(s))
	if err != nil {
		return noResult()
	}
	return types.Timestamp{Time: time.Now().UTC().Add(sign * d)}
}
