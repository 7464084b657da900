// The machines of the table: pages from the API, kept current by one subscription.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { request, type Data } from "../../graphql/client";
import type { VMStatus } from "../../graphql/generated";
import { useFollow } from "../../graphql/hooks";

export type Machine = Data<"Machines">["vms"]["edges"][number]["node"] & {
  /** When the amounts were right, by the viewer's clock. */
  readAt: number;
};

export const LIVE: readonly VMStatus[] = ["PROVISIONING", "RUNNING", "STOPPING", "STOPPED", "STARTING", "DELETING", "LOST"];
const PAGE = 100;
const PATIENCE_MS = 3_000;

interface Kept {
  byId: Map<string, Machine>;
  /** The end of the pages that were read; undefined before the first one. */
  cursor?: string | null;
  done: boolean;
  /** The newest changes since the page that is being read was requested: the service may have read it before them. */
  changed: Map<string, Machine>;
}

/** Returns the machines that are loaded, newest first, and `more`, which loads the next page.
 *
 * The first page is read once the subscription misses no change, so that the table has no gap.
 */
export function useMachines(status: readonly VMStatus[] | null, userId: string | null) {
  const kept = useRef<Kept>(nothingKept());
  const [machines, setMachines] = useState<Machine[]>([]);
  const [error, setError] = useState<unknown>();
  const [loading, setLoading] = useState(true);
  const [followed, setFollowed] = useState<string>();
  const [turn, setTurn] = useState(0);
  const drawing = useRef(0);
  const key = JSON.stringify([status, userId]);
  const following = followed === key;
  const variables = { status: status && [...status], userId };

  const show = useCallback(() => {
    if (drawing.current) return;
    drawing.current = requestAnimationFrame(() => {
      drawing.current = 0;
      setMachines([...kept.current.byId.values()].sort(newestFirst));
    });
  }, []);
  useEffect(() => () => cancelAnimationFrame(drawing.current), []);

  const busy = useRef<AbortController | undefined>(undefined);
  const more = useCallback(() => {
    if (!following || busy.current || kept.current.done) return;
    const abort = (busy.current = new AbortController());
    const mine = kept.current;
    mine.changed.clear();
    setLoading(true);
    request("Machines", { ...variables, first: PAGE, after: mine.cursor ?? null }, abort.signal).then(
      ({ vms }) => {
        if (abort.signal.aborted) return;
        for (const { node } of vms.edges) {
          if (!mine.byId.has(node.id)) mine.byId.set(node.id, { ...node, readAt: Date.now() });
        }
        mine.cursor = vms.pageInfo.endCursor;
        mine.done = !vms.pageInfo.hasNextPage;
        for (const machine of mine.changed.values()) apply(machine, mine, status);
        busy.current = undefined;
        setLoading(false);
        setError(undefined);
        show();
      },
      (failure: unknown) => {
        if (abort.signal.aborted) return;
        busy.current = undefined;
        setLoading(false);
        setError(failure);
      },
    );
  }, [key, following]);

  useEffect(() => {
    kept.current = nothingKept();
    setMachines([]);
    if (following) more();
    return () => {
      busy.current?.abort();
      busy.current = undefined;
    };
  }, [key, turn, following]);

  // Without a subscription the table is read all the same, and again once there is one.
  const late = useRef(false);
  useEffect(() => {
    if (following) return;
    const timer = setTimeout(() => {
      late.current = true;
      setFollowed(key);
    }, PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [key, following]);

  const { failure } = useFollow(
    "VmChanges",
    variables,
    ({ vmChanges: { vm } }) => {
      setFollowed(key);
      if (!vm) {
        if (late.current) setTurn((last) => last + 1);
        late.current = false;
        return;
      }
      const machine = { ...vm, readAt: Date.now() };
      if (busy.current) kept.current.changed.set(vm.id, machine);
      apply(machine, kept.current, status);
      show();
    },
    ({ vmChanges }) => ({ after: vmChanges.cursor }),
  );

  return {
    machines,
    loading: (loading || !following) && !failure,
    error: error ?? failure,
    more,
    done: kept.current.done,
    reload: () => setTurn((last) => last + 1),
  };
}

function nothingKept(): Kept {
  return { byId: new Map(), done: false, changed: new Map() };
}

/** Puts a changed machine into the list, or removes it. One beyond the pages that were read comes with its page. */
function apply(machine: Machine, { byId, done }: Kept, status: readonly VMStatus[] | null): void {
  if (status && !status.includes(machine.status)) byId.delete(machine.id);
  else if (byId.has(machine.id) || done || isNewest(machine, byId)) byId.set(machine.id, machine);
}

function isNewest(vm: { createdAt: string }, byId: Map<string, Machine>): boolean {
  for (const each of byId.values()) if (each.createdAt < vm.createdAt) return true;
  return false;
}

function newestFirst(one: Machine, other: Machine): number {
  if (one.createdAt !== other.createdAt) return one.createdAt < other.createdAt ? 1 : -1;
  return one.id < other.id ? 1 : -1;
}
