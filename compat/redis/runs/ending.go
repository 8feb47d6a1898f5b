package runs

import (
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

var (
	scriptEndClaim = embedded("end_claim")
	scriptDelete   = embedded("delete")
	scriptNoPauses = embedded("no_pauses")
)

// DeleteOperations are Store.Delete as part of a chain, of a run that has no pauses:
// the last answers 1 when it has.
func DeleteOperations(id *format.Identifier) []script.Operation {
	var all []script.Operation
	if id.Key != "" {
		ended := format.Claim{RunID: id.RunID, Ended: true}.Encode()
		all = append(all, scriptEndClaim.On([]string{format.ClaimKey(id.AccountID, id.Key)}, ended))
	}
	return append(all, scriptDelete.On(format.RunKeys(id.RunID, id.FunctionID)), scriptNoPauses.On([]string{format.RunPausesKey(id.RunID)}))
}

// Scripts are those of all operations that may be part of a chain.
func Scripts() []*script.Script {
	return []*script.Script{
		scriptClaim, scriptCreate, scriptSavePause, scriptLoad, scriptPauses, scriptFinalize, scriptEndClaim, scriptDelete, scriptNoPauses,
	}
}
