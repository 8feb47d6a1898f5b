// What apps attach to runs and steps: metadata, scores and experiments; runs
// that are deferred; and the options of checkpointing. For SDKs that have all of it.

export const attachedFunctions = ({ attached, calls, client_: client, NonRetriableError }) => [
  {
    // Metadata of a step by its answer, of the run and of another step by API.
    id: "metadata",
    body: async ({ run, step }) => {
      await run("a", () => client.metadata.set({ of: "a", nested: { n: 1 } }, "mine"));
      await step.metadata("of run").run().set({ of: "run" });
      await step.metadata("of step").run().step("a").set({ late: true }, "mine");
      return "done";
    },
  },
  {
    id: "scores",
    body: async ({ run, runId, step }) => {
      await run("a", () => client.score({ name: "inside", value: true }));
      await step.score("s", { name: "accuracy", value: 0.5 });
      await run("b", () => client.score({ runId, stepId: "a", name: "after", value: 2 }));
      return "done";
    },
  },
  {
    id: "experiment",
    body: async ({ group, run }) => group.experiment("colours", {
      variants: { red: () => run("paint", () => "red"), blue: () => run("paint", () => "blue") },
      select: attached.experiment.fixed("red"),
    }),
  },
  {
    // Two runs to follow, of which one is taken back, and one of which defers
    // another one itself.
    id: "defers",
    body: async ({ defer, run, token }) => {
      const deferred = attached.deferredOf(client, calls);
      defer("kept", { function: deferred, data: { token, depth: 1 } });
      const gone = defer("gone", { function: deferred, data: { token, depth: 0 } });
      await run("a");
      gone.abort();
      await run("b");
      return "parent done";
    },
  },
  {
    // What a run deferred is run also when it fails, and without checkpoints.
    id: "defers-failing",
    flow: { checkpointing: false },
    body: async ({ defer, run, token }) => {
      defer("kept", { function: attached.deferredOf(client, calls), data: { token, depth: 0 } });
      await run("a");
      throw new NonRetriableError("after a defer");
    },
  },
  {
    // Steps are reported two at a time, and when that takes too long.
    id: "buffered",
    flow: { checkpointing: { bufferedSteps: 2, maxInterval: "1ms" } },
    body: async ({ note, run }) => {
      note("body");
      const names = [];
      for (const name of ["a", "b", "c", "d", "e"]) names.push(await run(name, () => name));
      return names.join("");
    },
  },
  {
    // A call ends when it has lasted long enough, and another one goes on.
    id: "runtime",
    flow: { checkpointing: { maxRuntime: "300ms" } },
    body: async ({ note, run }) => {
      note("body");
      const slow = (name) => run(name, () => new Promise((done) => setTimeout(() => done(name), 200)));
      return (await slow("a")) + (await slow("b")) + (await slow("c")) + (await slow("d"));
    },
  },
];
