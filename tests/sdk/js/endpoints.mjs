// Durable endpoints: routes of the app itself whose handlers use steps. They
// are called by a client, not by the server, until a step needs more than the
// client's own request.
//
//   /endpoint/<name>?token=T    one of the handlers below
//   /streamed/<name>?token=T    asks a handler that streams as the SDK's client
//                               does, and says what that was told
//
// endpointRoutes returns them as Node request listeners, by path.
//
// endpoints: {
//   client(id)        an SDK client for endpoints
//   listener(handler) makes a handler of web requests a Node request listener
//   step              the steps of the run that the handler is in
//   runId()           the id of that run
//   stream            what such a handler streams with
//   fetch             the SDK's client for what is streamed
// }
export function endpointRoutes({ app, calls, gates, NonRetriableError, endpoints }) {
  const { client: makeClient, listener, step, runId, stream } = endpoints;
  const client = makeClient(`${app}-endpoint`);
  const routes = new Map();

  // Each handler gets what functions get: token, note, run (see app.mjs).
  const endpoint = (name, handler) => {
    const durable = client.endpoint(async (req) => {
      const token = new URL(req.url).searchParams.get("token") ?? "";
      const note = async (step_) => calls.record({ token, step: step_, attempt: 0, run: await runId() });
      const run = (id, fn = () => null) => step.run(id, async () => {
        await note(id);
        return fn();
      });
      return handler({ token, note, run });
    });
    routes.set(`/endpoint/${name}`, listener(durable));
  };

  const streaming = (name, handler) => {
    endpoint(name, handler);
    routes.set(`/streamed/${name}`, async (req, res) => {
      const told = { runs: [], data: [], committed: [], rolledBack: [] };
      const answer = await endpoints.fetch(`http://${req.headers.host}${req.url.replace("streamed", "endpoint")}`, {
        onMetadata: ({ runId }) => told.runs.push(runId),
        onData: ({ data }) => told.data.push(data),
        onCommit: ({ hashedStepId }) => told.committed.push(hashedStepId),
        onRollback: ({ hashedStepId }) => told.rolledBack.push(hashedStepId),
      });
      Object.assign(told, { status: answer.status, own: answer.headers.get("x-own") ?? "", body: await answer.text() });
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(told));
    });
  };

  endpoint("steps", async ({ run }) => {
    const a = await run("a", () => 1);
    const b = await run("b", () => a + 1);
    return Response.json({ a, b }, { headers: { "x-own": "yes" } });
  });

  endpoint("bare", () => Response.json("no steps"));

  endpoint("sleep", async ({ run }) => {
    const a = await run("a", () => 1);
    await step.sleep("nap", "1s");
    const b = await run("b", () => a + 1);
    return Response.json({ a, b });
  });

  endpoint("sleep-first", async ({ run }) => {
    await step.sleep("nap", "10ms");
    return run("a", () => ({ a: 1 }));
  });

  endpoint("parallel", async ({ run }) => {
    const a = await run("a", () => 1);
    const both = await Promise.all([run("b", () => a + 1), run("c", () => a + 2)]);
    return run("d", () => both);
  });

  endpoint("wait", async ({ run, token }) => {
    await run("ready");
    const event = await step.waitForEvent("wait", { event: `${app}-endpoint/go`, timeout: "30s", if: `async.data.token == "${token}"` });
    return { got: event?.data.n };
  });

  endpoint("invoke", async ({ token }) =>
    step.invoke("call", { function: endpoints.callee, data: { token, n: 21 } }));

  // A step that fails twice, of which the first time is in the client's request.
  endpoint("retry", async ({ token, run }) => {
    const a = await run("a", () => {
      if (calls.count(token, "a") < 3) throw new Error("not yet");
      return "third";
    });
    return { a };
  });

  // A step that never succeeds, and code that takes it.
  endpoint("caught", async ({ run }) => {
    try {
      await run("a", () => {
        throw new NonRetriableError("never");
      });
    } catch (err) {
      return { caught: err.message };
    }
  });

  // The function itself fails, once.
  endpoint("throw-once", async ({ token, note, run }) => {
    await run("a");
    await note("body");
    if (calls.count(token, "body") === 1) throw new Error("first");
    return { calls: calls.count(token, "body") };
  });

  // The function fails for good, which the SDK tells its client, and nobody else.
  endpoint("throw", async ({ run }) => {
    await run("a");
    throw new NonRetriableError("for good");
  });

  // A step that lasts until the test lets it end.
  endpoint("gate", async ({ token, run }) => {
    const a = await run("a", () => "A");
    const b = await run("b", () => gates.pass(token).then(() => "B"));
    return { ab: a + b };
  });

  // What steps push and pipe reaches the client as it comes.
  streaming("stream", async ({ run }) => {
    const a = await run("a", () => {
      stream.push({ n: 1 });
      return 1;
    });
    const b = await run("b", () => stream.pipe(async function* () {
      yield "to";
      yield "gether";
    }));
    return Response.json({ a, b }, { headers: { "x-own": "yes" } });
  });

  // The run goes on without the client's request, and streams by the server.
  streaming("stream-sleep", async ({ run }) => {
    await run("a", () => stream.push("before"));
    await step.sleep("nap", "1s");
    await run("b", () => stream.push("after"));
    return { done: true };
  });

  // What a step streamed before it failed is taken back.
  streaming("stream-retry", async ({ token, run }) => {
    const a = await run("a", () => {
      const n = calls.count(token, "a");
      stream.push(`try ${n}`);
      if (n === 1) throw new Error("not yet");
      return n;
    });
    return { a };
  });

  streaming("stream-throw", async ({ run }) => {
    await run("a", () => stream.push("all there is"));
    throw new NonRetriableError("for good");
  });

  // Whoever asks for a stream gets one also of what streams nothing.
  streaming("stream-nothing", async ({ run }) => ({ a: await run("a", () => 1) }));
  streaming("stream-nothing-sleep", async ({ run }) => {
    await step.sleep("nap", "1s");
    return { a: await run("a", () => 1) };
  });

  // A step that never ends when it runs first.
  endpoint("crash", async ({ token, run }) => {
    const a = await run("a", () => "A");
    const b = await run("block", () => calls.count(token, "block") === 1 ? new Promise(() => {}) : "B");
    return { ab: a + b };
  });

  return routes;
}
