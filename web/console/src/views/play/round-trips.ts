// Round trips from this browser to the endpoints that the operator has set, of which there are none by default.

import { useEffect, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import type { MeasuredRttInput } from "../../graphql/generated";

type Probe = Data<"RttProbes">["rttProbes"][number];

const TIMES = 3;
const AT_ONCE = 4;
const WITHIN_MS = 3_000;

/** What was measured in this tab; kept while the player moves between views. */
let measured: Promise<MeasuredRttInput[]> | undefined;

/** Returns the measured round trips: null while they are measured, and none where nothing is to be measured. */
export function useMeasuredRoundTrips(): MeasuredRttInput[] | null {
  const [found, setFound] = useState<MeasuredRttInput[] | null>(null);
  useEffect(() => {
    let shown = true;
    measured ??= measureAll();
    void measured.then((all) => shown && setFound(all));
    return () => void (shown = false);
  }, []);
  return found;
}

async function measureAll(): Promise<MeasuredRttInput[]> {
  const probes = await request("RttProbes", {}).then(
    ({ rttProbes }) => [...rttProbes],
    () => {
      measured = undefined; // asked again when the view is opened again
      return [];
    },
  );
  const found: MeasuredRttInput[] = [];
  const work = async () => {
    for (let probe = probes.shift(); probe; probe = probes.shift()) {
      const rttMs = await measure(probe);
      if (rttMs !== undefined) found.push({ siteId: probe.siteId, rttMs });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

/** Returns the shortest of some round trips in milliseconds; undefined if the endpoint does not answer. */
async function measure({ url }: Probe): Promise<number | undefined> {
  const options: RequestInit = { cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" };
  let shortest: number | undefined;
  try {
    // The first request also opens the connection, so it does not count.
    for (let time = 0; time <= TIMES; time++) {
      const begun = performance.now();
      const { ok } = await fetch(url, { ...options, signal: AbortSignal.timeout(WITHIN_MS) });
      if (!ok) return undefined;
      const took = performance.now() - begun;
      if (time > 0) shortest = Math.min(shortest ?? took, took);
    }
  } catch {
    return undefined;
  }
  return shortest === undefined ? undefined : Math.max(0.1, Math.round(shortest * 10) / 10);
}
