// Functions of clients with middleware: encryption, and one that has a hook
// everywhere (see ../hooks.mjs).

const secrets = { card: "secret-card", nested: [{ pins: ["secret-pin"] }, null, 7] };

// vault has secrets in everything that a run leaves with the server: the
// output of a step, an event that it sends, the data of an invocation, what
// that returned, and its own output. "saw" is what the function itself gets.
const vault = ({ events, referenceFunction }) => async ({ note, run, step, token }) => {
  const kept = await run("keep", () => secrets);
  const data = { token, open: "seen by all", encrypted: { kept, word: "secret-word" } };
  const { ids } = await step.sendEvent("send", { name: `${events}/vault-child`, data });
  const function_ = referenceFunction({ appId: events, functionId: "vault-child" });
  const answer = await step.invoke("ask", { function: function_, data });
  const empty = await run("empty");
  note("saw", { kept, answer, empty, ids });
  return { kept, answer };
};

export const encryptedFunctions = (app) => [
  { id: "vault", body: vault(app) },
  { id: "vault-checkpointed", flow: { checkpointing: true }, body: vault(app) },
  {
    id: "vault-child",
    body: async ({ data, note }) => {
      note("child saw", { open: data.open, encrypted: data.encrypted });
      return { word: data.encrypted.word };
    },
  },
];

export const hookedFunctions = ({ calls, events }) => [
  {
    // What hooks add is visible in `injected`, in the step's output, in the
    // event it sends, and in its own output.
    id: "hooked",
    body: async ({ injected, run, step, token }) => {
      const a = await run("a", () => "a");
      const { ids } = await step.sendEvent("send", { name: `${events}/hooked-echo`, data: { token } });
      return { a, injected, ids };
    },
  },
  { id: "hooked-echo", body: async ({ event }) => ({ data: event.data }) },
  {
    id: "hooked-fail",
    retries: 1,
    body: async () => { throw new Error("seen by a hook"); },
  },
  {
    // Each line is logged once, although the body runs again for each step.
    id: "logged",
    body: async ({ logger, run, token }) => {
      const log = (step) => logger.info("note", { token, step });
      log("before");
      await run("a", () => log("within"));
      log("between");
      await run("b");
      log("after");
      return calls.of(token).length;
    },
  },
];
