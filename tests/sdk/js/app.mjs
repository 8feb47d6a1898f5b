// An SDK test app: one HTTP server with several clients of one SDK, each under
// a path of its own.
//
//   /api/inngest      the functions of ./functions
//   /api/other        a second app, target of invocations across apps
//   /api/stream       served with streamed responses
//   /api/checkpoint   with checkpointing on, where the SDK has it
//   /api/flow         functions with flow control
//   /api/redeployed   an app that has two versions (see redeployed.mjs)
//   /api/encrypted    a client with the SDK's middleware for encryption
//   /api/hooked       a client with a middleware of its own (see hooks.mjs)
//   /api/attached     metadata, scores, deferred functions, where the SDK has them
//   /engine?fn=ID     runs a function in the SDK's test engine (see engine.mjs)
//   /endpoint/..., /streamed/...   durable endpoints, where the SDK has them (see
//                     endpoints.mjs)
//   /calls?token=T    the call log (see calls.mjs)
//   /let?token=T&n=N  lets N more steps through their gate (see gates.mjs)
//   /redeploy?to=new  changes its version; to=old changes it back
//   /health           200 once the app listens
//
// The two SDK versions differ in a few signatures only, which their main.mjs
// hands in as an `sdk` object; everything else is written once, here.

import http from "node:http";

import { CallLog } from "./calls.mjs";
import { engineRoute } from "./engine.mjs";
import { endpointRoutes } from "./endpoints.mjs";
import { attachedFunctions } from "./functions/attached.mjs";
import { checkpointFunctions } from "./functions/checkpoint.mjs";
import { errorFunctions } from "./functions/errors.mjs";
import { flowFunctions } from "./functions/flow.mjs";
import { gatewayFunctions } from "./functions/gateway.mjs";
import { invokeFunctions, otherFunctions } from "./functions/invoke.mjs";
import { lifecycleFunctions } from "./functions/lifecycle.mjs";
import { encryptedFunctions, hookedFunctions } from "./functions/middleware.mjs";
import { parallelFunctions } from "./functions/parallel.mjs";
import { realtimeFunctions } from "./functions/realtime.mjs";
import { newFunctions, oldFunctions } from "./functions/redeployed.mjs";
import { stepFunctions } from "./functions/steps.mjs";
import { streamFunctions } from "./functions/stream.mjs";
import { triggerFunctions } from "./functions/triggers.mjs";
import { waitFunctions } from "./functions/waits.mjs";
import { Gates } from "./gates.mjs";
import { Hooks } from "./hooks.mjs";
import { redeployedApp } from "./redeployed.mjs";

