// urql with its persisted exchange: documents in its own layout, and subscriptions as event streams.
import { Client, fetchExchange, gql } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { iterated, main, text } from "./story.mjs";

const persisted = persistedExchange({
  preferGetForPersistedQueries: false,
  enableForMutation: true,
  enableForSubscriptions: true,
});
const client = new Client({
  url: process.argv[2],
  exchanges: [persisted, fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
});
const dataOf = ({ data, error }) => {
  if (error) throw error;
  return data;
};

await main({
  async ask(name, variables) {
    const document = gql(text(name));
    const isMutation = document.definitions[0].operation === "mutation";
    const asked = isMutation ? client.mutation(document, variables) : client.query(document, variables);
    return dataOf(await asked.toPromise());
  },
  async *follow(name, variables) {
    const results = client.subscription(gql(text(name)), variables);
    for await (const result of iterated((sink) => {
      const { unsubscribe } = results.subscribe((each) => {
        if (each.hasNext || each.error) sink.next(each);
        else sink.complete(); // with the last result again
      });
      return unsubscribe;
    })) {
      yield dataOf(result);
    }
  },
});
