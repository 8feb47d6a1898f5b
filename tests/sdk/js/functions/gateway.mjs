// Requests that the server makes for the app: step.fetch, step.ai.

export const gatewayFunctions = () => [
  {
    // data: {url, body}
    id: "fetch",
    body: async ({ data, run, step }) => {
      const res = await step.fetch(data.url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-test": "sent" },
        body: JSON.stringify(data.body),
      });
      const answer = { status: res.status, pong: res.headers.get("x-pong"), body: await res.text() };
      await run("after");
      return answer;
    },
  },
  {
    // data: {url}: base URL of an OpenAI-like API
    id: "infer",
    retries: 1,
    body: async ({ data, run, step }) => {
      let outcome;
      try {
        const answer = await step.ai.infer("inf", {
          model: step.ai.models.openai({ model: "m-1", apiKey: "KEY", baseUrl: data.url }),
          body: { messages: [{ role: "user", content: "hi" }] },
        });
        outcome = { said: answer.choices[0].message.content };
      } catch (err) {
        outcome = { error: err.message };
      }
      await run("after");
      return outcome;
    },
  },
  {
    // data: {url, provider, options, body}: a model of any provider's.
    id: "infer-as",
    retries: 1,
    body: ({ data, step }) =>
      step.ai.infer("inf", {
        model: step.ai.models[data.provider]({ apiKey: "KEY", baseUrl: data.url, ...data.options }),
        body: data.body,
      }),
  },
  {
    id: "ai-wrap-retry",
    retries: 1,
    body: async ({ attempt, note, step }) =>
      step.ai.wrap("wrapped", async ({ prompt }) => {
        note("wrapped");
        if (attempt === 0) throw new Error("overloaded");
        return { text: prompt.toUpperCase(), usage: { tokens: 2 } };
      }, { prompt: "hi" }),
  },
  {
    id: "ai-wrap",
    body: async ({ note, step }) =>
      step.ai.wrap("wrapped", async (word) => {
        note("wrapped");
        return { upper: word.toUpperCase() };
      }, "loud"),
  },
];
