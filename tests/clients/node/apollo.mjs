// Apollo Client without a WebSocket link: subscriptions come as multipart, and requests carry the ids of the manifest.
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import { iterated, main, manifest, text } from "./story.mjs";

const ids = generatePersistedQueryIdsFromManifest({ loadManifest: async () => manifest("apollo-manifest.json") });
const client = new ApolloClient({
  link: ApolloLink.from([new PersistedQueryLink(ids), new HttpLink({ uri: process.argv[2] })]),
  cache: new InMemoryCache(),
  defaultOptions: { query: { fetchPolicy: "no-cache" }, mutate: { fetchPolicy: "no-cache" } },
});

await main({
  async ask(name, variables) {
    const document = gql(text(name));
    const isMutation = document.definitions[0].operation === "mutation";
    const answer = isMutation
      ? await client.mutate({ mutation: document, variables })
      : await client.query({ query: document, variables });
    return answer.data;
  },
  async *follow(name, variables) {
    const results = client.subscribe({ query: gql(text(name)), variables, fetchPolicy: "no-cache" });
    for await (const { data, error } of iterated((sink) => {
      const subscription = results.subscribe(sink);
      return () => subscription.unsubscribe();
    })) {
      if (error) throw error;
      yield data;
    }
  },
});
