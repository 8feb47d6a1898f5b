// The SDK test app on version 4 of the TypeScript SDK.

import { Inngest, NonRetriableError, referenceFunction, RetryAfterError } from "inngest";
import { serve } from "inngest/node";
import * as realtime from "inngest/realtime";

import { start } from "../js/app.mjs";

start({
  app: "ts4",
  // On by default in this version; the main app turns it off so that every
  // step is a request of its own.
  checkpointing: true,
  client: (id, { checkpointing }) => new Inngest(checkpointing ? { id } : { id, checkpointing: false }),
  createFunction: (client, options, triggers, handler) =>
    client.createFunction({ ...options, triggers }, handler),
  serve: ({ client, functions, stream }) => serve({ client, functions, streaming: stream }),
  referenceFunction,
  realtime,
  NonRetriableError,
  RetryAfterError,
});
