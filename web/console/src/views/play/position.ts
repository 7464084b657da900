import { useState } from "preact/hooks";
import type { Position } from "../../map/world-map";

const KEY = "position";

/** Returns the position that the player chose in this tab, and a function that changes it. */
export function usePosition(): [Position | undefined, (position: Position | undefined) => void] {
  const [position, setPosition] = useState(kept);
  return [
    position,
    (next) => {
      if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
      else sessionStorage.removeItem(KEY);
      setPosition(next);
    },
  ];
}

/** Asks the browser, which asks the player. The position is rounded to about a kilometre. */
export function askBrowser(): Promise<Position> {
  return new Promise((resolve, reject) => {
    if (!navigator.geolocation) return reject(new Error("unsupported"));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve({ latitude: rounded(coords.latitude), longitude: rounded(coords.longitude) }),
      reject,
      { timeout: 15_000, maximumAge: 600_000 },
    );
  });
}

function rounded(degrees: number): number {
  return Math.round(degrees * 100) / 100;
}

function kept(): Position | undefined {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Position | null;
    return found && Number.isFinite(found.latitude) && Number.isFinite(found.longitude) ? found : undefined;
  } catch {
    return undefined;
  }
}
