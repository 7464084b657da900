// The credential with which the page asks. It stays in this tab's sessionStorage: a closed tab forgets it.

import { useEffect, useState } from "preact/hooks";

const KEY = "credential";
type Listener = () => void;

let credential = sessionStorage.getItem(KEY) ?? "";
let endedBecause: string | undefined;
const listeners = new Set<Listener>();

/** Returns the headers that carry the credential: a JWT has two dots, anything else is an API key. */
export function credentialHeaders(): Record<string, string> {
  if (credential === "") return {};
  const isJwt = credential.split(".").length === 3;
  return isJwt ? { Authorization: `Bearer ${credential}` } : { "X-API-Key": credential };
}

export function signIn(given: string): void {
  credential = given.trim().replace(/^Bearer\s+/i, "");
  sessionStorage.setItem(KEY, credential);
  endedBecause = undefined;
  changed();
}

export function signOut(): void {
  forget();
  endedBecause = undefined;
  changed();
}

/** Forgets a credential that the service no longer accepts, and remembers why for the sign-in form. */
export function endSession(reason: string): void {
  if (credential === "") return;
  forget();
  endedBecause = reason;
  changed();
}

export function isSignedIn(): boolean {
  return credential !== "";
}

export function whyEnded(): string | undefined {
  return endedBecause;
}

export function onSessionChange(listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Returns a number that changes with the session. */
export function useSessionTurn(): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => onSessionChange(() => setTurn((last) => last + 1)), []);
  return turn;
}

function forget(): void {
  credential = "";
  sessionStorage.removeItem(KEY);
}

function changed(): void {
  for (const listener of [...listeners]) listener();
}
