// Cancelling runs, and the events that the server sends about runs.

// about is the trigger by internal events that tell about one function.
export const about = (app, name, fn) => ({ event: name, if: `event.data.function_id == '${app}-${fn}'` });

// tells makes a body that records what such an event tells.
export const tells = (kind) => async ({ event, run, note }) => {
  await run(`on-${kind}`);
  const { function_id, run_id, result, error } = event.data;
  note(kind, { id: event.id, function_id, run_id, result, error: error?.message });
};

export const lifecycleFunctions = ({ app, events, NonRetriableError }) => {
  const sleepsLong = async ({ run, step }) => {
    await run("started");
    await step.sleep("long", "1h");
    await run("never");
  };

  return [
    { id: "sleeper", body: sleepsLong },
    {
      id: "waiter",
      body: async ({ run, step }) => {
        await run("started");
        await step.waitForEvent("w", { event: `${events}/nothing`, timeout: "1h" });
        await run("never");
      },
    },
    {
      id: "cancel-match",
      cancelOn: [{ event: `${events}/cancel`, match: "data.token" }],
      body: sleepsLong,
    },
    {
      id: "cancel-if",
      cancelOn: [{
        event: `${events}/cancel`,
        if: "async.data.token == event.data.token && async.data.reason == 'stop'",
      }],
      body: sleepsLong,
    },
    {
      // data: {mode}: "ok", "fail" or "cancel"
      id: "watched",
      cancelOn: [{ event: `${events}/cancel`, match: "data.token" }],
      body: async ({ data, run, step }) => {
        await run("started");
        if (data.mode === "fail") throw new NonRetriableError("watched failed");
        if (data.mode === "cancel") await step.sleep("long", "1h");
        return { mode: data.mode };
      },
    },
    { id: "on-finished", on: [about(app, "inngest/function.finished", "watched")], body: tells("finished") },
    { id: "on-failed", on: [about(app, "inngest/function.failed", "watched")], body: tells("failed") },
    { id: "on-cancelled", on: [about(app, "inngest/function.cancelled", "watched")], body: tells("cancelled") },
  ];
};
