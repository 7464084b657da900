import { useEffect, useRef, useState } from "preact/hooks";
import { ENDPOINT } from "../../graphql/client";
import { credentialHeaders } from "../../session";

/** Pictures that were loaded in this tab, by their addresses: addresses of `blob:`, or nothing where there is no picture. */
const LOADED = new Map<string, Promise<string | undefined>>();
const AT_ONCE = 4;
let loading = 0;
const waiting: (() => void)[] = [];

/** Shows a game's cover once it is in sight. It has its room from the beginning, and nothing to say: the title is beside it. */
export function Cover({ url }: { url: string | null }) {
  const place = useRef<HTMLSpanElement>(null);
  const [source, setSource] = useState<string>();
  useEffect(() => {
    setSource(undefined);
    if (url === null || place.current === null) return;
    let shown = true;
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      void load(url).then((found) => shown && setSource(found));
    });
    observer.observe(place.current);
    return () => {
      shown = false;
      observer.disconnect();
    };
  }, [url]);
  return (
    <span class="cover" ref={place}>
      {source && <img src={source} alt="" width="48" height="64" />}
    </span>
  );
}

function load(url: string): Promise<string | undefined> {
  const known = LOADED.get(url) ?? fetched(url);
  LOADED.set(url, known);
  return known;
}

/** Loads a picture with the caller's credentials, which the address of an image cannot carry. */
async function fetched(url: string): Promise<string | undefined> {
  if (loading >= AT_ONCE) await new Promise<void>((go) => waiting.push(go));
  loading++;
  try {
    const answer = await fetch(new URL(url, ENDPOINT), { headers: credentialHeaders(), credentials: "omit" });
    if (answer.ok) return URL.createObjectURL(await answer.blob());
    if (answer.status !== 404) LOADED.delete(url);
    return undefined;
  } catch {
    LOADED.delete(url);
    return undefined;
  } finally {
    loading--;
    waiting.shift()?.();
  }
}
