// Follows every machine of a page on one socket, and turns the page `turns` times, with the reference client. One JSON
// line says what was seen: machines by page, errors, and how often the socket was closed before the end.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, authorization, folder, turns] = process.argv.slice(2);
const text = (name) => readFileSync(join(folder, `${name}.graphql`), "utf8");
const [VMS, VM_STATUS] = [text("Vms"), text("VmStatus")];

let closed = 0;
const client = createClient({
  url,
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: authorization },
  lazy: false,
  retryAttempts: 0,
  onNonLazyError: () => {},
  on: { closed: () => (closed += 1) },
});

const errors = [];
const ask = (query, variables) =>
  new Promise((resolve, reject) => {
    client.subscribe({ query, variables }, { next: resolve, error: reject, complete() {} });
  });

/** Follows a machine; `seen` is settled with its first state or an error. */
function follow(vmId) {
  let end;
  const seen = new Promise((resolve) => {
    end = client.subscribe(
      { query: VM_STATUS, variables: { vmId } },
      {
        next: ({ data }) => resolve(data.vmStatus.id),
        error: (problem) => resolve(errors.push(problem)),
        complete() {},
      },
    );
  });
  return { seen, end };
}

const pages = [];
let followed = [];
for (let turn = 0, after = null; turn <= turns; turn += 1) {
  const { data } = await ask(VMS, { first: 50, after });
  const next = data.vms.edges.map(({ node }) => follow(node.id)); // the next page first, so that no row is empty
  followed.forEach(({ end }) => end());
  pages.push(new Set(await Promise.all(next.map(({ seen }) => seen))).size);
  followed = next;
  after = data.vms.pageInfo.hasNextPage ? data.vms.pageInfo.endCursor : null;
}
console.log(JSON.stringify({ pages, errors, closed }));
await client.dispose();
