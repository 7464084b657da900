// graphql-ws over one change stream, fanned out by launch in memory.
import { createServer } from "node:http";

import { buildSchema } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

import { db } from "./data.mjs";

const schema = buildSchema(`
  type Query { service: String }
  type LaunchProgress { sequence: Int!  at: String!  status: String!  progress: Float!  message: String! }
  type Subscription { launchProgress(launchId: ID!, after: Int): LaunchProgress! }
`);
const followers = new Map();

class Queue {
  constructor(launchId, replayed) {
    this.launchId = launchId;
    this.waiting = replayed;
    this.wake = null;
    const group = followers.get(launchId) ?? new Set();
    followers.set(launchId, group.add(this));
  }
  push(event) {
    this.waiting.push(event);
    this.wake?.();
  }
  async next() {
    while (!this.waiting.length) await new Promise((wake) => (this.wake = wake));
    const event = this.waiting.shift();
    return { done: false, value: { launchProgress: { ...event, at: event.at.toISOString() } } };
  }
  async return() {
    followers.get(this.launchId)?.delete(this);
    return { done: true, value: undefined };
  }
  [Symbol.asyncIterator]() {
    return this;
  }
}

schema.getSubscriptionType().getFields().launchProgress.subscribe = async (_, { launchId }) => {
  const replayed = await db.collection("launch_events").find({ launch_id: launchId }).sort({ sequence: 1 }).toArray();
  return new Queue(launchId, replayed);
};

const changes = db.collection("launch_events").watch([{ $match: { operationType: "insert" } }]);
changes.on("change", ({ fullDocument }) => {
  for (const follower of followers.get(fullDocument.launch_id) ?? []) follower.push(fullDocument);
});

const http = createServer();
useServer({ schema }, new WebSocketServer({ server: http, path: "/graphql", perMessageDeflate: false }));
http.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${http.address().port}`));
