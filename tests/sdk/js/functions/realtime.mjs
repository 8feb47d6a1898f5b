// Messages that functions publish to whoever is subscribed. Version 3 of the
// SDK has this in a package of its own.

export const realtimeFunctions = ({ client_: client, realtime }) => {
  if (!realtime) return [];
  const channelOf = (token) => realtime.channel({ name: `news.${token}`, topics: { status: {}, other: {} } });
  return [
    {
      // Publishes as a step of its own, and within one; last, a stream.
      id: "publish",
      body: async ({ run, step, token }) => {
        const { status } = channelOf(token);
        await step.realtime.publish("tell", status, { n: 1 });
        await run("work", async () => {
          await client.realtime.publish(status, { n: 2 });
          const words = ReadableStream.from(["three €"]).pipeThrough(new TextEncoderStream());
          await client.realtime.publish(status, words);
        });
        return "published";
      },
    },
    {
      // Subscribes itself, and returns what it receives.
      id: "subscribe",
      body: async ({ run, token }) =>
        run("listen", async () => {
          const channel = channelOf(token);
          const subscription = await client.realtime.subscribe({ channel, topics: ["status"] });
          try {
            await client.realtime.publish(channel.other, "nothing that it subscribed to");
            await client.realtime.publish(channel.status, { n: 1 });
            await client.realtime.publish(channel.status, "text");
            const received = [];
            for await (const { topic, kind, data } of subscription) {
              if (received.push({ topic, kind, data }) === 2) return received;
            }
          } finally {
            subscription.close();
          }
        }),
    },
  ];
};
