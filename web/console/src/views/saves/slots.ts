import { useEffect, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import type { ConsoleType } from "../../graphql/generated";

export type Slot = Data<"Saves">["saves"][number];
export type Version = Slot["versions"]["edges"][number]["node"];
export type Choice = NonNullable<Slot["conflict"]>["versions"][number];
const VERSIONS = 20;

interface Filter {
  gameId: string | null;
  userId: string | null;
  deleted: boolean;
}

/** Loads the slots of some consoles. What was loaded stays while it is loaded again. */
export function useSaves(consoles: ConsoleType[], filter: Filter) {
  const key = JSON.stringify([consoles, filter]);
  const [state, setState] = useState<{ key: string; slots: Slot[]; error?: unknown; loading: boolean }>({
    key,
    slots: [],
    loading: true,
  });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (consoles.length === 0) return;
    const abort = new AbortController();
    setState((last) => ({ key, slots: last.key === key ? last.slots : [], loading: true }));
    load(consoles, filter, abort.signal).then(
      (slots) => setState({ key, slots, loading: false }),
      (error: unknown) => !abort.signal.aborted && setState((last) => ({ ...last, error, loading: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  return { ...state, reload: () => setTurn((last) => last + 1) };
}

async function load(consoles: ConsoleType[], filter: Filter, signal: AbortSignal): Promise<Slot[]> {
  const found = await Promise.all(
    consoles.map((console) => request("Saves", { console, ...filter, first: VERSIONS }, signal)),
  );
  return found.flatMap(({ saves }) => saves);
}

/** Loads all versions of one slot. */
export async function allVersions(slot: Slot, signal: AbortSignal): Promise<Version[]> {
  let versions: Version[] = [];
  let after: string | null = null;
  do {
    const answer: Data<"Saves"> = await request<"Saves">(
      "Saves",
      {
        console: slot.console,
        gameId: slot.gameId,
        userId: slot.userId,
        deleted: slot.deletedAt !== null,
        first: 100,
        after,
      },
      signal,
    );
    const page: Slot["versions"] | undefined = answer.saves.find((each) => each.id === slot.id)?.versions;
    if (!page) return versions;
    versions = [...versions, ...page.edges.map((edge) => edge.node)];
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after !== null);
  return versions;
}
