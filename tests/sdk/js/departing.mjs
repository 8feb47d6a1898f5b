// An app that loses a function while it goes on to answer calls of it, as a
// deployment does whose old instances end their work. What it answers to the
// server's questions about its functions depends on whether they are gone.

// departingApp takes the listeners of the app with and without the function.
export function departingApp(whole, rest) {
  let gone = false;
  return {
    serve: (req, res) => (gone && req.method !== "POST" ? rest : whole)(req, res),
    depart: (to) => { gone = to; },
  };
}
