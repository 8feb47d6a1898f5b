// The SDK test app on version 3 of the TypeScript SDK.

import { Inngest, NonRetriableError, referenceFunction, RetryAfterError } from "inngest";
import { serve } from "inngest/node";

import { start } from "../js/app.mjs";

start({
  app: "ts3",
  checkpointing: true,
  client: (id, { checkpointing }) => new Inngest({ id, checkpointing }),
  createFunction: (client, options, triggers, handler) =>
    client.createFunction(options, triggers, handler),
  serve: ({ client, functions, stream }) =>
    serve({ client, functions, streaming: stream ? "force" : false }),
  referenceFunction,
  NonRetriableError,
  RetryAfterError,
});
