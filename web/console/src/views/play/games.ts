import { useEffect, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import type { ConsoleType } from "../../graphql/generated";

export type Game = Data<"Games">["games"]["edges"][number]["node"];
const PAGE = 100;

/** Loads all games of a console, page by page. What is loaded already can be searched. */
export function useGames(console: ConsoleType) {
  const [state, setState] = useState<{ games: Game[]; error?: unknown; loading: boolean }>({ games: [], loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    setState({ games: [], loading: true });
    load(console, abort.signal, (games) => setState({ games, loading: true })).then(
      (games) => setState({ games, loading: false }),
      (error: unknown) => !abort.signal.aborted && setState((last) => ({ ...last, error, loading: false })),
    );
    return () => abort.abort();
  }, [console, turn]);
  return { ...state, reload: () => setTurn((last) => last + 1) };
}

async function load(console: ConsoleType, signal: AbortSignal, more: (games: Game[]) => void): Promise<Game[]> {
  let games: Game[] = [];
  let after: string | null = null;
  do {
    const { games: page }: Data<"Games"> = await request("Games", { console, first: PAGE, after }, signal);
    games = [...games, ...page.edges.map((edge) => edge.node)];
    more(games);
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after !== null);
  return games;
}
