import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { mutate, request, type Data, type NameOf, type Payload, type Variables } from "./client";
import type { Failure } from "./errors";
import { connection, follow, onConnection, type Connection } from "./socket";

export interface Loaded<Result> {
  /** The newest result; it stays while it is loaded again. */
  data: Result | undefined;
  error: unknown;
  loading: boolean;
  reload: () => void;
}

/** Runs a query, and again when its variables change, on `reload`, and every `everySeconds`. Null variables: not now. */
export function useQuery<Name extends NameOf<"query">>(
  name: Name,
  variables: Variables<Name> | null,
  { everySeconds }: { everySeconds?: number } = {},
): Loaded<Data<Name>> {
  const key = variables === null ? null : JSON.stringify([name, variables]);
  const [loaded, setLoaded] = useState<{ key: string | null; data?: Data<Name>; error?: unknown; loading: boolean }>({
    key: null,
    loading: true,
  });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (key === null || variables === null) return;
    const abort = new AbortController();
    setLoaded((last) => (last.key === key ? { ...last, loading: true } : { key, loading: true }));
    request(name, variables, abort.signal).then(
      (data) => !abort.signal.aborted && setLoaded({ key, data, loading: false }),
      (error: unknown) => !abort.signal.aborted && setLoaded((last) => ({ ...last, error, loading: false })),
    );
    return () => abort.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((last) => last + 1), []);
  useEffect(() => {
    if (!everySeconds || key === null) return;
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), everySeconds * 1000);
    return () => clearInterval(timer);
  }, [everySeconds, key]);
  const current = loaded.key === key ? loaded : undefined;
  return {
    data: current?.data,
    error: current?.error,
    loading: key !== null && (current?.loading ?? true),
    reload,
  };
}

export interface Doing<Name extends NameOf<"mutation">> {
  /** Runs the mutation; undefined if it failed, which `error` then explains. */
  run: (variables: Variables<Name>) => Promise<Payload<Name> | undefined>;
  busy: boolean;
  error: unknown;
  clear: () => void;
}

/** Runs a mutation when it is asked to. */
export function useMutation<Name extends NameOf<"mutation">>(name: Name): Doing<Name> {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = useCallback(
    async (variables: Variables<Name>) => {
      setBusy(true);
      setError(undefined);
      try {
        return await mutate(name, variables);
      } catch (failure) {
        setError(failure);
        return undefined;
      } finally {
        setBusy(false);
      }
    },
    [name],
  );
  return { run, busy, error, clear: useCallback(() => setError(undefined), []) };
}

/** Follows a subscription while the component is shown. Null variables: not now. See `follow` for `resume`. */
export function useFollow<Name extends NameOf<"subscription">>(
  name: Name,
  variables: Variables<Name> | null,
  next: (data: Data<Name>) => void,
  resume?: (data: Data<Name>) => Partial<Variables<Name>>,
): { failure: Failure | undefined; completed: boolean } {
  const [failure, setFailure] = useState<Failure>();
  const [completed, setCompleted] = useState(false);
  const newest = useRef(next);
  newest.current = next;
  const key = variables === null ? null : JSON.stringify(variables);
  useEffect(() => {
    if (variables === null) return;
    setFailure(undefined);
    setCompleted(false);
    return follow(name, variables, {
      next: (data) => newest.current(data),
      resume,
      failed: setFailure,
      completed: () => setCompleted(true),
    });
  }, [name, key]);
  return { failure, completed };
}

export function useConnection(): Connection {
  const [state, setState] = useState(connection());
  useEffect(() => onConnection(setState), []);
  return state;
}
