package expr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValidateMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []struct {
		Expr   string
		Policy string
		Valid  bool
		Error  string
	}
	readFixture(t, "expressions-validate.json", &cases)
	require.NotEmpty(t, cases)
	policies := map[string]Policy{"none": PolicyFull, "restrictive": PolicyRestrictive}
	for _, c := range cases {
		t.Run(c.Policy+"/"+c.Expr, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, policies, c.Policy)
			err := Validate(c.Expr, policies[c.Policy])
			if c.Valid {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.Error)
		})
	}
}
