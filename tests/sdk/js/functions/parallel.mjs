// Steps in parallel.

const range = (n) => Array.from({ length: n }, (_, i) => i);

export const parallelFunctions = () => [
  {
    // data: {n}
    id: "parallel",
    body: async ({ data, run }) => {
      const parts = await Promise.all(range(data.n).map((i) => run(`p${i}`, () => i)));
      return run("sum", () => parts.reduce((a, b) => a + b, 0));
    },
  },
  {
    id: "parallel-fail",
    retries: 1,
    body: async ({ run }) => {
      const [good, bad] = await Promise.allSettled([
        run("good", () => "fine"),
        run("bad", () => { throw new Error("bad luck"); }),
      ]);
      await run("after");
      return { good: good.value, bad: bad.reason?.message };
    },
  },
  {
    // Two branches of two steps, joined; then one more step, then two more in
    // parallel: every kind of fan-in.
    id: "nested",
    body: async ({ run, step }) => {
      const branch = async (name) => {
        const one = await run(`${name}1`, () => name);
        return run(`${name}2`, () => one + one);
      };
      const napping = async () => {
        await step.sleep("nap", "1s");
        return run("woke", () => "w");
      };
      const parts = await Promise.all([branch("x"), branch("y"), napping()]);
      const joined = await run("join", () => parts.join("-"));
      const tail = await Promise.all([run("t1", () => 1), run("t2", () => 2)]);
      return { joined, tail };
    },
  },
  {
    // The fast step wins, and the function goes on while the slow one runs.
    // Version 4 has to ask for a race; in version 3 every step that ends wakes
    // the function.
    id: "race",
    body: async ({ group, note, run }) => {
      const slowly = async () => {
        await new Promise((done) => setTimeout(done, 3000));
        note("slow ended");
        return "slow";
      };
      const race = () => Promise.race([run("fast", () => "fast"), run("slow", slowly)]);
      const winner = await (group?.parallel ? group.parallel({ mode: "race" }, race) : race());
      await run("after");
      return { winner };
    },
  },
];
