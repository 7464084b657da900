// The whole story of a player, for any client. `ask` returns the data of a query or mutation, `follow` an async iterable
// of a subscription's data. Prints one JSON line that says what the client saw.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const GRAPHQL = join(import.meta.dirname, "../../../graphql");
const CLIENTS = join(import.meta.dirname, "../../../docs/clients");
export const text = (name) => readFileSync(join(GRAPHQL, "operations", `${name}.graphql`), "utf8");
export const manifest = (name) => JSON.parse(readFileSync(join(CLIENTS, name), "utf8"));

export async function play({ ask, follow }, userId) {
  const { games } = await ask("Games", { console: "SWITCH" });
  const { gameId } = games.edges[0].node;
  const input = { console: "SWITCH", gameId, userId, idempotencyKey: `evening-${userId}` };
  const launches = [];
  for (let times = 0; times < 2; times += 1) {
    const { launchGame } = await ask("LaunchGame", { input }); // as if the first answer had been lost
    launches.push(launchGame.launch.id);
  }
  const events = await progress(follow, launches[0]);
  const { launch } = await ask("Launch", { id: launches[0] });
  const refused = await ask("CancelLaunch", { launchId: launches[0] });
  await ask("StopVm", { vmId: launch.vm.id });
  const states = [];
  for await (const { vmStatus } of follow("VmStatus", { vmId: launch.vm.id })) {
    states.push(vmStatus.status);
    if (vmStatus.status === "STOPPED") break;
  }
  return {
    launches: new Set(launches).size,
    sequences: events.map(({ sequence }) => sequence),
    status: events.at(-1).status,
    host: events.at(-1).launch.vm.stream.host,
    refused: refused.cancelLaunch.errors.map(({ __typename, code }) => [__typename, code]),
    stopped: states.at(-1),
  };
}

/** Follows a launch to its end, and leaves once in the middle, to go on after the last event that was seen. */
async function progress(follow, launchId) {
  const events = [];
  for (const most of [3, Infinity]) {
    const after = events.at(-1)?.sequence ?? 0;
    for await (const { launchProgress } of follow("LaunchProgress", { launchId, after })) {
      events.push(launchProgress);
      if (events.length === most) break;
    }
  }
  return events;
}

/** Returns an async iterable of what `subscribe` is told. It ends the subscription when it is left. */
export async function* iterated(subscribe) {
  const waiting = [];
  let wake = () => {};
  const put = (entry) => {
    waiting.push(entry);
    wake();
  };
  const end = subscribe({
    next: (value) => put({ value }),
    error: (error) => put({ error }),
    complete: () => put({ done: true }),
  });
  try {
    for (;;) {
      while (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
      const { value, error, done } = waiting.shift();
      if (error) throw error;
      if (done) return;
      yield value;
    }
  } finally {
    end();
  }
}

export async function main(client) {
  console.log(JSON.stringify(await play(client, process.argv[3])));
  process.exit(0);
}
