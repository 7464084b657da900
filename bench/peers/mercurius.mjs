import Fastify from "fastify";
import mercurius from "mercurius";

import { loaders, resolvers, typeDefs } from "./data.mjs";

const app = Fastify();
app.register(mercurius, {
  schema: typeDefs,
  resolvers,
  jit: process.env.JIT === "1" ? 1 : 0,
  context: () => ({ loaders: loaders() }),
});
console.log(await app.listen({ port: 0, host: "127.0.0.1" }));
