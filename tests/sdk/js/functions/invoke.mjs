// Invoking functions, of this app and of others.

export const invokeFunctions = ({ events, referenceFunction, NonRetriableError }) => [
  {
    // data: {app, fn, n, timeout?}; `app` and `fn` name the target.
    id: "invoke",
    body: async ({ data, run, step, token }) => {
      const options = {
        function: referenceFunction({ appId: data.app, functionId: data.fn }),
        data: { token, n: data.n },
      };
      if (data.timeout) options.timeout = data.timeout;
      let outcome;
      try {
        outcome = { result: await step.invoke("inv", options) };
      } catch (err) {
        outcome = { error: err.message };
      }
      await run("after");
      return outcome;
    },
  },
  { id: "invoke-uncaught", body: ({ step, token }) =>
    step.invoke("inv", {
      function: referenceFunction({ appId: events, functionId: "callee-fails" }),
      data: { token },
    }) },
  { id: "callee", body: async ({ data, run }) => ({ doubled: await run("double", () => data.n * 2) }) },
  { id: "callee-fails", body: () => { throw new NonRetriableError("callee refused"); } },
  { id: "callee-slow", body: async ({ step }) => { await step.sleep("long", "1h"); } },
];

export const otherFunctions = () => [
  { id: "callee", body: async ({ data, run }) => ({ tripled: await run("triple", () => data.n * 3) }) },
];
