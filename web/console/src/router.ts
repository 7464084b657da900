// Addresses of views: #/path/to/view?name=value. They work below any path that a proxy serves the page at.

import { useEffect, useState } from "preact/hooks";

export interface Route {
  /** The segments after `#/`; the first one names the view. */
  path: string[];
  query: URLSearchParams;
}

export function currentRoute(): Route {
  const [path = "", query = ""] = window.location.hash.replace(/^#\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** Returns a segment decoded, or as it is if that is not possible: no view has such a name, and no object such an id. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Returns the `href` of a view. */
export function href(path: string[], query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

export function go(path: string[], query: Record<string, string | null | undefined> = {}): void {
  window.location.hash = href(path, query);
}

/** Changes the query of the current address without an entry in the browser's history. */
export function replaceQuery(query: Record<string, string | null | undefined>): void {
  history.replaceState(null, "", href(currentRoute().path, query));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const changed = () => setRoute(currentRoute());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
