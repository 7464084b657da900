// graphql-ws alone: everything over one WebSocket.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { main, text } from "./story.mjs";

const client = createClient({ url: process.argv[2].replace("http", "ws"), webSocketImpl: WebSocket, lazy: false });

async function* follow(name, variables) {
  for await (const { data, errors } of client.iterate({ query: text(name), variables })) {
    if (errors) throw new Error(JSON.stringify(errors));
    yield data;
  }
}

await main({
  async ask(name, variables) {
    for await (const data of follow(name, variables)) return data;
  },
  follow,
});
