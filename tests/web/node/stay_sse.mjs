// Follows a launch with the reference client of GraphQL over SSE, which renews its token before each connection. One JSON
// line per event and per error, and a last one that says how the subscription ended.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createClient } from "graphql-sse";

const [url, secret, seconds, file, launchId] = process.argv.slice(2);
const query = readFileSync(file, "utf8");
const encoded = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const say = (line) => console.log(JSON.stringify(line));

function token() {
  const claims = { sub: "ann", role: "player", exp: Date.now() / 1000 + Number(seconds) };
  const unsigned = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${unsigned}.${createHmac("sha256", secret).update(unsigned).digest("base64url")}`;
}

const client = createClient({
  url,
  headers: () => ({ Authorization: `Bearer ${token()}` }),
  retry: async () => {},
});
let after = 0;
client.subscribe(
  { query, variables: { launchId, after: 0 } },
  {
    next: ({ data, errors }) => {
      if (errors) return say({ error: errors[0].extensions.code });
      const { sequence } = data.launchProgress;
      if (sequence > after) say({ sequence: (after = sequence) });
    },
    error: (problem) => say({ ended: String(problem) }),
    complete: () => say({ ended: "complete" }),
  },
);
