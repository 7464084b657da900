// The whole story in a page, with what a browser has: fetch, and an EventSource, which names documents by their hashes.
(async (hashes, userId) => {
  const extensionsOf = (name) => ({ persistedQuery: { version: 1, sha256Hash: hashes[name] } });
  const ask = async (name, variables) => {
    const answer = await fetch("graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/graphql-response+json" },
      body: JSON.stringify({ variables, extensions: extensionsOf(name) }),
    });
    const { data, errors } = await answer.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  };
  const follow = (name, variables, isLast) =>
    new Promise((resolve, reject) => {
      const asked = { variables: JSON.stringify(variables), extensions: JSON.stringify(extensionsOf(name)) };
      const source = new EventSource(`graphql?${new URLSearchParams(asked)}`);
      const heard = [];
      const end = () => {
        source.close();
        resolve(heard);
      };
      source.addEventListener("next", ({ data }) => {
        const answer = JSON.parse(data);
        if (answer.errors) reject(new Error(data));
        else heard.push(answer.data);
        if (isLast(answer.data)) end();
      });
      source.addEventListener("complete", end);
    });

  const { games } = await ask("Games", { console: "SWITCH" });
  const { gameId } = games.edges[0].node;
  const input = { console: "SWITCH", gameId, userId, idempotencyKey: `evening-${userId}` };
  const launches = [];
  for (let times = 0; times < 2; times += 1) launches.push((await ask("LaunchGame", { input })).launchGame.launch.id);
  const begun = await follow("LaunchProgress", { launchId: launches[0] }, (data) => data.launchProgress.sequence === 3);
  const rest = await follow("LaunchProgress", { launchId: launches[0], after: 3 }, () => false);
  const events = [...begun, ...rest].map(({ launchProgress }) => launchProgress);
  const { launch } = await ask("Launch", { id: launches[0] });
  const refused = await ask("CancelLaunch", { launchId: launches[0] });
  await ask("StopVm", { vmId: launch.vm.id });
  const states = await follow("VmStatus", { vmId: launch.vm.id }, (data) => data.vmStatus.status === "STOPPED");
  return {
    launches: new Set(launches).size,
    sequences: events.map(({ sequence }) => sequence),
    status: events.at(-1).status,
    host: events.at(-1).launch.vm.stream.host,
    refused: refused.cancelLaunch.errors.map(({ __typename, code }) => [__typename, code]),
    stopped: states.at(-1).vmStatus.status,
  };
})
