// Waiting for events and for signals.

export const waitFunctions = ({ events, client_ }) => [
  {
    // data: {event, timeout, if?, match?} of the wait
    id: "wait",
    body: async ({ data, run, step }) => {
      await run("before");
      const options = { event: data.event, timeout: data.timeout };
      if (data.if) options.if = data.if;
      if (data.match) options.match = data.match;
      const got = await step.waitForEvent("w", options);
      await run("after");
      return { got: got && { name: got.name, data: got.data } };
    },
  },
  {
    // The awaited event is sent by a step planned in the same response as the
    // wait, so it may come the moment the wait begins, but never before.
    id: "wait-race",
    body: async ({ run, step, token }) => {
      const [got] = await Promise.all([
        step.waitForEvent("w", {
          event: `${events}/race`,
          timeout: "20s",
          if: "async.data.token == event.data.token",
        }),
        run("kick", () => client_.send({ name: `${events}/race`, data: { token } })),
      ]);
      return { got: got && got.data.token === token };
    },
  },
  {
    // data: {signal, timeout, conflict}
    id: "signal",
    body: async ({ data, run, step }) => {
      await run("before");
      const got = await step.waitForSignal("s", {
        signal: data.signal,
        timeout: data.timeout,
        onConflict: data.conflict ?? "fail",
      });
      await run("after");
      return { got };
    },
  },
];
