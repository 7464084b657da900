// Sends the documents of graphql/operations/ by their hash. The page cannot send any other document.

import { credentialHeaders, endSession } from "../session";
import type { Operations } from "./generated";
import { Failure, Refused, type UserError } from "./errors";

export type OperationName = keyof Operations;
export type NameOf<Kind extends "query" | "mutation" | "subscription"> = {
  [Name in OperationName]: Operations[Name]["kind"] extends Kind ? Name : never;
}[OperationName];
export type Variables<Name extends OperationName> = Operations[Name]["variables"];
export type Data<Name extends OperationName> = Operations[Name]["data"];
export type Payload<Name extends OperationName> = Data<Name>[keyof Data<Name>];

interface Fault {
  message: string;
  extensions?: { code?: string; field?: string; retryAfter?: number };
}

interface Answer {
  data?: unknown;
  errors?: Fault[];
}

/** Hashes of the trusted documents by name, which the service writes into the page. */
const HASHES: Partial<Record<OperationName, string>> = JSON.parse(
  document.getElementById("operations")?.textContent ?? "{}",
);
export const ENDPOINT = new URL(
  document.getElementById("console")?.dataset.endpoint ?? "./graphql",
  window.location.href.split("#")[0],
).href;

/** Returns the extensions that name a trusted document. */
export function documentOf(name: OperationName): { persistedQuery: { version: 1; sha256Hash: string } } {
  const sha256Hash = HASHES[name];
  if (sha256Hash === undefined) throw new Failure("PERSISTED_QUERY_NOT_FOUND", "");
  return { persistedQuery: { version: 1, sha256Hash } };
}

/** Runs a query or a mutation. Throws Failure, also if only a part of the data could be read. */
export async function request<Name extends NameOf<"query" | "mutation">>(
  name: Name,
  variables: Variables<Name>,
  signal?: AbortSignal,
): Promise<Data<Name>> {
  const body = JSON.stringify({ extensions: documentOf(name), operationName: name, variables });
  const headers = { "Content-Type": "application/json", Accept: "application/json", ...credentialHeaders() };
  let answer: Answer;
  try {
    const response = await fetch(ENDPOINT, { method: "POST", headers, body, signal, credentials: "omit" });
    answer = (await response.json()) as Answer;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure("NETWORK", "");
  }
  const [first] = answer.errors ?? [];
  if (first === undefined) return answer.data as Data<Name>;
  throw failureOf(first);
}

/** Returns why a request for something else than GraphQL failed. Its errors have the same form. */
export async function failureOfResponse(response: Response): Promise<Failure> {
  const answer = (await response.json().catch(() => ({}))) as Answer;
  const [first] = answer.errors ?? [];
  return first ? failureOf(first) : new Failure(response.status >= 502 ? "UNAVAILABLE" : "INTERNAL", "");
}

/** Returns the failure for an entry of `errors`, and ends the session if the credential is no longer accepted. */
function failureOf({ message, extensions }: Fault): Failure {
  const failure = new Failure(extensions?.code ?? "INTERNAL", message, extensions);
  if (failure.code === "UNAUTHENTICATED") endSession(message);
  return failure;
}

/** Runs a mutation and returns its payload. Throws Refused with the payload's `errors` if there are any. */
export async function mutate<Name extends NameOf<"mutation">>(
  name: Name,
  variables: Variables<Name>,
): Promise<Payload<Name>> {
  const data = await request(name, variables);
  const payload = Object.values(data)[0] as Payload<Name> & { errors: UserError[] };
  if (payload.errors.length > 0) throw new Refused(payload.errors);
  return payload;
}
