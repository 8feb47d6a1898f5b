// An app of which a new version is deployed, while calls still reach instances
// of the old one: what it answers to the server's questions about its functions
// is of the version that the test chose, but it answers calls of all functions.

// redeployedApp takes the listeners of both versions.
export function redeployedApp(old, renewed) {
  let isNew = false;
  return {
    serve: (req, res) => (isNew && req.method !== "POST" ? renewed : old)(req, res),
    redeploy: (to) => { isNew = to; },
  };
}
