// Errors of steps and of functions, and their retries.

export const errorFunctions = ({ NonRetriableError, RetryAfterError }) => [
  {
    // data: {failures}: how many attempts fail first.
    id: "step-retry",
    retries: 3,
    body: async ({ attempt, data, run }) => {
      const a = await run("a", () => 1);
      const flaky = await run("flaky", () => {
        if (attempt < data.failures) throw new Error(`attempt ${attempt} fails`);
        return attempt;
      });
      return { a, flaky };
    },
  },
  {
    id: "step-caught",
    retries: 1,
    body: async ({ run }) => {
      let caught = "";
      try {
        await run("bad", () => { throw new Error("always bad"); });
      } catch (err) {
        caught = err.message;
      }
      return { caught, recovered: await run("recover", () => true) };
    },
  },
  {
    id: "step-uncaught",
    retries: 1,
    body: async ({ run }) => {
      await run("bad", () => { throw new Error("always bad"); });
      await run("never");
    },
  },
  {
    id: "step-non-retriable",
    retries: 3,
    body: async ({ run }) => {
      await run("bad", () => { throw new NonRetriableError("no use"); });
    },
  },
  {
    id: "step-retry-after",
    retries: 1,
    body: async ({ attempt, run }) =>
      run("limited", () => {
        if (attempt === 0) throw new RetryAfterError("slow down", "3s");
        return "done";
      }),
  },
  {
    id: "fn-retry-after",
    retries: 1,
    body: async ({ attempt, note }) => {
      note("body");
      if (attempt === 0) throw new RetryAfterError("slow down", "3s");
      return "done";
    },
  },
  {
    // The step before the error is not run again with the function.
    id: "fn-retry",
    retries: 3,
    body: async ({ attempt, note, run }) => {
      const a = await run("a", () => "kept");
      note("body");
      if (attempt < 2) throw new Error("not yet");
      return { a, attempt };
    },
  },
  {
    id: "fn-fail",
    retries: 1,
    body: async ({ note }) => {
      note("body");
      throw new TypeError("broken function");
    },
  },
  {
    id: "fn-non-retriable",
    retries: 3,
    body: async ({ note }) => {
      note("body");
      throw new NonRetriableError("hopeless");
    },
  },
  {
    // Only one test uses it: its failed runs are made again all together.
    id: "replayed",
    body: async ({ note }) => {
      note("body");
      throw new NonRetriableError("fails again");
    },
  },
  {
    id: "on-failure",
    body: async ({ run }) => {
      await run("a");
      throw new NonRetriableError("tell the handler");
    },
    onFailure: async ({ error, event, note, step }) =>
      step.run("handle", () =>
        note("handled", { message: error.message, fn: event.data.function_id, run: event.data.run_id })),
  },
];
