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
}

/** Returns the machines that are loaded, newest first, and `more`, which loads the next page.
 *
 * The first page is read once the subscription misses no change, so that the table has no gap.
 */
export function useMachines(status: readonly VMStatus[] | null, userId: string | null) {
  const kept = useRef<Kept>({ byId: new Map(), done: false });
  const [machines, setMachines] = useState<Machine[]>([]);
  const [error, setError] = useState<unknown>();
  const [loading, setLoading] = useState(true);
  const [following, setFollowing] = useState(false);
  const [turn, setTurn] = useState(0);
  const drawing = useRef(0);
  const key = JSON.stringify([status, userId]);
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
    if (busy.current || kept.current.done) return;
    const abort = (busy.current = new AbortController());
    const mine = kept.current;
    setLoading(true);
    request("Machines", { ...variables, first: PAGE, after: mine.cursor ?? null }, abort.signal).then(
      ({ vms }) => {
        if (abort.signal.aborted) return;
        for (const { node } of vms.edges) {
          if (!mine.byId.has(node.id)) mine.byId.set(node.id, { ...node, readAt: Date.now() });
        }
        mine.cursor = vms.pageInfo.endCursor;
        mine.done = !vms.pageInfo.hasNextPage;
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
  }, [key]);

  useEffect(() => {
    kept.current = { byId: new Map(), done: false };
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
      setFollowing(true);
    }, PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [following]);

  const { failure } = useFollow(
    "VmChanges",
    variables,
    ({ vmChanges: { vm } }) => {
      setFollowing(true);
      if (!vm) {
        if (late.current) setTurn((last) => last + 1);
        late.current = false;
        return;
      }
      const { byId, done } = kept.current;
      if (status && !status.includes(vm.status)) byId.delete(vm.id);
      else if (byId.has(vm.id) || done || isNewest(vm, byId)) byId.set(vm.id, { ...vm, readAt: Date.now() });
      else return; // it comes with its page
      show();
    },
    ({ vmChanges }) => ({ after: vmChanges.cursor }),
  );

  return {
    machines,
    loading: loading && !failure,
    error: error ?? failure,
    more,
    done: kept.current.done,
    reload: () => setTurn((last) => last + 1),
  };
}

function isNewest(vm: { createdAt: string }, byId: Map<string, Machine>): boolean {
  for (const each of byId.values()) if (each.createdAt < vm.createdAt) return true;
  return false;
}

function newestFirst(one: Machine, other: Machine): number {
  if (one.createdAt !== other.createdAt) return one.createdAt < other.createdAt ? 1 : -1;
  return one.id < other.id ? 1 : -1;
}