// start serves the app `sdk.app` on 127.0.0.1:$PORT.
//
// sdk: {
//   app                                 id of the main app; prefix of its events
//   client(id, {checkpointing, middleware, logger})  makes an SDK client
//   createFunction(client, options, triggers, handler)
//   serve({client, functions, stream})  makes a Node request listener
//   referenceFunction, NonRetriableError, RetryAfterError   as in the SDK
//   checkpointing                       whether the SDK has it
//   realtime                            its module for that, if it has one
//   encryption(key)                     makes the middleware for encryption
//   hooks(hooks)                        makes a middleware of Hooks
//   Engine                              the SDK's test engine
//   attached                            what functions/attached.mjs needs, if it has that
//   endpoints                           what endpoints.mjs needs, if it has those
// }
export function start(sdk) {
  const calls = new CallLog(process.env.CALLS_FILE);
  const gates = new Gates();

  const hooks = new Hooks(calls);

  const functionsOf = (suffix, groups, { checkpointing = false, middleware = [], logger } = {}) => {
    const client = sdk.client(sdk.app + suffix, { checkpointing, middleware, logger });
    const app = { ...sdk, calls, gates, client_: client, events: sdk.app + suffix };
    return { client, functions: groups.flatMap((group) => group(app)).map((fn) => define(app, fn)) };
  };
  const mount = (suffix, groups, { stream = false, ...options } = {}) =>
    sdk.serve({ ...functionsOf(suffix, groups, options), stream });

  const main = functionsOf("", [
    stepFunctions, waitFunctions, invokeFunctions, parallelFunctions, errorFunctions,
    gatewayFunctions, lifecycleFunctions, triggerFunctions, realtimeFunctions,
  ]);

  const { serve: serveRedeployed, redeploy } = redeployedApp(
    mount("-redeployed", [oldFunctions]),
    mount("-redeployed", [newFunctions]),
  );
  const parameter = (req, name) => new URL(req.url, "http://app").searchParams.get(name) ?? "";

  const routes = new Map([
    ["/api/inngest", sdk.serve({ ...main, stream: false })],
    ["/api/other", mount("-other", [otherFunctions])],
    ["/api/stream", mount("-stream", [streamFunctions], { stream: true })],
    ["/api/flow", mount("-flow", [flowFunctions])],
    ["/api/redeployed", serveRedeployed],
    ["/api/encrypted", mount("-encrypted", [encryptedFunctions], { middleware: [sdk.encryption("a key")] })],
    ["/api/hooked", mount("-hooked", [hookedFunctions], { middleware: [sdk.hooks(hooks)], logger: hooks.logger })],
    ["/engine", engineRoute(sdk.Engine, sdk.app, main.functions)],
    ["/let", (req, res) => {
      gates.let(parameter(req, "token"), Number(parameter(req, "n")));
      res.writeHead(200).end();
    }],
    ["/redeploy", (req, res) => {
      redeploy(parameter(req, "to") === "new");
      res.writeHead(200).end();
    }],
    ["/health", (_, res) => res.writeHead(200).end("ok")],
    ["/calls", (req, res) => {
      res.writeHead(200, { "content-type": "application/json" });
      res.end(JSON.stringify(calls.of(parameter(req, "token"))));
    }],
  ]);
  if (sdk.checkpointing) {
    routes.set("/api/checkpoint", mount("-checkpoint", [checkpointFunctions], { checkpointing: true }));
  }

  if (sdk.attached) {
    const { client, functions } = functionsOf("-attached", [attachedFunctions], { checkpointing: true, middleware: sdk.attached.middleware });
    routes.set("/api/attached", sdk.serve({ client, functions: [...functions, sdk.attached.deferredOf(client, calls)], stream: false }));
  }
  if (sdk.endpoints) {
    for (const [path, listener] of endpointRoutes({ ...sdk, calls, gates })) routes.set(path, listener);
  }

  const server = http.createServer((req, res) => {
    const route = routes.get(new URL(req.url, "http://app").pathname);
    if (!route) return res.writeHead(404).end();
    return route(req, res);
  });
  server.listen(Number(process.env.PORT), "127.0.0.1", () => {
    console.log(`listening on ${server.address().port}`);
  });
}

// define turns one entry of ./functions into a function of the SDK:
// {id, on?, retries?, cancelOn?, flow?, onFailure?, body}. `on` lists its
// triggers; by default the event "<app>/<id>". `retries` is 0 unless given, so
// that an unexpected error fails the run at once. `flow` holds the SDK's own
// options of flow control.
function define(app, fn) {
  const { id, on, retries = 0, cancelOn, flow, onFailure, body } = fn;
  const options = { id, retries, ...flow };
  if (cancelOn) options.cancelOn = cancelOn;
  if (onFailure) options.onFailure = (ctx) => onFailure(contextOf(app, ctx));
  const triggers = on ?? [{ event: `${app.events}/${id}` }];
  return app.createFunction(app.client_, options, triggers, (ctx) => body(contextOf(app, ctx)));
}

// contextOf extends the SDK's context with what every body needs:
//   token           groups the calls of one test; internal events carry the
//                   token of the event that started the run they tell about
//   note(step, detail)   records a call
//   run(id, fn)     step.run whose body is recorded first
function contextOf(app, ctx) {
  const data = ctx.event.data ?? {};
  const token = data.token ?? data.event?.data?.token ?? ctx.event.name;
  const note = (step, detail) =>
    app.calls.record({ token, step, attempt: ctx.attempt, run: ctx.runId, detail });
  const run = (id, fn = () => null) =>
    ctx.step.run(id, () => {
      note(typeof id === "string" ? id : id.id);
      return fn();
    });
  return { ...ctx, data, token, note, run };
}
