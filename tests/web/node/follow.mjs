// Subscribes as the web app does, with the reference client; one JSON line per event, and a last one that says how it
// ended. With `cut`, the connection is lost once in the middle, and the client goes on after the last event it saw.
import { readFileSync } from "node:fs";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, authorization, file, launchId, cut] = process.argv.slice(2);
const query = readFileSync(file, "utf8");
let socket;

const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  retryWait: async () => {},
  on: { opened: (opened) => (socket = opened) },
});

let after = 0;
let ended = "complete";
try {
  for (let connections = 0; connections < (cut ? 2 : 1); connections += 1) {
    const events = client.iterate({ query, variables: { launchId, after } });
    for await (const { data, errors } of events) {
      if (errors) throw errors;
      after = data.launchProgress.sequence;
      console.log(JSON.stringify(data.launchProgress));
      if (cut && connections === 0) {
        socket.terminate();
        break;
      }
    }
  }
} catch (problem) {
  ended = problem;
}
console.log(JSON.stringify({ ended }));
await client.dispose();
