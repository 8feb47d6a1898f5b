// What starts a run.

export const triggerFunctions = ({ events, calls }) => {
  const echo = async ({ event, note }) => {
    note("echo", { name: event.name, data: event.data });
    const { id, name, data, ts, v } = event;
    return { id, name, data, ts, v };
  };
  // Cron runs carry no token; they are logged under the app's own name.
  const logsTime = (step) => async ({ event, attempt, runId }) => {
    const detail = { name: event.name, data: event.data };
    calls.record({ token: events, step, attempt, run: runId, detail });
    return event.data;
  };

  return [
    { id: "echo", body: echo },
    { id: "trigger-wildcard", on: [{ event: `${events}.wild/*` }], body: echo },
    { id: "trigger-dotted", on: [{ event: `${events}/dot.*` }], body: echo },
    { id: "trigger-expression", on: [{ event: `${events}/expr`, if: "event.data.kind == 'yes'" }], body: echo },
    {
      id: "trigger-multiple",
      on: [
        { event: `${events}/multi.a` },
        { event: `${events}/multi.b` },
        { event: `${events}/multi.c`, if: "event.data.kind == 'yes'" },
      ],
      body: echo,
    },
    { id: "cron", on: [{ cron: "* * * * *" }], body: logsTime("cron") },
    { id: "on-timer", on: [{ event: "inngest/scheduled.timer" }], body: logsTime("on-timer") },
  ];
};
