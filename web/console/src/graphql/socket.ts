// Subscriptions over one WebSocket. They continue after a loss of the network where they ended.

import { createClient, type Client } from "graphql-ws";
import { credentialHeaders, onSessionChange } from "../session";
import { documentOf, ENDPOINT, request, type Data, type NameOf, type Variables } from "./client";
import { Failure } from "./errors";

export type Connection = "idle" | "connected" | "lost";
type Listener = (connection: Connection) => void;

const PING_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const LONGEST_WAIT_MS = 10_000;
/** Errors after which the same subscription may succeed: its time is over, or a part of the service is away. */
const PASSING = new Set(["LIMIT_REACHED", "UNAVAILABLE", "TOO_MANY_OPERATIONS", "INTERNAL"]);
const RENEW_CREDENTIALS = 4403;

let client: Client | undefined;
let state: Connection = "idle";
let following = 0;
const listeners = new Set<Listener>();

export function connection(): Connection {
  return state;
}

export function onConnection(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Follows a subscription until the service completes it or the returned function is called.
 *
 * `resume` returns the variables that continue after an event, such as its cursor. After a loss of the connection the
 * subscription is sent again with them, so that no event is missed or repeated.
 */
export function follow<Name extends NameOf<"subscription">>(
  name: Name,
  variables: Variables<Name>,
  handlers: {
    next: (data: Data<Name>) => void;
    resume?: (data: Data<Name>) => Partial<Variables<Name>>;
    failed?: (failure: Failure) => void;
    completed?: () => void;
  },
): () => void {
  let ended = false;
  let unsubscribe = () => {};
  let again: number | undefined;
  let turn = 0;
  // graphql-ws sends this object again after it has reconnected.
  const payload = { query: "", operationName: name, extensions: documentOf(name), variables: { ...variables } };
  const end = () => {
    if (ended) return;
    ended = true;
    following--;
    clearTimeout(again);
    unsubscribe();
  };
  const fail = (failure: Failure) => {
    if (PASSING.has(failure.code)) {
      turn++; // what still comes from this operation, and its end, do not count
      again = window.setTimeout(start, 1_000 + Math.random() * 2_000);
      unsubscribe(); // the service goes on after an event with errors
    } else {
      end();
      handlers.failed?.(failure);
    }
  };
  const start = () => {
    const mine = turn;
    const isOver = () => ended || mine !== turn;
    unsubscribe = socket().subscribe<Data<Name>>(payload, {
      next: ({ data, errors }) => {
        if (isOver()) return;
        const [error] = errors ?? [];
        if (error) return fail(new Failure(String(error.extensions?.code ?? "INTERNAL"), error.message));
        if (!data) return;
        Object.assign(payload.variables, handlers.resume?.(data));
        handlers.next(data);
      },
      error: (error) => void (isOver() || fail(failureOf(error))),
      complete: () => {
        if (isOver()) return;
        end();
        handlers.completed?.();
      },
    });
  };
  following++;
  start();
  return end;
}

function failureOf(error: unknown): Failure {
  const first = Array.isArray(error) ? (error[0] as { message: string; extensions?: { code?: string } }) : undefined;
  return new Failure(first?.extensions?.code ?? "UNAVAILABLE", first?.message ?? "");
}

function socket(): Client {
  client ??= connect();
  return client;
}

function connect(): Client {
  let pong: number | undefined;
  const made = createClient({
    url: ENDPOINT.replace(/^http/, "ws"),
    connectionParams: () => credentialHeaders(),
    lazy: true,
    lazyCloseTimeout: 3_000,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => true,
    retryWait: async (retries) => {
      become("lost");
      await waitOrOnline(Math.min(LONGEST_WAIT_MS, 250 * 2 ** retries) * (0.5 + Math.random() / 2));
    },
    keepAlive: PING_MS,
    on: {
      connected: () => become("connected"),
      closed: (event) => {
        clearTimeout(pong);
        become(following > 0 ? "lost" : "idle");
        if ((event as CloseEvent).code === RENEW_CREDENTIALS) void request("Viewer", {}).catch(() => undefined);
      },
      ping: (received) => {
        if (!received) pong = window.setTimeout(() => made.terminate(), PONG_WITHIN_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(pong);
      },
    },
  });
  return made;
}

function become(next: Connection): void {
  if (next === state) return;
  state = next;
  for (const listener of listeners) listener(next);
}

/** Waits, but not longer than until the browser is online again. */
function waitOrOnline(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
  });
}

// Browsers notice a lost network late, and some only at the next byte.
window.addEventListener("offline", () => client?.terminate());
onSessionChange(() => {
  void client?.dispose();
  client = undefined;
});
